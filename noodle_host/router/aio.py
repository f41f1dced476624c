"""The asyncio face of an endpoint: the doorbell wakes the event loop.

No executor and no thread: the loop watches the eventfd while calls of its own
are under way, and whoever pumps settles them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from .bell import Doorbell
from .call import Call
from .endpoint import NO_ROOM_CHECK_S, Endpoint, NoRoomError
from .pump import MAX_SLEEP_S
from .stream import NothingYetError, Stream

# A small call is answered before a future and a trip through the loop are paid
# for, if nothing else waits.
_INLINE_SPIN_NS: Final = 20_000

T = TypeVar("T")


class LoopWatch:
    """Watches the doorbell in an event loop while that loop has calls under way."""

    def __init__(self, endpoint: Endpoint, bell: Doorbell) -> None:
        self._endpoint = endpoint
        # Kept: the bell forgets it when it is closed, a loop still has to let go.
        self._fd = bell.fd
        # Each loop writes its own entries only.
        self._counts: dict[asyncio.AbstractEventLoop, int] = {}
        self._ticking: set[asyncio.AbstractEventLoop] = set()

    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        """One more call of this loop is under way."""
        count = self._counts.get(loop, 0)
        self._counts[loop] = count + 1
        if not count:
            loop.add_reader(self._fd, self._endpoint.pump.rung)
            if loop not in self._ticking:
                self._ticking.add(loop)
                loop.call_later(MAX_SLEEP_S, self._tick, loop)
        self._endpoint.pump.add_background()

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """One call less."""
        self._endpoint.pump.remove_background()
        self._counts[loop] -= 1
        if not self._counts[loop]:
            del self._counts[loop]
            if loop.is_closed():
                self._ticking.discard(loop)
            else:
                loop.remove_reader(self._fd)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # Nobody waits longer without looking again: whoever wrote a reply may
        # have been killed before it rang.
        if loop in self._counts:
            self._endpoint.pump.nudge()
            loop.call_later(MAX_SLEEP_S, self._tick, loop)
        else:
            self._ticking.discard(loop)

    @property
    def is_idle(self) -> bool:
        """Whether no loop has a call under way."""
        return not self._counts

    # -- what the host calls -----------------------------------------------

    async def call(
        self,
        component: str,
        key: str | bytes | int | None,
        submit: Callable[[], Call],
    ) -> Any:
        """Send what ``submit`` sends and wait for its result without blocking."""
        call = await self._send(component, key, submit)
        if self.is_idle:
            self._endpoint.pump.spin_inline(call.settled, _INLINE_SPIN_NS)
        try:
            while not call.settled():
                await self._settled(call)
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
        stream = await self._send(component, key, start)
        try:
            while True:
                try:
                    item = stream.take()
                except NothingYetError:
                    await self._settled(stream)
                    continue
                except StopIteration:
                    return
                yield item
        finally:
            stream.close()

    async def _send(
        self, component: str, key: str | bytes | int | None, send: Callable[[], T]
    ) -> T:
        deadline_ns = 0
        while True:
            try:
                return self._endpoint.without_blocking(send)
            except NoRoomError as full:
                # Sending again sets a deadline again: the first one counts.
                deadline_ns = deadline_ns or full.deadline_ns
                if deadline_ns and time.monotonic_ns() >= deadline_ns:
                    raise full.late from None
            await self._room(component, key, deadline_ns)

    async def _settled(self, pending: Call | Stream) -> None:
        """Wait until ``pending`` may be settled or its deadline has passed."""
        wakes = pending.wakes
        with _Alarm(pending.deadline_ns) as alarm:
            wakes.add(alarm.ring)
            self.enter(alarm.loop)
            try:
                if not pending.settled():
                    await alarm.future
            finally:
                wakes.remove(alarm.ring)
                self.leave(alarm.loop)

    async def _room(self, component: str, key: str | bytes | int | None, deadline_ns: int) -> None:
        """Wait until there may be room, or it is time to look again."""
        again_ns = time.monotonic_ns() + int(NO_ROOM_CHECK_S * 1e9)
        with _Alarm(min(deadline_ns or again_ns, again_ns)) as alarm:
            stop = self._endpoint.watch_room(component, key, alarm.ring)
            self.enter(alarm.loop)
            try:
                await alarm.future
            finally:
                self.leave(alarm.loop)
                stop()


class _Alarm:
    """A future of the running loop that any thread, or the clock, may resolve."""

    def __init__(self, at_ns: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self._thread = threading.get_ident()
        # Bound once: it is a key.
        self.ring = self._ring
        self._timer: asyncio.TimerHandle | None = None
        if at_ns:
            # The loop's clock is CLOCK_MONOTONIC too.
            self._timer = self.loop.call_at(at_ns / 1e9, self._finish)

    def _finish(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

    def _ring(self) -> None:
        if threading.get_ident() == self._thread:
            finish = self._finish
        else:
            finish = self._finish_from_outside
        # The loop may be closed by now: there is nobody left to tell.
        with contextlib.suppress(RuntimeError):
            finish()

    def _finish_from_outside(self) -> None:
        self.loop.call_soon_threadsafe(self._finish)

    def __enter__(self) -> _Alarm:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
