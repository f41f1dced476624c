"""Streams, as iterators and as asynchronous ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from noodle_host import CallTimeout, Host, HostError, RemoteError
from noodle_host.router.stream import WINDOW_ITEMS


@pytest.fixture
def desk(host: Host) -> Host:
    host.start("desk", "<2")
    return host


def test_items_come_in_order_and_then_the_end(desk: Host) -> None:
    assert list(desk.stream("desk", "count", 1000)) == list(range(1000))
    assert list(desk.stream("desk", "count", 0)) == []


def test_large_items_come_whole(desk: Host) -> None:
    assert [len(item) for item in desk.stream("desk", "blobs", 20, 1 << 20)] == [1 << 20] * 20


def test_the_producer_waits_for_the_consumer(desk: Host) -> None:
    items = desk.stream("desk", "count_noted", 10_000)
    assert next(items) == 0
    # The worker goes on with other calls, and makes no more than it may send.
    made = 0
    while made < WINDOW_ITEMS:
        made = len(desk.call("desk", "notes"))
    for _ in range(100):
        assert len(desk.call("desk", "notes")) <= WINDOW_ITEMS + 1
    assert sum(1 for _ in items) == 9_999


def test_closing_a_stream_closes_the_generator(desk: Host) -> None:
    items = desk.stream("desk", "count_noted", 10_000)
    assert next(items) == 0
    items.close()
    while not desk.call("desk", "closings"):
        pass
    assert list(items) == []


def test_an_error_comes_behind_the_items(desk: Host) -> None:
    items = desk.stream("desk", "fail_after", 3)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="enough") as caught:
        next(items)
    assert isinstance(caught.value, RemoteError)


def test_an_item_that_cannot_be_sent_ends_the_stream(desk: Host) -> None:
    items = desk.stream("desk", "odd_item")
    assert next(items) == 1
    with pytest.raises(HostError, match="object"):
        next(items)


def test_the_deadline_is_for_the_whole_stream(desk: Host) -> None:
    with pytest.raises(CallTimeout):
        list(desk.stream("desk", "breathe", timeout=0.2))
    assert desk.call("desk", "echo", 1) == 1


def test_streams_and_calls_go_side_by_side(desk: Host) -> None:
    first, second = (desk.stream("desk", "count", 500) for _ in range(2))
    for number in range(500):
        assert (next(first), desk.call("desk", "echo", number), next(second)) == (number,) * 3


def test_calls_and_streams_on_an_event_loop(desk: Host) -> None:
    async def work() -> list[Any]:
        answers = await asyncio.gather(*(desk.acall("desk", "echo", n) for n in range(200)))
        items = [item async for item in desk.astream("desk", "count", 300)]
        return [answers, items]

    assert asyncio.run(work()) == [list(range(200)), list(range(300))]


def test_the_asynchronous_face_from_start_to_end(plugins: Any) -> None:
    async def work() -> Any:
        async with Host(plugins) as host:
            await host.astart("desk", "<2")
            answer = await host.acall("desk", "add", 1, right=2)
            await host.astop("desk")
            with pytest.raises(HostError, match="not running"):
                await host.acall("desk", "add", 1)
            return answer

    assert asyncio.run(work()) == 3


def test_a_task_that_is_cancelled_takes_its_call_back(desk: Host, fifo: Any) -> None:
    path = fifo("answer")
    busy = desk.submit("desk", "wait_for", str(path))

    async def work() -> None:
        task = asyncio.ensure_future(desk.acall("desk", "note", "too late"))
        while not task.done():
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    # Can be opened once the worker is busy.
    with path.open("w") as answer:
        asyncio.run(work())
        answer.write("done")
    assert busy.result() == "done"
    assert desk.call("desk", "notes") == []


def test_an_event_loop_is_not_held_up_by_a_slow_call(desk: Host, fifo: Any) -> None:
    path = fifo("answer")

    async def work() -> int:
        slow = asyncio.ensure_future(desk.acall("desk", "wait_for", str(path)))
        turns = 0
        answer = await asyncio.to_thread(path.open, "w")
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        with answer:
            answer.write("done")
        assert await slow == "done"
        return turns

    assert asyncio.run(work()) == 100
