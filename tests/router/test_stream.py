"""Streams: items in order, as many ahead as were asked for, and an end for every task."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import pytest

from noodle_host.errors import CallError, CallTimeout, HostClosedError, RemoteError, WorkerDied
from noodle_host.router import codec, layout
from noodle_host.router.stream import WINDOW_ITEMS, NothingYetError


def turn(seat: Any) -> None:
    """Let the seat do all that it can do now."""
    while seat.turn():
        pass


def waiting_items(rig: Any) -> int:
    """How many items were delivered and wait for their consumer."""
    rig.endpoint.nudge()
    return sum(len(inflow.items) for link in rig.endpoint._links.values()
               for inflow in link.pending.values())  # fmt: skip


# -- items and their end -----------------------------------------------------------


@pytest.mark.parametrize("items", [0, 1, WINDOW_ITEMS, WINDOW_ITEMS + 1, 5000])
def test_all_items_arrive_in_order(served: Any, items: int) -> None:
    stream = served.stream("count", items)
    assert list(stream) == list(range(items))
    assert list(stream) == []


def test_large_items_arrive_and_give_their_memory_back(served: Any) -> None:
    size = 100_000
    for i, item in enumerate(served.stream("blocks", 300, size)):
        assert item == bytes([i % 256]) * size
    assert served.call("echo", 1) == 1
    arena = served.endpoint._links[1].end.inbox.arena
    assert not arena._leases


def test_an_error_comes_after_the_items_before_it(served: Any) -> None:
    stream = served.stream("fail_after", 3)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RemoteError, match="enough") as caught:
        next(stream)
    assert isinstance(caught.value, KeyError)
    with pytest.raises(StopIteration):
        next(stream)


def test_many_streams_at_once_do_not_mix(served: Any) -> None:
    streams = [served.stream("count", 200 + i) for i in range(20)]
    counts = [0] * 20
    while any(streams):
        for i, stream in enumerate(streams):
            if stream is not None:
                try:
                    assert next(stream) == counts[i]
                    counts[i] += 1
                except StopIteration:
                    streams[i] = None
    assert counts == [200 + i for i in range(20)]


def test_streams_in_many_threads(served: Any) -> None:
    sums: list[int] = []

    def consume() -> None:
        sums.append(sum(served.stream("count", 2000)))

    threads = [threading.Thread(target=consume) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sums == [1999000] * 6


def test_threads_that_share_a_stream_share_its_items(served: Any) -> None:
    stream = served.stream("count", 3000)
    taken: list[list[int]] = [[] for _ in range(4)]

    def consume(mine: list[int]) -> None:
        mine.extend(stream)

    threads = [threading.Thread(target=consume, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(item for mine in taken for item in mine) == list(range(3000))
    assert all(mine == sorted(mine) for mine in taken)


# -- back-pressure -------------------------------------------------------------------


def test_a_task_is_stopped_a_window_ahead_of_its_consumer(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 10_000)
    turn(seat)
    assert waiting_items(rig) == WINDOW_ITEMS
    turn(seat)
    assert waiting_items(rig) == WINDOW_ITEMS
    consumed = 0
    for _ in range(50):
        for _ in range(7):
            assert next(stream) == consumed
            consumed += 1
        turn(seat)
        assert WINDOW_ITEMS // 2 <= waiting_items(rig) <= WINDOW_ITEMS


def test_a_consumer_that_never_reads_costs_a_window(rig: Any) -> None:
    size = 40_000
    seat = rig.seats[1]
    streams = [rig.stream("blocks", 100_000, size) for _ in range(2)]
    for _ in range(20):
        turn(seat)
        rig.endpoint.nudge()
    assert waiting_items(rig) == 2 * WINDOW_ITEMS
    assert seat.end.outbox.arena.live_bytes == 2 * WINDOW_ITEMS << 16
    for stream in streams:
        stream.close()
    rig.endpoint.nudge()
    assert seat.end.outbox.arena.live_bytes == 0


def test_a_task_that_sends_more_than_was_asked_for_loses_its_link(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 1)
    call_id = seat.take()[4]
    for i in range(20 * WINDOW_ITEMS):
        seat.send(layout.ITEM, call_id, i)
    with pytest.raises(CallError, match="more items than it was asked for"):
        list(stream)
    assert [seat_number for seat_number, _ in rig.corrupt] == [1]


# -- closing ---------------------------------------------------------------------------


def test_closing_cancels_the_task(rig: Any) -> None:
    seat = rig.seats[1]
    with rig.stream("count", 10_000) as stream:
        turn(seat)
        assert next(stream) == 0
    turn(seat)
    assert len(seat.cancelled) == 1
    assert not seat.tasks
    assert list(stream) == []
    rig.endpoint.nudge()
    assert not rig.endpoint._links[1].pending


def test_closing_before_it_has_begun_takes_it_back(rig: Any) -> None:
    seat = rig.seats[1]
    rig.stream("count", 10_000).close()
    record = seat.take()
    assert (record[1], record[10]) == (layout.STREAM, layout.MARK_CANCELLED)


def test_a_stream_that_has_ended_is_not_cancelled(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 3)
    turn(seat)
    assert list(stream) == [0, 1, 2]
    stream.close()
    del stream
    turn(seat)
    assert not seat.cancelled


def test_dropping_a_stream_cancels_its_task(rig: Any) -> None:
    seat = rig.seats[1]
    gc.disable()
    try:
        stream = rig.stream("count", 10_000)
        turn(seat)
        for item in stream:
            if item == 3:
                break
        del stream, item
        turn(seat)
        assert len(seat.cancelled) == 1
        assert not seat.tasks
        assert not rig.endpoint._links[1].pending
    finally:
        gc.enable()


def test_a_stream_that_is_dropped_while_its_lane_is_locked_is_cancelled_later(rig: Any) -> None:
    # A finalizer may run where the same thread holds the lock.
    seat = rig.seats[1]
    stream = rig.stream("count", 10)
    turn(seat)
    with rig.endpoint._links[1].end.outbox.lock:
        del stream
    assert not seat.cancelled
    call = rig.submit("echo", 1)
    turn(seat)
    assert len(seat.cancelled) == 1
    assert call.result() == 1


def test_neither_closing_nor_granting_waits_for_room(rig: Any) -> None:
    seat = rig.seats[1]
    streams = [rig.stream("count", 10_000) for _ in range(2)]
    turn(seat)
    outbox = rig.endpoint._links[1].end.outbox
    for body in (codec.encode_result([b"x" * 100]), codec.encode_result([])):
        while outbox.send(layout.NOTIFY, 0, 0, 0, 0, 0, body) >= 0:
            pass
    started = time.monotonic()
    streams[0].close()
    assert [next(streams[1]) for _ in range(WINDOW_ITEMS)] == list(range(WINDOW_ITEMS))
    assert time.monotonic() - started < 1
    # As soon as there is room, both are made up for.
    turn(seat)
    rig.endpoint.nudge()
    turn(seat)
    assert len(seat.cancelled) == 1
    assert next(streams[1]) == WINDOW_ITEMS


def test_closing_wakes_a_thread_that_waits_for_an_item(rig: Any) -> None:
    stream = rig.stream("count", 1)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(list(stream)))
    thread.start()
    while not rig.bell.words[layout.BELL_SLEEPING]:
        pass
    started = time.monotonic()
    stream.close()
    thread.join()
    assert got == [[]]
    assert time.monotonic() - started < 0.5


# -- what goes wrong ----------------------------------------------------------------------


def test_a_late_stream_gives_what_it_has_and_ends(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 10_000, timeout_s=0.05)
    turn(seat)
    got = []
    with pytest.raises(CallTimeout, match=r"count\(\) did not end before its deadline"):
        got.extend(iter(lambda: next(stream), None))
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(stream)
    turn(seat)
    assert len(seat.cancelled) == 1


def test_nothing_to_take_is_neither_an_item_nor_the_end(rig: Any) -> None:
    stream = rig.stream("count", 1)
    with pytest.raises(NothingYetError):
        stream.take()


def test_an_item_that_does_not_decode_ends_the_stream(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 1)
    call_id = seat.take()[4]
    seat.send(layout.ITEM, call_id, 1)
    seat.send(layout.ITEM, call_id, raw=b"\xc1")
    seat.send(layout.ITEM, call_id, 3)
    assert next(stream) == 1
    with pytest.raises(CallError, match=r"an item of count\(\) does not decode"):
        next(stream)
    assert list(stream) == []
    turn(seat)
    assert seat.cancelled == [call_id]


def test_a_reply_is_no_part_of_a_stream(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 1)
    seat.send(layout.REPLY, seat.take()[4], 1)
    with pytest.raises(CallError, match="no part of a stream"):
        next(stream)


def test_an_item_that_is_delivered_twice_is_taken_once(rig: Any) -> None:
    # As after a signal handler has raised between two steps of a delivery.
    seat = rig.seats[1]
    stream = rig.stream("count", 4)
    turn(seat)
    rig.endpoint.nudge()
    inflow = next(iter(rig.endpoint._links[1].pending.values()), None) or stream._inflow
    inflow.items.insert(2, inflow.items[1])
    assert list(stream) == [0, 1, 2, 3]


def test_a_seat_that_is_gone_ends_its_streams_after_their_items(rig: Any) -> None:
    seat = rig.seats[1]
    stream = rig.stream("count", 10_000)
    turn(seat)
    rig.endpoint.nudge()
    rig.endpoint.drop(1, WorkerDied("it died", component="shop"))
    assert [next(stream) for _ in range(WINDOW_ITEMS)] == list(range(WINDOW_ITEMS))
    with pytest.raises(WorkerDied):
        next(stream)


def test_closing_the_endpoint_ends_streams_and_dropping_them_then_is_harmless(rig: Any) -> None:
    stream, other = rig.stream("count", 1), rig.stream("count", 1)
    rig.close()
    with pytest.raises(HostClosedError):
        next(stream)
    del stream
    other.close()


def test_signals_that_raise_anywhere_leave_a_stream_in_order(
    served: Any, alarms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer in another thread misses nothing, whoever pumps for it."""
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    seen: list[int] = []
    done = threading.Event()

    def consume() -> None:
        for _ in range(60):
            seen.extend(served.stream("count", 1500))
        done.set()

    thread = threading.Thread(target=consume)
    thread.start()
    interrupts = 0
    while not done.is_set():
        try:
            with alarms(0.0007):
                while not done.is_set():
                    served.call("echo", 1)
        except alarms.error:
            interrupts += 1
    thread.join()
    assert seen == list(range(1500)) * 60
    assert interrupts > 10


def test_the_text_of_a_stream_says_what_it_is(rig: Any) -> None:
    stream = rig.stream("count", 1)
    assert repr(stream) == "<Stream shop.count() open>"
    stream.close()
    assert repr(stream) == "<Stream shop.count() ended>"
