"""Endpoints: many threads, two processes, full lanes, routes that change, damage, an end."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from noodle_host.errors import (
    CallError,
    CallTimeout,
    EncodeError,
    HostClosedError,
    PayloadTooLarge,
)
from noodle_host.router import codec, layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.channel import ChannelEnd
from noodle_host.router.route import Share, even_shares
from noodle_host.router.segment import Segment


def turn(seat: Any) -> None:
    """Let the seat do all that it can do now."""
    while seat.turn():
        pass


def fill(rig: Any) -> None:
    """Leave no room in the request lane of seat 1 for anything."""
    outbox = rig.endpoint._links[1].end.outbox
    for body in (codec.encode_result([b"x" * 1000]), codec.encode_result([])):
        while outbox.send(layout.NOTIFY, 0, 0, 0, 0, 0, body) >= 0:
            pass


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


# -- calls ---------------------------------------------------------------------------


def test_calls_to_another_process(served: Any) -> None:
    for size in (0, 1000, 100_000, 1 << 20):
        assert served.call("echo", b"x" * size) == b"x" * size
    with pytest.raises(KeyError, match="what"):
        served.call("boom", "what")


def test_two_endpoints_in_one_process(new_rig: Callable[[], Any]) -> None:
    one, other = new_rig(), new_rig()
    for rig in (one, other):
        rig.start()
        rig.serve()
    calls = [(rig.submit("echo", i), i) for i in range(200) for rig in (one, other)]
    assert all(call.result() == i for call, i in calls)


@pytest.mark.parametrize("where", ["serve", "serve_in_child"])
def test_every_thread_gets_its_own_answers(rig: Any, where: str) -> None:
    getattr(rig, where)()
    wrong: list[Any] = []
    finished: list[int] = []

    def work(who: int) -> None:
        for i in range(2000):
            answer = rig.call("echo", [who, i])
            if answer != [who, i]:
                wrong.append(((who, i), answer))
        finished.append(who)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive(), "a call hangs"
    assert not wrong
    assert sorted(finished) == list(range(8))
    assert not rig.endpoint._links[1].pending


def test_threads_that_send_large_and_small_never_wait_long(served: Any) -> None:
    slowest: list[float] = []

    def work(who: int) -> None:
        worst = 0.0
        for i in range(60):
            body = bytes([who]) * (200_000 if i % 3 == 0 else 10)
            started = time.monotonic()
            assert served.call("echo", body) == body
            worst = max(worst, time.monotonic() - started)
        slowest.append(worst)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len(slowest) == 8
    # A lost wake-up is made good after a second.
    assert max(slowest) < 0.9


def test_no_wake_up_is_lost_between_threads_that_come_and_go(served: Any) -> None:
    """Each round has a holder of the pump that leaves while another comes."""
    worst = 0.0
    for _ in range(150):
        gate = threading.Barrier(4)
        times: list[float] = []

        def work(gate: threading.Barrier = gate, times: list[float] = times) -> None:
            gate.wait()
            started = time.monotonic()
            served.call("echo", 1)
            times.append(time.monotonic() - started)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(times) == 4
        worst = max(worst, *times)
    assert worst < 0.9


def test_many_calls_under_way_at_once(served: Any) -> None:
    calls = [served.submit("echo", i) for i in range(20_000)]
    assert [call.result() for call in calls] == list(range(20_000))


def test_calls_whose_results_nobody_wants_do_not_pile_up(served: Any) -> None:
    for _ in range(40_000):
        served.submit("echo", b"x" * 100)
    assert served.call("echo", 1) == 1
    served.endpoint.nudge()
    assert len(served.endpoint._links[1].pending) < 20_000


def test_calls_that_nobody_answers_or_awaits_do_not_pile_up(rig: Any) -> None:
    # A worker drops what comes too late without a word.
    for _ in range(20):
        for _ in range(400):
            rig.submit("echo", timeout_s=1e-6)
        while rig.seats[1].end.inbox.reader.read() is not None:
            rig.seats[1].retire()
    assert len(rig.endpoint._links[1].pending) <= 2048


def test_what_cannot_be_encoded_is_not_sent(rig: Any) -> None:
    with pytest.raises(EncodeError, match="argument 1"):
        rig.submit("echo", object())
    assert rig.seats[1].end.inbox.reader.read() is None
    assert not rig.endpoint._links[1].pending


def test_a_finalizer_may_make_a_call_while_its_thread_delivers(served: Any) -> None:
    results: list[Any] = []

    class Caller:
        def __del__(self) -> None:
            results.append(served.call("echo", "from a finalizer"))

    call = served.submit("echo", 1)
    callers = [Caller()]
    call.wakes.add(callers.clear)
    assert call.result() == 1
    assert results == ["from a finalizer"]
    assert served.call("echo", 2) == 2


# -- no room --------------------------------------------------------------------------


def test_a_full_lane_makes_the_caller_wait_and_no_longer(rig: Any) -> None:
    fill(rig)
    started = time.monotonic()
    threading.Timer(0.05, rig.serve).start()
    assert rig.call("echo", 1) == 1
    assert 0.04 < time.monotonic() - started < 1
    assert len(rig.seats[1].notified) > 100


def test_a_lane_that_stays_full_ends_at_the_deadline(rig: Any) -> None:
    fill(rig)
    started = time.monotonic()
    with pytest.raises(CallTimeout, match=r"echo\(\) could not be sent before its deadline"):
        rig.submit("echo", 1, timeout_s=0.07)
    assert 0.06 < time.monotonic() - started < 0.5
    assert not rig.endpoint._links[1].pending


def test_several_threads_that_wait_for_room_all_get_it(served: Any) -> None:
    """One-way messages only: no reply comes that would wake anybody by the way."""
    slowest: list[float] = []

    def work() -> None:
        worst = 0.0
        for _ in range(400):
            started = time.monotonic()
            served.notify(b"x" * 20_000)
            worst = max(worst, time.monotonic() - started)
        slowest.append(worst)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(slowest) == 4
    assert served.call("echo", 1) == 1


def test_replies_that_nobody_waits_for_do_not_block_the_way_for_ever(served: Any) -> None:
    """The reply lane is full of results of cancelled calls; then only notifications follow."""
    calls = [served.submit("echo", b"x" * 30_000) for _ in range(60)]
    for call in calls:
        call.cancel()
    done = threading.Event()

    def notify() -> None:
        for _ in range(200):
            served.notify(b"x" * 20_000)
        done.set()

    threading.Thread(target=notify, daemon=True).start()
    assert done.wait(10), "caller and seat wait for each other"


def test_caller_and_seat_that_both_wait_for_room_go_on(served: Any) -> None:
    body = b"x" * 30_000
    calls = [served.submit("echo", body) for _ in range(300)]
    assert all(call.result() == body for call in calls)


def test_slabs_that_are_held_make_the_next_one_wait_until_they_are_dropped(
    new_rig: Callable[[], Any],
) -> None:
    rig = new_rig()
    rig.arena_bytes = 1 << 20
    (seat,) = rig.start()
    views: list[Any] = []

    def hold() -> None:
        record = seat.take()
        views.append(seat.end.inbox.arena.lease(*seat.end.inbox.slab(record)))
        seat.reply(record, 1)

    for _ in range(9):
        call = rig.submit("echo", bytes(100_000))
        hold()
        assert call.result() == 1
    with pytest.raises(CallTimeout, match="could not be sent"):
        rig.submit("echo", bytes(100_000), timeout_s=0.02)
    # The lane is as good as empty: small calls pass.
    call = rig.submit("echo", 1)
    seat.reply(seat.take(), 2)
    assert call.result() == 2
    threading.Timer(0.05, views.clear).start()
    rig.submit("echo", bytes(100_000), timeout_s=10)
    hold()


def test_a_message_above_the_limit_is_refused_at_once(new_rig: Callable[[], Any]) -> None:
    rig = new_rig()
    rig.arena_bytes = 1 << 20
    rig.start()
    with pytest.raises(
        PayloadTooLarge, match=r"echo\(\) take 300,00\d bytes; the limit is 262,144"
    ):
        rig.submit("echo", bytes(300_000))
    assert not rig.endpoint._links[1].pending
    with pytest.raises(PayloadTooLarge):
        rig.notify(bytes(300_000))


def test_results_that_are_not_fetched_hold_up_their_caller_and_nobody_else(
    new_rig: Callable[[], Any],
) -> None:
    """They take up the seat's arena: there is no end to them otherwise."""
    rig = new_rig()
    rig.arena_bytes = 1 << 20
    rig.start()
    rig.serve_in_child()
    bodies = [bytes([i]) * 100_000 for i in range(60)]
    calls = []

    def submit_all() -> None:
        calls.extend(rig.submit("echo", body, timeout_s=2.0) for body in bodies)

    with pytest.raises(CallTimeout, match="large results wait to be fetched"):
        submit_all()
    assert 9 < len(calls) < 30
    fetched = [call.result() for call in calls if call.exception() is None]
    assert fetched == bodies[: len(fetched)]
    assert len(fetched) >= 9
    del calls[:], fetched
    assert [rig.call("echo", body) for body in bodies] == bodies


# -- routes ----------------------------------------------------------------------------


def test_calls_spread_over_seats_and_keys_stay(new_rig: Callable[[], Any]) -> None:
    rig = new_rig()
    seats = rig.start(seats=3)
    for _ in range(300):
        rig.notify(1)
    counts = []
    for seat in seats:
        turn(seat)
        counts.append(len(seat.notified))
    assert counts == [100, 100, 100]
    for _ in range(10):
        rig.endpoint.notify("shop", "echo", (2,), {}, key="user-1")
    for seat in seats:
        turn(seat)
    assert Counter(len(seat.notified) for seat in seats) == {100: 2, 110: 1}


def test_a_route_that_changes_is_followed_at_once(rig: Any) -> None:
    first = rig.seats[1]
    (second,) = rig.start()
    rig.notify("new")
    turn(first)
    turn(second)
    assert (first.notified, second.notified) == ([], [["new"]])


def test_a_component_without_a_route_is_not_running(rig: Any) -> None:
    rig.table.write(0, [])
    with pytest.raises(HostClosedError, match="shop: the component is not running"):
        rig.call("echo", 1)


def test_routes_may_change_under_calls(rig: Any) -> None:
    rig.start(seats=2)
    rig.serve_in_child()
    stop = threading.Event()

    def change() -> None:
        weight = 0
        while not stop.is_set():
            weight = (weight + 1234) % 10_001
            rig.table.write(0, [Share(2, weight), Share(3, 10_000 - weight)])
            rig.table.write(0, even_shares([1, 2, 3]))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for i in range(300):
            assert rig.call("echo", i) == i
    finally:
        stop.set()
        thread.join()


def test_threads_that_connect_at_once_use_one_channel(new_rig: Callable[[], Any]) -> None:
    rig = new_rig()
    rig.slots["shop"] = 0
    rig.table.write(0, even_shares([1]))
    gate = threading.Barrier(4)
    connect = rig.connect

    def slow_connect(component: str, seat: int) -> Any:
        gate.wait(5)
        return connect(component, seat)

    rig.connect = slow_connect
    links: list[Any] = []
    threads = [
        threading.Thread(target=lambda: links.append(rig.endpoint._link("shop", 0)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(link) for link in links}) == 1


# -- damage ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "body"),
    [
        (layout.SLAB, b"\xff" * 16),
        (layout.SLAB, b"short"),
        (layout.SLAB, (8256 + 2 * layout.LANE_BYTES + (16 << 20)).to_bytes(8, "little") + bytes(8)),
        (0, b"\xc1"),
    ],
)
def test_nonsense_from_a_seat_fails_its_calls_and_no_others(
    rig: Any, flags: int, body: bytes
) -> None:
    rig.start("other")
    calls = [rig.submit("echo", 1) for _ in range(2)]
    innocent = rig.submit("echo", 1, component="other")
    seat = rig.seats[1]
    seat.end.outbox.send(layout.ERROR, flags, seat.take()[4], 0, 0, 0, body)
    for call in calls:
        with pytest.raises(CallError, match="the worker's replies are corrupt"):
            call.result()
    assert [number for number, _ in rig.corrupt] == [1]
    rig.seats[2].reply(rig.seats[2].take(), 5)
    assert innocent.result() == 5


def test_a_ring_of_nonsense_is_noticed(rig: Any) -> None:
    call = rig.submit("echo", 1)
    start = layout.CHANNEL_HEADER_BYTES + layout.LANE_BYTES
    segment = rig.seats[1].end.segment
    segment.words[start >> 3] = 0x1234_0000_0007
    with pytest.raises(CallError, match="corrupt"):
        call.result()


def test_endless_replies_do_not_keep_a_thread_from_its_own(rig: Any) -> None:
    """A seat that writes and writes, and a reader that is never done."""
    seat = rig.seats[1]
    call = rig.submit("echo", 1)
    record = seat.take()
    stop = threading.Event()

    def flood() -> None:
        sent = False
        while not stop.is_set():
            seat.end.outbox.send(layout.REPLY, 0, 1 << 40, 0, 0, 0, b"\xc0")
            if not sent:
                seat.reply(record, 7)
                sent = True

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        assert call.result(10) == 7
    finally:
        stop.set()
        thread.join()


# -- a seat that is gone --------------------------------------------------------------------


def test_a_closed_seat_takes_no_calls(rig: Any) -> None:
    rig.seats[1].end.segment.words[layout.CH_CLOSED] = 1
    call = rig.submit("echo", 1)
    with pytest.raises(HostClosedError, match="not running"):
        call.result()
    fill(rig)
    with pytest.raises(HostClosedError):
        rig.submit("echo", 1)


def test_dropping_a_seat_reaches_a_thread_that_waits_for_room(rig: Any) -> None:
    fill(rig)
    outcome: list[Any] = []

    def work() -> None:
        try:
            rig.submit("echo", 1)
        except HostClosedError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not rig.bell.words[layout.BELL_SLEEPING]:
        pass
    rig.endpoint.drop(1, HostClosedError("stopped"))
    thread.join(5)
    assert outcome


def test_a_killed_seat_leaves_waiting_threads_to_their_deadlines(rig: Any) -> None:
    child = rig.serve_in_child()
    assert rig.call("echo", 1) == 1
    os.kill(child, signal.SIGSTOP)
    calls = [rig.submit("echo", i, timeout_s=0.05) for i in range(3)]
    os.kill(child, signal.SIGKILL)
    for call in calls:
        with pytest.raises(CallTimeout):
            call.result()


def test_what_was_attached_is_let_go_when_its_seat_is_gone(rig: Any) -> None:
    """As in a worker, which gets its channels as descriptors."""
    connect = rig.connect

    def attach(component: str, seat: int) -> Any:
        own = connect(component, seat)
        bell = Doorbell.attach(*[os.dup(fd) for fd in rig.seat_bell.fds()])
        return ChannelEnd(Segment.attach(os.dup(own.segment.fd)), bell, caller=True)

    rig.connect = attach

    def next_seat() -> None:
        for seat in rig.seats.values():
            seat.end.segment.words[layout.CH_CLOSED] = 1
            seat.end.segment.close()
        rig.seats.clear()
        (seat,) = rig.start()
        call = rig.submit("echo", 1)
        turn(seat)
        assert call.result() == 1

    next_seat()
    next_seat()
    before = open_files()
    for _ in range(5):
        next_seat()
    assert open_files() == before
    assert len(rig.endpoint._links) == 1


def test_closing_while_threads_submit(rig: Any) -> None:
    rig.serve()
    outcomes: list[Any] = []
    started = threading.Barrier(5)

    def work() -> None:
        started.wait()
        try:
            while True:
                rig.call("echo", 1)
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    for _ in range(50):
        rig.call("echo", 1)
    rig.endpoint.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert [type(outcome) for outcome in outcomes] == [HostClosedError] * 4


def test_closing_leaves_nothing_open(new_rig: Callable[[], Any]) -> None:
    def once() -> None:
        rig = new_rig()
        rig.start()
        rig.serve()
        rig.submit("echo", 1).add_done_callback(lambda _: None)
        assert rig.call("echo", 1) == 1
        list(rig.stream("count", 100))
        rig.close()

    once()
    before = open_files(), threading.active_count()
    for _ in range(3):
        once()
    # The fixture still knows them; their mappings keep a descriptor each.
    rigs = new_rig.__closure__[0].cell_contents  # type: ignore[attr-defined]
    rigs.clear()
    assert (open_files(), threading.active_count()) <= before
