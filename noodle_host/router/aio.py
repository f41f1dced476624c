"""The asyncio face of an endpoint: the doorbell wakes the event loop.

No executor and no thread: the loop watches the eventfd while calls of its own
are under way, and whoever pumps settles them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from .bell import Doorbell
from .call import Call
from .endpoint import Endpoint
from .stream import Stream

# A small call is answered before a future and a trip through the loop are paid
# for, if nothing else waits.
_INLINE_SPIN_NS: Final = 20_000


class LoopWatch:
    """Watches the doorbell in one event loop while that loop has calls under way."""

    def __init__(self, endpoint: Endpoint, bell: Doorbell) -> None:
        self._endpoint = endpoint
        self._bell = bell
        self._counts: dict[asyncio.AbstractEventLoop, int] = {}

    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        count = self._counts.get(loop, 0)
        self._counts[loop] = count + 1
        if not count:
            loop.add_reader(self._bell.fd, self._endpoint.pump.rung)
        self._endpoint.pump.add_background()

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint.pump.remove_background()
        self._counts[loop] -= 1
        if not self._counts[loop]:
            del self._counts[loop]
            if not loop.is_closed():
                loop.remove_reader(self._bell.fd)

    @property
    def is_idle(self) -> bool:
        return not self._counts

    # -- what the host calls -----------------------------------------------

    async def call(
        self,
        component: str,
        key: str | bytes | int | None,
        submit: Callable[[], Call],
    ) -> Any:
        """Send what ``submit`` sends and wait for its result without blocking."""
        await self._room(component, key)
        call = submit()
        if self.is_idle:
            self._endpoint.pump.spin_inline(call.settled, _INLINE_SPIN_NS)
        try:
            if not call.settled():
                await self._settled(call)
            if not call.settled():
                call.expire()
        except BaseException:
            call.cancel()
            raise
        return call.result(0)

    async def items(
        self,
        component: str,
        key: str | bytes | int | None,
        start: Callable[[], Stream],
    ) -> AsyncIterator[Any]:
        """Start a stream and yield its items without blocking."""
        await self._room(component, key)
        stream = start()
        try:
            while True:
                while not stream.settled():
                    await self._settled(stream)
                    if not stream.settled() and stream.expired():
                        break
                try:
                    item = stream.take()
                except StopIteration:
                    return
                yield item
        finally:
            stream.close()

    async def _settled(self, pending: Call | Stream) -> None:
        """Wait until ``pending`` is settled or its deadline has passed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        thread = threading.get_ident()

        def finish() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            if threading.get_ident() == thread:
                finish()
            else:
                loop.call_soon_threadsafe(finish)

        timer = None
        if pending.deadline_ns:
            # The loop's clock is CLOCK_MONOTONIC too.
            timer = loop.call_at(pending.deadline_ns / 1e9, finish)
        pending.set_wake(wake)
        self.enter(loop)
        try:
            if not pending.settled():
                await future
        finally:
            pending.set_wake(None)
            self.leave(loop)
            if timer is not None:
                timer.cancel()

    async def _room(self, component: str, key: str | bytes | int | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            future: asyncio.Future[None] = loop.create_future()

            def finish(future: asyncio.Future[None] = future) -> None:
                if not future.done():
                    future.set_result(None)

            def wake(finish: Callable[[], None] = finish) -> None:
                loop.call_soon_threadsafe(finish)

            if self._endpoint.when_room(component, key, wake):
                return
            self.enter(loop)
            try:
                await future
            finally:
                self.leave(loop)
