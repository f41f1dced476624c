"""Calls through a whole host: arguments, results, errors, deadlines, keys, replicas."""

from __future__ import annotations

import concurrent.futures
import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noodle_host import (
    ArgumentError,
    CallError,
    CallTimeout,
    ComponentNotFoundError,
    EncodeError,
    Host,
    HostClosedError,
    HostConfig,
    HostError,
    NoSuchMethod,
    PayloadTooLarge,
    RemoteError,
)


@pytest.fixture(scope="module")
def desk(plugins: Path) -> Iterator[Host]:
    """One host for all tests that leave the desk as it was."""
    with Host(plugins, config=HostConfig(stop_timeout_s=2.0)) as host:
        host.start("desk", "<2")
        yield host


class Pair(msgspec.Struct):
    left: int
    right: str


# -- arguments and results ------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 2**63, 1.5, "", "naïve \U0001f35c", b"", b"\x00\xff", [], [1, [2]], {"a": {}}],
)
def test_a_value_comes_back_as_it_went(desk: Host, value: object) -> None:
    assert desk.call("desk", "echo", value) == value


def test_arguments_go_by_position_and_by_name(desk: Host) -> None:
    assert desk.call("desk", "add", 1) == 1
    assert desk.call("desk", "add", 1, 2) == 3
    assert desk.call("desk", "add", 1, right=2) == 3
    assert desk.call("desk", "add", right=2, left=1) == 3


@pytest.mark.parametrize("size", [32_700, 32_768, 65_536, 1 << 20, 40 << 20])
def test_payloads_of_every_size_come_through_whole(desk: Host, size: int) -> None:
    data = bytes(range(256)) * (size // 256)
    assert desk.call("desk", "echo", data) == data
    assert desk.call("desk", "echo", [data, "x"]) == [data, "x"]


def test_a_result_is_decoded_as_the_type_that_is_asked_for(desk: Host) -> None:
    value = {"left": 1, "right": "x"}
    assert desk.call("desk", "echo", value, result_type=Pair) == Pair(1, "x")
    with pytest.raises(CallError, match="does not decode"):
        desk.call("desk", "echo", [1], result_type=Pair)
    assert desk.call("desk", "version") == "1.0.0"


@pytest.mark.parametrize(
    ("arguments", "named", "said"),
    [
        ((object(),), {}, "argument 1 cannot be sent"),
        ((1, 2**80), {}, "argument 2 cannot be sent: an integer needs more than 64 bits"),
        ((), {"left": {1j}}, "argument 'left' cannot be sent"),
        (("\ud800",), {}, "argument 1 cannot be sent"),
    ],
)
def test_what_cannot_be_encoded_is_refused_and_named(
    desk: Host, arguments: tuple[object, ...], named: dict[str, object], said: str
) -> None:
    with pytest.raises(EncodeError) as caught:
        desk.call("desk", "add", *arguments, **named)
    assert said in str(caught.value)
    assert desk.call("desk", "version") == "1.0.0"


def test_an_argument_that_contains_itself_is_refused(desk: Host) -> None:
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(EncodeError, match="nested too deeply, or contains itself"):
        desk.call("desk", "echo", knot)


def test_a_result_that_cannot_be_encoded_is_an_error_of_the_component(desk: Host) -> None:
    with pytest.raises(EncodeError, match="the result cannot be sent") as caught:
        desk.call("desk", "unsendable")
    assert (caught.value.component, caught.value.version) == ("desk", "1.0.0")


def test_a_result_beyond_the_slabs_names_the_limit(desk: Host) -> None:
    with pytest.raises(PayloadTooLarge, match=r"the limit is 1,073,741,824"):
        desk.call("desk", "blob", (1 << 30) + 1)
    assert desk.call("desk", "version") == "1.0.0"


def test_arguments_beyond_the_slabs_name_the_limit(desk: Host) -> None:
    # Zeros that were never touched take no memory.
    data = memoryview(bytearray((1 << 30) + 1))
    with pytest.raises(PayloadTooLarge, match=r"echo\(\) take .* the limit is 1,073,741,824"):
        desk.call("desk", "echo", data)


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("add", (), "left"),
        ("add", (1, 2, 3), "add()"),
        ("add", ("one",), "argument 'left': expected int, got str"),
        ("count", (3,), "use stream() instead of call()"),
    ],
)
def test_arguments_that_do_not_fit_are_an_argument_error(
    desk: Host, method: str, arguments: tuple[object, ...], said: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        desk.call("desk", method, *arguments)
    assert said in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_a_method_that_is_not_there_is_said_with_those_that_are(desk: Host) -> None:
    with pytest.raises(NoSuchMethod, match=r"it has: add, blob, .*version") as caught:
        desk.call("desk", "vresion")
    assert isinstance(caught.value, AttributeError)
    with pytest.raises(NoSuchMethod):
        desk.call("desk", "start")


def test_a_component_that_was_not_started_is_told_from_one_that_is_unknown(desk: Host) -> None:
    with pytest.raises(HostClosedError, match="start it first"):
        desk.call("base", "ping")
    with pytest.raises(ComponentNotFoundError, match="'dekk' not found in registry"):
        desk.call("dekk", "version")


# -- errors -----------------------------------------------------------------------------


def test_an_error_keeps_type_message_and_traceback(desk: Host, pid_of: Any) -> None:
    with pytest.raises(KeyError) as caught:
        desk.call("desk", "boom", "no such drawer")
    error = caught.value
    assert isinstance(error, RemoteError)
    assert error.type_name == "KeyError"
    assert error.message == "KeyError: 'no such drawer'"
    assert (error.component, error.version) == ("desk", "1.0.0")
    assert error.worker == pid_of(desk, "desk")
    assert "in boom" in error.remote_traceback
    assert "raise KeyError(text)" in error.remote_traceback
    assert any("Remote traceback" in note for note in error.__notes__)


def test_an_error_of_the_components_own_keeps_its_name(desk: Host) -> None:
    with pytest.raises(RemoteError) as caught:
        desk.call("desk", "own_error")
    assert caught.value.type_name == "desk.DeskError"
    assert "the drawer is stuck" in str(caught.value)


def test_leaving_the_interpreter_is_an_error_like_another(desk: Host) -> None:
    with pytest.raises(RemoteError, match="SystemExit: 4"):
        desk.call("desk", "quit")
    assert desk.call("desk", "version") == "1.0.0"


# -- deadlines and cancellation -----------------------------------------------------------


def test_a_deadline_ends_the_wait_and_not_the_work(host: Host, fifo: Callable[[str], Path]) -> None:
    host.start("desk", "<2")
    path = fifo("answer")
    began = time.monotonic()
    with pytest.raises(CallTimeout, match="gave no answer before its deadline"):
        host.call("desk", "wait_for", str(path), timeout=0.05)
    assert 0.05 <= time.monotonic() - began < 1.0
    # It has begun: it goes on to its end, and the next call comes after it.
    noted = host.submit("desk", "note", "after")
    assert not noted.done()
    path.write_text("done")
    assert noted.result() == 1


def test_a_call_that_comes_too_late_is_not_executed(
    host: Host, fifo: Callable[[str], Path]
) -> None:
    host.start("desk", "<2")
    path = fifo("answer")
    first = host.submit("desk", "wait_for", str(path))
    with pytest.raises(CallTimeout):
        host.call("desk", "note", "too late", timeout=0.02)
    path.write_text("done")
    assert first.result() == "done"
    assert host.call("desk", "notes") == []


def test_a_call_that_was_taken_back_is_not_executed(
    host: Host, fifo: Callable[[str], Path]
) -> None:
    host.start("desk", "<2")
    path = fifo("answer")
    first = host.submit("desk", "wait_for", str(path))
    second = host.submit("desk", "note", "taken back")
    third = host.submit("desk", "note", "kept")
    assert second.cancel()
    path.write_text("done")
    assert first.result() == "done"
    assert third.result() == 1
    assert host.call("desk", "notes") == ["kept"]
    assert second.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        second.result()


def test_the_hosts_deadline_is_for_calls_that_name_none(
    new_host: Callable[..., Host], fifo: Callable[[str], Path]
) -> None:
    host = new_host(call_timeout_s=0.05)
    host.start("desk", "<2")
    path = fifo("answer")
    with pytest.raises(CallTimeout):
        host.call("desk", "wait_for", str(path))
    waiting = host.submit("desk", "echo", 1, timeout=None)
    path.write_text("done")
    assert waiting.result() == 1


@pytest.mark.parametrize("timeout", [math.nan, math.inf, -math.inf, "1", -1.0, 1e300])
def test_a_timeout_that_is_no_number_of_seconds_is_refused_at_once(
    desk: Host, timeout: Any
) -> None:
    for make in (desk.call, desk.submit, desk.stream):
        with pytest.raises((HostError, TypeError, ValueError), match="timeout"):
            make("desk", "version", timeout=timeout)


def test_a_very_long_timeout_is_none(desk: Host) -> None:
    assert desk.call("desk", "version", timeout=10**8) == "1.0.0"


# -- futures ------------------------------------------------------------------------------


def test_submitted_calls_are_answered_in_order(desk: Host) -> None:
    calls = [desk.submit("desk", "echo", i) for i in range(1000)]
    assert [call.result() for call in calls] == list(range(1000))


def test_a_submitted_call_is_a_future(desk: Host) -> None:
    call = desk.submit("desk", "echo", 1)
    assert isinstance(call, concurrent.futures.Future)
    done, _ = concurrent.futures.wait([call], timeout=20)
    assert done == {call}
    called = threading.Event()
    failing = desk.submit("desk", "boom", "x")
    failing.add_done_callback(lambda _: called.set())
    assert called.wait(20)
    assert isinstance(failing.exception(), KeyError)


def test_any_number_of_threads_may_call(desk: Host) -> None:
    def ask(thread: int) -> list[Any]:
        return [desk.call("desk", "echo", [thread, i]) for i in range(100)]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for thread, answers in enumerate(pool.map(ask, range(16))):
            assert answers == [[thread, i] for i in range(100)]


# -- one-way messages -----------------------------------------------------------------------


def test_one_way_messages_arrive_in_order_and_their_errors_in_the_log(host: Host, log: Any) -> None:
    host.start("desk", "<2")
    for i in range(100):
        host.notify("desk", "note", i)
    host.notify("desk", "boom", "unheard")
    assert host.call("desk", "notes") == list(range(100))
    record = log.wait_for("unheard")
    assert record.component == "desk"
    host.notify("desk", "no_such_method")
    log.wait_for("there is no such method")
    with pytest.raises(EncodeError):
        host.notify("desk", "note", object())


# -- replicas and keys ------------------------------------------------------------------------


def test_replicas_share_the_calls(host: Host) -> None:
    info = host.start("desk", "<2", replicas=3)
    assert [seat.weight for seat in info.seats] == [3334, 3333, 3333]
    counts = Counter(host.call("desk", "pid") for _ in range(300))
    assert sorted(counts) == sorted(seat.worker.pid for seat in info.seats if seat.worker)
    assert set(counts.values()) <= {99, 100, 101}


def test_calls_with_one_key_go_to_one_seat_in_order(host: Host) -> None:
    host.start("desk", "<2", replicas=3)
    for key in ("a", b"b", 3):
        calls = [host.submit("desk", "note", i, key=key) for i in range(50)]
        counts = [call.result() for call in calls]
        assert counts == list(range(counts[0], counts[0] + 50))
    pids = {key: host.call("desk", "pid", key=key) for key in range(50)}
    assert len(set(pids.values())) == 3
    assert pids == {key: host.call("desk", "pid", key=key) for key in range(50)}


def test_all_workers_of_a_host_hash_alike(new_host: Callable[..., Host]) -> None:
    orders = set()
    for _ in range(2):
        host = new_host(hash_seed=4711)
        host.start("desk", "<2", replicas=2)
        orders |= {tuple(host.call("desk", "set_hash")) for _ in range(4)}
    assert len(orders) == 1


# -- the component's view ----------------------------------------------------------------------


def test_a_worker_sees_the_hosts_environment_and_no_input(
    new_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_COLOUR", "green")
    host = new_host()
    host.start("desk", "<2")
    host.start("vandal")
    assert host.call("desk", "environment", "DESK_COLOUR") == "green"
    assert host.call("vandal", "read_stdin") == ""


def test_health_is_asked_of_every_worker(host: Host, pid_of: Any) -> None:
    host.start("desk", "<2")
    pid = pid_of(host, "desk")
    assert host.health("desk") == {pid: None}
    host.call("desk", "note", "unwell")
    assert host.health("desk") == {pid: "unwell"}
    with pytest.raises(ComponentNotFoundError, match="not running"):
        host.health("base")


def test_health_does_not_wait_for_a_worker_that_is_busy(
    new_host: Callable[..., Host], fifo: Callable[[str], Path], pid_of: Any
) -> None:
    host = new_host(health_timeout_s=0.05)
    host.start("desk", "<2")
    path = fifo("answer")
    call = host.submit("desk", "wait_for", str(path))
    # Can be opened once the worker reads from it.
    with path.open("w") as answer:
        assert host.health("desk") == {pid_of(host, "desk"): "it did not answer within 0.05 s"}
        answer.write("done")
    assert call.result() == "done"


def test_what_was_started_is_shown_as_it_is(desk: Host, pid_of: Any) -> None:
    info = next(info for info in desk.components() if info.name == "desk")
    assert (info.version, info.kind, info.state_model, info.state) == (
        "1.0.0",
        "service",
        "stateless",
        "running",
    )
    assert (info.reason, info.requires) == ("", {})
    methods = {method.name: method for method in info.methods}
    assert methods["version"].is_query
    assert not methods["add"].is_query
    assert methods["count"].is_stream
    (seat,) = info.seats
    assert seat.weight == 10_000
    assert seat.restarts == 0
    assert seat.worker is not None
    assert seat.worker.state == "serving"
    assert seat.worker.pid == desk.call("desk", "pid")
    assert abs(seat.worker.started_at_s - time.time()) < 120


def test_one_host_calls_from_inside_a_callback(desk: Host) -> None:
    answered: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def again(_: object) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            answered.set_result(desk.call("desk", "echo", "again", timeout=10))

    desk.submit("desk", "echo", 1).add_done_callback(again)
    assert answered.result(20) == "again"
