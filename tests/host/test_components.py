"""Starting, stopping and connecting components."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from noodle_host import (
    CallTimeout,
    ComponentNotFoundError,
    Host,
    HostClosedError,
    HostError,
    RequirementError,
    StartError,
    WorkerDied,
)


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the components base, middle and top have written so far."""
    file = tmp_path / "order"
    monkeypatch.setenv("ORDER_FILE", str(file))
    return lambda: file.read_text().splitlines()


# -- requirements --------------------------------------------------------------------------


def test_what_is_required_starts_first_and_stops_last(
    order: Callable[[], list[str]], new_host: Callable[..., Host]
) -> None:
    host = new_host()
    assert host.start("top").name == "top"
    assert order() == ["start base", "start middle", "start top"]
    assert [info.name for info in host.components()] == ["base", "middle", "top"]
    host.close()
    assert order()[3:] == ["stop top", "stop middle", "stop base"]


def test_several_components_start_together_or_not_at_all(
    order: Callable[[], list[str]], new_host: Callable[..., Host]
) -> None:
    host = new_host()
    infos = host.start_all({"top": None, "desk": "<2"})
    assert [info.name for info in infos] == ["top", "desk"]
    host.start_all({"top": None, "desk": "1.0.0"})
    with pytest.raises(StartError, match="port 80 is taken"):
        host.start_all({"ledger": None, "start_raises": None})
    assert "ledger" not in {info.name for info in host.components()}


@pytest.mark.parametrize(
    ("name", "words"),
    [("orphan", ["orphan", "nobody"]), ("outdated", ["outdated", "desk", ">=3", "2.0.0"])],
)
def test_a_requirement_that_is_not_met(host: Host, name: str, words: list[str]) -> None:
    with pytest.raises(RequirementError) as caught:
        host.start(name)
    assert [word for word in words if word not in str(caught.value)] == []
    assert host.components() == []


def test_a_requirement_that_does_not_start_takes_the_rest_back(
    order: Callable[[], list[str]], new_host: Callable[..., Host]
) -> None:
    host = new_host()
    with pytest.raises(StartError, match="start_raises"):
        host.start("needs_broken")
    assert host.components() == []


def test_a_component_that_others_need_is_not_stopped_under_them(host: Host) -> None:
    host.start("clerk")
    with pytest.raises(HostError, match="clerk"):
        host.stop("desk")
    assert host.call("clerk", "ask", "desk", "version", []) == "1.0.0"
    host.stop("clerk")
    host.stop("desk")
    assert host.components() == []


# -- versions and replicas -----------------------------------------------------------------


def test_the_newest_version_unless_another_is_asked_for(host: Host) -> None:
    assert host.start("desk").version == "2.0.0"
    assert host.call("desk", "version") == "2.0.0"
    host.stop("desk")
    assert host.start("desk", "<2").version == "1.0.0"
    assert host.call("desk", "version") == "1.0.0"


def test_two_versions_of_one_module_in_two_hosts(new_host: Callable[..., Host]) -> None:
    old, new = new_host(), new_host()
    old.start("desk", "1.0.0")
    new.start("desk", "2.0.0")
    assert (old.call("desk", "version"), new.call("desk", "version")) == ("1.0.0", "2.0.0")


def test_starting_again_gives_what_runs_or_says_what_differs(host: Host) -> None:
    first = host.start("desk", "<2")
    assert host.start("desk").seats == first.seats
    with pytest.raises(RequirementError, match=r"1\.0\.0 is running, not 2\.0\.0"):
        host.start("desk", "2.0.0")
    with pytest.raises(RequirementError, match="1 replica"):
        host.start("desk", replicas=2)


@pytest.mark.parametrize("replicas", [0, -1])
def test_a_number_of_replicas_that_cannot_be(host: Host, replicas: int) -> None:
    with pytest.raises((HostError, ValueError), match="replicas"):
        host.start("desk", "<2", replicas=replicas)


def test_a_component_with_a_state_has_one_worker(host: Host) -> None:
    with pytest.raises(HostError, match="replica"):
        host.start("ledger", replicas=2)
    host.start("ledger")
    assert [host.call("ledger", "add", n) for n in (1, 2, 3)] == [1, 3, 6]


@pytest.mark.parametrize("name", ["desc", "", "../desk", "desk\0"])
def test_a_component_that_is_not_there(host: Host, name: str) -> None:
    for act in (host.start, host.stop, host.health):
        with pytest.raises(ComponentNotFoundError):
            act(name)


# -- from component to component -----------------------------------------------------------


def test_a_component_calls_what_it_requires(host: Host) -> None:
    host.start("clerk")
    assert host.call("clerk", "ask", "desk", "add", [1, 2]) == 3
    assert host.call("clerk", "caught", "k") == "caught RemoteKeyError"
    assert list(host.stream("clerk", "relay", "count", [300])) == list(range(300))
    assert host.call("clerk", "first_of", "count_noted", [10**6], 3) == [0, 1, 2]
    large = bytes(3 << 20)
    assert host.call("clerk", "ask", "desk", "echo", [large]) == large


def test_an_error_comes_through_two_workers_as_it_is(host: Host) -> None:
    host.start("clerk")
    with pytest.raises(KeyError, match="far away") as caught:
        host.call("clerk", "ask", "desk", "boom", ["far away"])
    assert "in boom" in "".join(getattr(caught.value, "__notes__", [])) + str(
        getattr(caught.value, "remote_traceback", "")
    )


def test_a_component_calls_nothing_else(host: Host) -> None:
    host.start("clerk")
    host.start("vandal")
    with pytest.raises(HostError, match=r"vandal"):
        host.call("clerk", "ask", "vandal", "pid", [])
    assert "thread" in host.call("clerk", "ask_from_thread")


def test_a_deadline_travels_with_the_call(host: Host, fifo: Callable[[str], Path]) -> None:
    host.start("clerk")
    path = fifo("never")
    with pytest.raises(CallTimeout):
        host.call("clerk", "ask", "desk", "wait_for", [str(path)], timeout=0.3)
    # The clerk is free again although the desk still waits.
    with pytest.raises(CallTimeout):
        host.call("clerk", "ask_within", 0.1, "version", [], timeout=20)
    with path.open("w") as answer:
        answer.write("done")
    assert host.call("clerk", "ask", "desk", "version", [], timeout=20) == "1.0.0"


def test_the_death_of_what_it_calls_reaches_the_caller_of_a_component(
    host: Host, fifo: Callable[[str], Path], pid_of: Any
) -> None:
    host.start("clerk")
    path = fifo("waiting")
    call = host.submit("clerk", "ask", "desk", "wait_for_ever", [str(path)])
    with path.open() as pipe:
        assert pipe.readline()
    os.kill(pid_of(host, "desk"), 9)
    with pytest.raises(WorkerDied, match="desk"):
        call.result()
    assert host.call("clerk", "ask", "desk", "version", [], timeout=20) == "1.0.0"


# -- the end -------------------------------------------------------------------------------


def test_a_closed_host_says_so(new_host: Callable[..., Host]) -> None:
    host = new_host()
    host.start("desk", "<2")
    host.close()
    host.close()
    for act in (
        lambda: host.call("desk", "version"),
        lambda: host.submit("desk", "version").result(),
        lambda: list(host.stream("desk", "count", 1)),
        lambda: host.notify("desk", "version"),
        lambda: host.start("desk"),
        lambda: host.start_all({"desk": None}),
        lambda: host.stop("desk"),
        host.components,
        lambda: host.health("desk"),
    ):
        with pytest.raises(HostClosedError, match="closed"):
            act()


def test_calls_under_way_end_when_the_host_closes(
    new_host: Callable[..., Host], fifo: Callable[[str], Path]
) -> None:
    host = new_host(stop_timeout_s=0.2)
    host.start("desk", "<2")
    path = fifo("waiting")
    call = host.submit("desk", "wait_for_ever", str(path))
    with path.open() as pipe:
        assert pipe.readline()
    host.close()
    with pytest.raises(HostError):
        call.result(timeout=20)


def test_two_hundred_starts_leave_nothing(host: Host, leaves_nothing: Any) -> None:
    def once() -> None:
        host.start("desk", "<2")
        assert host.call("desk", "echo", b"x" * 100_000) == b"x" * 100_000
        host.stop("desk")

    once()
    with leaves_nothing():
        for _ in range(200):
            once()


def test_a_host_may_be_made_and_used_in_any_thread(plugins: Path) -> None:
    answers = []

    def use() -> None:
        with Host(plugins) as host:
            host.start("desk", "<2")
            answers.append(host.call("desk", "version"))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert answers == ["1.0.0"] * 3


def test_a_program_that_forgets_to_close_ends_all_the_same(
    run_script: Any, plugins: Path, wait_gone: Any
) -> None:
    process = run_script(
        "import sys\nfrom noodle_host import Host\nhost = Host(sys.argv[1])\n"
        "host.start('desk', '<2')\nprint(host.call('desk', 'pid'))\n",
        plugins,
    )
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    wait_gone(int(out))


def test_starting_from_an_event_loop_does_not_hold_it_up(plugins: Path) -> None:
    async def work() -> int:
        turns = 0
        async with Host(plugins) as host:
            start = asyncio.ensure_future(host.astart("desk", "<2"))
            while not start.done():
                await asyncio.sleep(0)
                turns += 1
        return turns

    assert asyncio.run(work()) > 10
