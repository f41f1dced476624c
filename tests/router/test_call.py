"""Calls: one outcome each, for however many who wait, in the ways of concurrent.futures."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from noodle_host.errors import CallError, CallTimeout, HostClosedError, RemoteError, WorkerDied
from noodle_host.router import codec, layout

BIG = 100_000


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run something on a thread; the list gets its result or what it raised."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for another thread to get somewhere."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        os.sched_yield()


def is_pumping(rig: Any) -> bool:
    """Whether a thread sleeps for replies."""
    return bool(rig.bell.words[layout.BELL_SLEEPING])


# -- outcomes ----------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, "text", [1, {"a": None}], b"x" * BIG])
def test_a_result(rig: Any, value: Any) -> None:
    seat = rig.seats[1]
    call = rig.submit("echo", value)
    assert not call.done()
    assert call.running()
    record = seat.take()
    seat.reply(record, seat.arguments(record)[0])
    assert call.result() == value
    assert call.result() == value
    assert call.exception() is None
    assert call.done()
    assert not call.running()
    assert not call.cancelled()
    assert not call.cancel()


def test_an_error(rig: Any) -> None:
    seat = rig.seats[1]
    call = rig.submit("boom", "x")
    body = codec.encode_exception(KeyError("x"), "shop", "1.0.0", 1)
    seat.send(layout.ERROR, seat.take()[4], raw=body)
    for _ in range(2):
        with pytest.raises(RemoteError, match="KeyError: 'x'") as caught:
            call.result()
        assert isinstance(caught.value, KeyError)
    assert call.exception() is caught.value


def test_a_late_call(rig: Any) -> None:
    call = rig.submit("echo", timeout_s=0.02)
    started = time.monotonic()
    with pytest.raises(CallTimeout, match=r"shop: echo\(\) gave no answer before its deadline"):
        call.result()
    assert 0.01 < time.monotonic() - started < 1
    assert isinstance(call.exception(), TimeoutError)
    # It had not begun, and never will; its reply, if there were one, is dropped.
    seat = rig.seats[1]
    record = seat.take()
    assert record[10] == layout.MARK_CANCELLED
    seat.reply(record, 1)
    other = rig.submit("echo")
    seat.reply(seat.take(), 2)
    assert other.result() == 2


def test_a_wait_that_ends_before_the_call_does_not_end_it(rig: Any) -> None:
    seat = rig.seats[1]
    call = rig.submit("echo")
    for timeout in (0, 0.01, -1):
        with pytest.raises(TimeoutError) as caught:
            call.result(timeout)
        assert not isinstance(caught.value, CallError)
        with pytest.raises(TimeoutError):
            call.exception(timeout)
    seat.reply(seat.take(), 1)
    assert call.result(0) == 1


def test_a_deadline_is_seen_by_whoever_only_asks_whether_it_is_done(rig: Any) -> None:
    call = rig.submit("echo", timeout_s=0.01)
    until(call.done)
    assert isinstance(call.exception(), CallTimeout)


@pytest.mark.parametrize("timeout_s", [1e12, -1e9])
def test_deadlines_out_of_range_are_for_ever_or_over(rig: Any, timeout_s: float) -> None:
    call = rig.submit("echo", timeout_s=timeout_s)
    if timeout_s > 0:
        rig.seats[1].reply(rig.seats[1].take(), 1)
        assert call.result() == 1
    else:
        with pytest.raises(CallTimeout):
            call.result()


def test_cancelling(rig: Any) -> None:
    seat = rig.seats[1]
    call = rig.submit("echo")
    assert call.cancel()
    assert call.cancel()
    assert call.cancelled()
    assert call.done()
    with pytest.raises(concurrent.futures.CancelledError):
        call.result()
    with pytest.raises(concurrent.futures.CancelledError):
        call.exception()
    record = seat.take()
    assert record[10] == layout.MARK_CANCELLED
    seat.reply(record, 1)
    rig.endpoint.nudge()
    assert call.cancelled()


def test_what_does_not_decode_is_an_error_every_time(rig: Any) -> None:
    seat = rig.seats[1]
    for body in (b"\xc1", b"\xa1\xff", b"\x91" * 5000, b""):
        call = rig.submit("echo")
        seat.send(layout.REPLY, seat.take()[4], raw=body)
        for _ in range(2):
            with pytest.raises(CallError, match=r"the result of echo\(\) does not decode"):
                call.result()


def test_a_reply_of_no_known_kind_breaks_the_link(rig: Any) -> None:
    call = rig.submit("echo")
    rig.seats[1].send(99, rig.seats[1].take()[4], 1)
    with pytest.raises(CallError, match="corrupt"):
        call.result()
    assert rig.corrupt[0][0] == 1


def test_the_text_of_a_call_says_what_it_is_and_starts_nothing(rig: Any) -> None:
    before = threading.active_count()
    call = rig.submit("echo")
    assert repr(call) == "<Call shop.echo() PENDING>"
    assert threading.active_count() == before


# -- large results ------------------------------------------------------------------


def test_a_large_result_gives_its_memory_back(rig: Any) -> None:
    seat = rig.seats[1]
    arena = seat.end.outbox.arena
    call = rig.submit("echo")
    seat.reply(seat.take(), bytes(BIG))
    assert len(call.result()) == BIG
    assert arena.live_bytes == 0
    dropped = rig.submit("echo")
    cancelled = rig.submit("echo")
    seat.reply(seat.take(), bytes(BIG))
    seat.reply(seat.take(), bytes(BIG))
    cancelled.cancel()
    rig.endpoint.nudge()
    assert dropped.done()
    del dropped, cancelled
    assert arena.live_bytes == 0


def test_calls_are_freed_without_the_collector(rig: Any) -> None:
    seat = rig.seats[1]
    gc.collect()
    gc.disable()
    try:
        call = rig.submit("echo")
        seat.reply(seat.take(), 1)
        call.result()
        ref = weakref.ref(call)
        del call
        assert ref() is None
    finally:
        gc.enable()


# -- many who wait -------------------------------------------------------------------


def test_all_threads_that_wait_for_one_call_get_the_same_object(rig: Any) -> None:
    seat = rig.seats[1]
    call = rig.submit("echo")
    threads = [in_thread(call.result) for _ in range(8)]
    until(lambda: is_pumping(rig))
    started = time.monotonic()
    seat.reply(seat.take(), [1, 2])
    for thread, _ in threads:
        thread.join()
    assert time.monotonic() - started < 0.5
    results = [outcome[0] for _, outcome in threads]
    assert results == [[1, 2]] * 8
    assert len({id(result) for result in results}) == 1


def test_cancelling_wakes_whoever_waits_at_once(rig: Any) -> None:
    call = rig.submit("echo")
    threads = [in_thread(call.result) for _ in range(3)]
    until(lambda: is_pumping(rig))
    started = time.monotonic()
    call.cancel()
    for thread, outcome in threads:
        thread.join()
        assert isinstance(outcome[0], concurrent.futures.CancelledError)
    assert time.monotonic() - started < 0.5


def test_reply_and_cancellation_at_once_have_one_outcome(served: Any) -> None:
    for _ in range(300):
        call = served.submit("echo", 1)
        seen: list[Any] = []
        call.add_done_callback(lambda done, seen=seen: seen.append(done.cancelled()))
        thread, outcome = in_thread(call.result)
        cancelled = call.cancel()
        thread.join()
        assert cancelled == call.cancelled() == (outcome[0] != 1)
        until(lambda seen=seen: seen)
        assert seen == [cancelled]


# -- callbacks -------------------------------------------------------------------------


def test_callbacks_are_called_once_in_order_with_the_call(rig: Any) -> None:
    seat = rig.seats[1]
    call = rig.submit("echo")
    seen: list[Any] = []
    for i in range(3):
        call.add_done_callback(lambda done, i=i: seen.append((i, done)))
    assert not seen
    seat.reply(seat.take(), 1)
    until(lambda: len(seen) == 3)
    call.add_done_callback(lambda done: seen.append((3, done)))
    assert seen == [(i, call) for i in range(4)]
    assert call.result() == 1


def test_a_callback_comes_without_anybody_waiting(served: Any) -> None:
    done = threading.Event()
    served.submit("echo", 1).add_done_callback(lambda _: done.set())
    assert done.wait(5)


def test_a_deadline_comes_without_anybody_waiting(rig: Any) -> None:
    patient = threading.Event()
    hasty: list[float] = []
    rig.submit("echo", timeout_s=100).add_done_callback(lambda _: patient.set())
    until(lambda: is_pumping(rig))
    started = time.monotonic()
    call = rig.submit("echo", timeout_s=0.05)
    call.add_done_callback(lambda _: hasty.append(time.monotonic() - started))
    until(lambda: hasty)
    assert 0.04 < hasty[0] < 0.5
    assert isinstance(call.exception(), CallTimeout)
    assert not patient.is_set()


def test_cancelling_calls_back_before_it_returns(rig: Any) -> None:
    call = rig.submit("echo")
    seen: list[Any] = []
    call.add_done_callback(seen.append)
    call.cancel()
    assert seen == [call]


def test_a_callback_that_raises_is_logged_and_the_next_one_is_called(
    rig: Any, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()

    def wrong(_: Any) -> None:
        raise ValueError("callback")

    def worse(_: Any) -> None:
        raise SystemExit("callback")

    with caplog.at_level(logging.ERROR):
        call = rig.submit("echo", 1)
        call.add_done_callback(wrong)
        call.add_done_callback(lambda _: done.set())
        rig.submit("echo", 1).add_done_callback(worse)
        last = rig.submit("echo", 1)
        last.add_done_callback(lambda _: until(lambda: len(caplog.records) == 2))
        for _ in range(3):
            rig.seats[1].reply(rig.seats[1].take(), 1)
        assert done.wait(5)
        assert last.result() == 1
        call.add_done_callback(wrong)
        until(lambda: len(caplog.records) == 3)
    assert all(record.exc_info for record in caplog.records)


def test_a_callback_may_make_calls_and_take_its_time(rig: Any) -> None:
    results: list[Any] = []
    gate = threading.Event()

    def follow_up(call: Any) -> None:
        results.append(call.result() + rig.call("echo", 10))
        gate.wait(10)

    rig.submit("echo", 1).add_done_callback(follow_up)
    rig.serve_in_child()
    until(lambda: results)
    # While it takes its time, nobody else waits.
    started = time.monotonic()
    assert [rig.call("echo", i) for i in range(100)] == list(range(100))
    assert time.monotonic() - started < 2
    gate.set()
    assert results == [11]


def test_waiting_for_several_the_way_of_concurrent_futures(served: Any) -> None:
    calls = [served.submit("echo", i) for i in range(20)]
    done, pending = concurrent.futures.wait(calls, timeout=10)
    assert not pending
    assert sorted(call.result() for call in done) == list(range(20))
    calls = [served.submit("echo", i) for i in range(20)]
    finished = [call.result() for call in concurrent.futures.as_completed(calls, timeout=10)]
    assert sorted(finished) == list(range(20))
    first, _ = concurrent.futures.wait(
        [served.submit("boom", "x"), served.submit("echo", 1)],
        return_when=concurrent.futures.FIRST_EXCEPTION,
        timeout=10,
    )
    assert any(isinstance(call.exception(), KeyError) for call in first)


def test_many_threads_wait_for_overlapping_sets_without_a_deadlock(served: Any) -> None:
    for _ in range(20):
        calls = [served.submit("echo", i) for i in range(12)]

        def wait_for_some(first: int, calls: list[Any] = calls) -> int:
            chosen = calls[first:] + calls[:first]
            return len(concurrent.futures.wait(chosen, timeout=10).done)

        threads = [in_thread(lambda first=first: wait_for_some(first)) for first in (0, 3, 6, 9)]
        for thread, outcome in threads:
            thread.join(20)
            assert outcome == [12]


def test_nothing_is_left_in_the_background(served: Any) -> None:
    for i in range(50):
        call = served.submit("echo", i)
        workers = [in_thread(lambda call=call: call.add_done_callback(lambda _: None))
                   for _ in range(2)]  # fmt: skip
        assert call.result() == i
        for thread, _ in workers:
            thread.join()
    until(lambda: served.endpoint.pump.background == 0)


# -- the end of everything -----------------------------------------------------------------


def test_a_seat_that_is_gone_fails_its_calls(rig: Any) -> None:
    call = rig.submit("echo")
    seen: list[Any] = []
    call.add_done_callback(seen.append)
    thread, outcome = in_thread(call.result)
    rig.endpoint.drop(1, WorkerDied("it died", component="shop"))
    thread.join()
    assert isinstance(outcome[0], WorkerDied)
    until(lambda: seen)


def test_closing_fails_what_is_under_way_and_calls_back(rig: Any) -> None:
    call = rig.submit("echo")
    seen: list[Any] = []
    call.add_done_callback(seen.append)
    threads = [in_thread(rig.submit("echo").result) for _ in range(4)]
    until(lambda: is_pumping(rig))
    started = time.monotonic()
    rig.close()
    assert time.monotonic() - started < 0.9
    for thread, outcome in threads:
        thread.join()
        assert isinstance(outcome[0], HostClosedError)
    assert isinstance(call.exception(), HostClosedError)
    assert seen == [call]
    with pytest.raises(HostClosedError):
        rig.submit("echo")


def test_a_callback_may_close_the_endpoint(rig: Any) -> None:
    closed = threading.Event()

    def close(_: Any) -> None:
        rig.endpoint.close()
        closed.set()

    call = rig.submit("echo")
    call.add_done_callback(close)
    rig.seats[1].reply(rig.seats[1].take(), 1)
    assert closed.wait(5)


# -- Ctrl-C -----------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c() -> Callable[[float], threading.Timer]:
    def later(seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        return timer

    return later


def test_ctrl_c_ends_a_wait_at_once_and_the_call_goes_on(
    rig: Any, ctrl_c: Callable[[float], threading.Timer]
) -> None:
    seat = rig.seats[1]
    call = rig.submit("echo")
    started = time.monotonic()
    timer = ctrl_c(0.05)
    with pytest.raises(KeyboardInterrupt):
        call.result()
    assert time.monotonic() - started < 0.15
    timer.join()
    seat.reply(seat.take(), 1)
    assert call.result() == 1


def test_ctrl_c_ends_a_wait_behind_another_thread_that_pumps(
    rig: Any, ctrl_c: Callable[[float], threading.Timer]
) -> None:
    seat = rig.seats[1]
    thread, outcome = in_thread(rig.submit("echo").result)
    until(lambda: is_pumping(rig))
    call = rig.submit("echo")
    started = time.monotonic()
    timer = ctrl_c(0.05)
    with pytest.raises(KeyboardInterrupt):
        call.result()
    assert time.monotonic() - started < 0.15
    timer.join()
    seat.reply(seat.take(), 1)
    seat.reply(seat.take(), 2)
    thread.join()
    assert (outcome, call.result()) == ([1], 2)


def test_ctrl_c_in_the_thread_that_pumps_leaves_the_others_their_replies(
    rig: Any, ctrl_c: Callable[[float], threading.Timer]
) -> None:
    seat = rig.seats[1]
    mine = rig.submit("echo")
    others = [rig.submit("echo") for _ in range(3)]
    threads: list[Any] = []

    def start_others() -> None:
        until(lambda: is_pumping(rig))
        threads.extend(in_thread(call.result) for call in others)
        os.kill(os.getpid(), signal.SIGINT)

    starter, _ = in_thread(start_others)
    with pytest.raises(KeyboardInterrupt):
        mine.result()
    starter.join()
    started = time.monotonic()
    for i in range(4):
        seat.reply(seat.take(), i)
    for thread, _ in threads:
        thread.join(5)
    assert [outcome for _, outcome in threads] == [[1], [2], [3]]
    assert time.monotonic() - started < 0.5


def test_signals_that_raise_anywhere_lose_nobodys_reply(
    served: Any, alarms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread is interrupted again and again while it pumps for others."""
    # Some come while a view is dropped, where Python has nobody to raise them to.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    stop = threading.Event()

    def work(who: int) -> int:
        count = 0
        while not stop.is_set():
            value = [who, count] if count % 5 else bytes([who]) * 50_000
            assert served.call("echo", value, timeout_s=None) == value
            count += 1
        return count

    called_back: list[int] = []
    background: list[Any] = []
    threads = [in_thread(lambda who=who: work(who)) for who in range(3)]
    interrupts = 0
    limit = time.monotonic() + 2.5
    while time.monotonic() < limit:
        try:
            call = served.submit("echo", 1, timeout_s=None)
            call.add_done_callback(lambda _: called_back.append(1))
            background.append(call)
            with alarms(0.0007):
                for i in range(100):
                    served.call("echo", i, timeout_s=None)
        except alarms.error:
            interrupts += 1
    stop.set()
    for thread, outcome in threads:
        thread.join(10)
        assert not thread.is_alive(), "a reply was lost"
        assert isinstance(outcome[0], int), outcome
    until(lambda: len(called_back) == len(background))
    assert interrupts > 50
    assert served.call("echo", 5) == 5
