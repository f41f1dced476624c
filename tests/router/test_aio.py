"""Calls from event loops: nothing blocks the loop, and nothing is missed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from noodle_host.errors import CallTimeout, HostClosedError, RemoteError
from noodle_host.router import codec, layout


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine; one that hangs fails instead."""
    return asyncio.run(asyncio.wait_for(main, 30))


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until it is so."""
    limit = time.monotonic() + 10
    for _ in iter(condition, True):
        assert time.monotonic() < limit, "it did not happen"
        await asyncio.sleep(0)


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


def items(rig: Any, method: str, *args: Any, **options: Any) -> AsyncIterator[Any]:
    return rig.watch.items("shop", None, lambda: rig.stream(method, *args, **options))


def watches(loop: asyncio.AbstractEventLoop, rig: Any) -> bool:
    """Whether the loop still watches the doorbell."""
    return loop._selector.get_map().get(rig.bell.fd) is not None  # type: ignore[attr-defined]


def test_a_call_and_an_error(served: Any) -> None:
    async def main() -> None:
        assert await served.acall("echo", 1) == 1
        assert await served.acall("echo", b"x" * 100_000) == b"x" * 100_000
        with pytest.raises(RemoteError, match="what"):
            await served.acall("boom", "what")
        assert not watches(asyncio.get_running_loop(), served)

    run(main())
    assert served.endpoint.pump.background == 0


def test_many_calls_at_once(served: Any) -> None:
    async def main() -> None:
        answers = await asyncio.gather(*(served.acall("echo", i) for i in range(5000)))
        assert answers == list(range(5000))

    run(main())
    assert served.watch.is_idle
    assert served.endpoint.pump.background == 0


def test_calls_spread_over_seats(new_rig: Callable[[], Any]) -> None:
    rig = new_rig()
    seats = rig.start(seats=2)

    async def main() -> list[int]:
        calls = [asyncio.ensure_future(rig.acall("echo", i)) for i in range(20)]
        await until(lambda: rig.endpoint.pump.background == 20)
        counts = []
        for seat in seats:
            count = 0
            while seat.turn():
                count += 1
            counts.append(count)
        assert await asyncio.gather(*calls) == list(range(20))
        return counts

    assert run(main()) == [10, 10]


def test_the_loop_goes_on_while_a_call_waits(rig: Any) -> None:
    seat = rig.seats[1]

    async def main() -> None:
        call = asyncio.ensure_future(rig.acall("echo", 1))
        beats = 0
        while beats < 20:
            await asyncio.sleep(0.001)
            beats += 1
        assert not call.done()
        assert watches(asyncio.get_running_loop(), rig)
        started = time.monotonic()
        seat.reply(seat.take(), 2)
        assert await call == 2
        assert time.monotonic() - started < 0.5

    run(main())


def test_a_deadline(rig: Any) -> None:
    async def main() -> None:
        for timeout_s in (0.03, 0.0005, -1):
            started = time.monotonic()
            with pytest.raises(CallTimeout):
                await rig.acall("echo", 1, timeout_s=timeout_s)
            assert time.monotonic() - started < 0.5

    run(main())
    assert not rig.endpoint._links[1].pending
    assert rig.seats[1].take()[10] == layout.MARK_CANCELLED


def test_deadlines_always_say_whose_they_are(rig: Any) -> None:
    # The loop's clock may be a little early.
    async def main() -> None:
        for i in range(100):
            with pytest.raises(CallTimeout):
                await rig.acall("echo", 1, timeout_s=0.001 + i * 1e-6)

    run(main())


def test_cancelling_takes_the_call_back(rig: Any) -> None:
    async def main() -> None:
        call = asyncio.ensure_future(rig.acall("echo", 1))
        await until(lambda: not rig.watch.is_idle)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not watches(asyncio.get_running_loop(), rig)

    run(main())
    assert rig.seats[1].take()[10] == layout.MARK_CANCELLED
    assert not rig.endpoint._links[1].pending
    assert rig.endpoint.pump.background == 0


def test_several_loops_and_threads_at_once(served: Any) -> None:
    wrong: list[Any] = []
    finished: list[str] = []

    async def calls(who: int) -> None:
        for i in range(0, 600, 6):
            answers = await asyncio.gather(*(served.acall("echo", [who, i + j]) for j in range(6)))
            if answers != [[who, i + j] for j in range(6)]:
                wrong.append(answers)

    def loop(who: int) -> None:
        run(calls(who))
        finished.append("loop")

    def thread(who: int) -> None:
        wrong.extend(i for i in range(1000) if served.call("echo", [who, i]) != [who, i])
        finished.append("thread")

    threads = [threading.Thread(target=loop, args=(who,)) for who in range(3)]
    threads += [threading.Thread(target=thread, args=(who,)) for who in range(3, 6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(40)
        assert not each.is_alive(), "a call hangs"
    assert not wrong
    assert sorted(finished) == ["loop"] * 3 + ["thread"] * 3
    assert served.endpoint.pump.background == 0


def test_a_loop_is_woken_when_the_thread_that_pumped_leaves(rig: Any) -> None:
    seat = rig.seats[1]

    async def main() -> None:
        thread = threading.Thread(target=rig.call, args=("echo", 0))
        thread.start()
        await until(lambda: rig.bell.words[layout.BELL_SLEEPING] != 0)
        call = asyncio.ensure_future(rig.acall("echo", 1))
        await until(lambda: not rig.watch.is_idle)
        first, second = seat.take(), seat.take()
        seat.reply(first, 0)
        await asyncio.to_thread(thread.join)
        started = time.monotonic()
        seat.reply(second, 1)
        assert await call == 1
        assert time.monotonic() - started < 0.5

    run(main())


def test_a_reply_whose_writer_was_killed_before_it_rang_is_found(rig: Any) -> None:
    seat = rig.seats[1]

    async def main() -> None:
        call = asyncio.ensure_future(rig.acall("echo", 1))
        await until(lambda: not rig.watch.is_idle)
        record = seat.take()
        # The record is committed and nobody is told.
        sleeping = rig.bell.words[layout.BELL_SLEEPING]
        rig.bell.words[layout.BELL_SLEEPING] = 0
        seat.reply(record, 1)
        rig.bell.words[layout.BELL_SLEEPING] = sleeping
        assert await asyncio.wait_for(call, 3) == 1

    run(main())


# -- futures ------------------------------------------------------------------------


def test_a_call_can_be_wrapped_as_a_future_of_the_loop(served: Any) -> None:
    async def main() -> None:
        calls = [asyncio.wrap_future(served.submit("echo", i)) for i in range(50)]
        assert await asyncio.gather(*calls) == list(range(50))
        late = served.submit("echo", 1)
        future = asyncio.wrap_future(late)
        future.cancel()
        await asyncio.sleep(0)
        assert late.cancelled() or late.done()

    run(main())


# -- streams -------------------------------------------------------------------------


def test_streams(served: Any) -> None:
    async def main() -> None:
        assert [item async for item in items(served, "count", 3000)] == list(range(3000))
        failing = items(served, "fail_after", 3)
        assert [await anext(failing) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RemoteError, match="enough"):
            await anext(failing)

        async def total(count: int) -> int:
            return sum([item async for item in items(served, "count", count)])

        assert await asyncio.gather(*(total(500) for _ in range(10))) == [124_750] * 10

    run(main())
    assert served.watch.is_idle


def test_leaving_a_stream_cancels_its_task(rig: Any) -> None:
    seat = rig.seats[1]

    async def main() -> None:
        stream = items(rig, "count", 1000)
        first = asyncio.ensure_future(anext(stream))
        await until(lambda: not rig.watch.is_idle)
        turn(seat)
        assert await first == 0
        await stream.aclose()  # type: ignore[attr-defined]
        turn(seat)
        assert len(seat.cancelled) == 1

    run(main())
    assert not rig.endpoint._links[1].pending


def test_a_late_stream_ends(rig: Any) -> None:
    async def main() -> None:
        started = time.monotonic()
        with pytest.raises(CallTimeout):
            async for _ in items(rig, "count", 5, timeout_s=0.03):
                pass
        assert time.monotonic() - started < 0.5

    run(main())


# -- no room ---------------------------------------------------------------------------


async def beats_while(waiting: asyncio.Future[Any], seconds: float) -> int:
    """How often the loop turns in that time, at a beat of a millisecond."""
    beats = 0
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and not waiting.done():
        await asyncio.sleep(0.001)
        beats += 1
    return beats


def test_a_full_lane_holds_up_the_call_and_not_the_loop(rig: Any) -> None:
    fill(rig)
    seat = rig.seats[1]

    async def main() -> None:
        call = asyncio.ensure_future(rig.acall("echo", 1))
        assert await beats_while(call, 0.1) > 20
        assert not call.done()
        turn(seat)
        limit = time.monotonic() + 2
        while not call.done() and time.monotonic() < limit:
            await asyncio.sleep(0.001)
            turn(seat)
        assert await call == 1

    run(main())
    assert len(seat.notified) > 100


@pytest.mark.parametrize(
    "start",
    [
        lambda rig: rig.acall("echo", 1, timeout_s=0.12),
        lambda rig: anext(items(rig, "count", 1, timeout_s=0.12)),
    ],
    ids=["call", "stream"],
)
def test_a_lane_that_stays_full_ends_at_the_deadline(rig: Any, start: Callable[[Any], Any]) -> None:
    fill(rig)

    async def main() -> None:
        started = time.monotonic()
        with pytest.raises(CallTimeout, match="could not be sent before its deadline"):
            await start(rig)
        assert 0.1 < time.monotonic() - started < 1

    run(main())
    assert rig.watch.is_idle
    assert not rig.endpoint._links[1].room.wakes


def test_calls_that_wait_for_room_do_not_keep_each_other_busy(rig: Any) -> None:
    fill(rig)
    tries = 0
    submit = rig.submit

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal tries
        tries += 1
        return submit(*args, **options)

    rig.submit = counted

    async def main() -> None:
        calls = [asyncio.ensure_future(rig.acall("echo", i)) for i in range(5)]
        await asyncio.sleep(0.2)
        assert tries < 60
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    run(main())


def test_slabs_that_are_used_up_hold_up_the_call_and_not_the_loop(
    new_rig: Callable[[], Any],
) -> None:
    rig = new_rig()
    rig.arena_bytes = 1 << 20
    (seat,) = rig.start()
    held = []
    for _ in range(9):
        rig.notify(bytes(100_000))
        record = seat.take()
        held.append(seat.end.inbox.arena.lease(*seat.end.inbox.slab(record)))
        seat.retire()

    async def main() -> None:
        call = asyncio.ensure_future(rig.acall("echo", bytes(100_000)))
        assert await beats_while(call, 0.1) > 20
        assert not call.done()
        held.clear()
        limit = time.monotonic() + 2
        while not call.done() and time.monotonic() < limit:
            await asyncio.sleep(0.001)
            turn(seat)
        assert await call == bytes(100_000)

    run(main())


# -- the end ------------------------------------------------------------------------------


def test_closing_fails_what_a_loop_waits_for(rig: Any) -> None:
    async def main() -> None:
        calls = [asyncio.ensure_future(rig.acall("echo", i)) for i in range(3)]
        await until(lambda: rig.endpoint.pump.background == 3)
        started = time.monotonic()
        await asyncio.to_thread(rig.close)
        for call in calls:
            with pytest.raises(HostClosedError):
                await call
        assert time.monotonic() - started < 0.9
        with pytest.raises(HostClosedError):
            await rig.acall("echo", 1)

    run(main())


def test_a_loop_that_is_gone_harms_nobody(rig: Any) -> None:
    seat = rig.seats[1]
    loop = asyncio.new_event_loop()
    call = loop.create_task(rig.acall("echo", 1))
    loop.run_until_complete(until(lambda: not rig.watch.is_idle))
    loop.close()
    other = rig.submit("echo", 2)
    seat.reply(seat.take(), 1)
    seat.reply(seat.take(), 2)
    assert other.result() == 2
    # What is left of it is not complained about.
    call.get_coro().close()  # type: ignore[union-attr]
    call._log_destroy_pending = False  # type: ignore[attr-defined]


def test_one_loop_after_another(served: Any) -> None:
    for i in range(5):
        assert run(served.acall("echo", i)) == i
