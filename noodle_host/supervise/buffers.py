"""The buffers of a host: their descriptors, and which processes hold them.

An entry goes, and with it the host's descriptor, when the last hold on it is given up. A
process gives up its holds one by one, once what it sent is read (``router.buffer``). Those
of a dead worker are given up by the host: when the replies that it left are read, or never
will be. The requests that it left are read by nobody.
"""

from __future__ import annotations

import asyncio
import functools
import io
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import HostClosedError, HostError, InvalidBuffer
from ..model import BufferUsage
from ..router import layout
from ..router.buffer import Buffers, Departures, Hold, Sends
from ..router.channel import lanes_of
from ..router.codec import to_wire
from ..router.lane import CorruptLaneError
from ..router.native import LaneReader
from ..router.segment import create_memory
from ..worker import messages
from .worker_process import WorkerProcess

if TYPE_CHECKING:
    from .seat import Channel

# How soon it is looked again whether a record was read, and how late at most.
_RETRY_S: Final = 0.005
_LONGEST_RETRY_S: Final = 0.5


@dataclass(eq=False)
class _Entry:
    size_bytes: int
    #: Process (None: the host itself) -> the numbers of its holds.
    holders: dict[WorkerProcess | None, set[int]]
    #: Who may write.
    writer: WorkerProcess | None
    fd: int = -1
    #: Whether whoever takes it as a gift is the next to write.
    is_offered: bool = False

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class BufferRegistry:
    """Knows every buffer of a host, and is the source of the host's own.

    ``create``, ``fetch``, ``offer`` and ``drop`` are for any thread, with the process that
    asks (None: the host itself) as the holder; the rest is for the supervisor's event loop.
    """

    def __init__(self) -> None:
        # A signal handler may come to use buffers while this very thread is at it.
        self._lock = threading.RLock()
        self._entries: dict[int, _Entry] = {}
        self._is_closed = False
        self._own: Buffers | None = None
        self._left_by_the_dead = Departures(lambda: None)
        self._timer: asyncio.TimerHandle | None = None
        self._retry_s = _RETRY_S

    def own(self, call_soon: Callable[[Callable[[], object]], object]) -> Buffers:
        """The buffers of the host's own process; ``call_soon`` calls on the event loop."""
        self._own = Buffers(self, lambda: call_soon(self.sweep))
        return self._own

    # -- from any thread ---------------------------------------------------

    def create(
        self, buffer_id: int, hold: int, size_bytes: int, holder: WorkerProcess | None = None
    ) -> io.FileIO:
        """Make memory of zeros; a descriptor for reading and writing, the caller's to close.

        Raises:
            InvalidBuffer: no memory or descriptor is left.
            HostClosedError: the host is closed.
        """
        with self._lock:
            if self._is_closed:
                raise HostClosedError("the host is closed")
            if buffer_id in self._entries:
                raise InvalidBuffer("there is a buffer of that id already")
            # First of all, so that a hold that is given up half-way finds it.
            entry = _Entry(size_bytes, {holder: {hold}}, holder)
            self._entries[buffer_id] = entry
            try:
                entry.fd = create_memory("noodle-buffer", size_bytes)
            except (OSError, OverflowError) as error:
                raise self._out_of_means(error) from error
            return self._opened(entry, "r+b")

    def fetch(
        self, buffer_id: int, hold: int, is_gift: bool, holder: WorkerProcess | None = None
    ) -> io.FileIO:
        """Hold a buffer that was received; a descriptor, the caller's to close.

        Raises:
            InvalidBuffer: there is none of that id, or it was not given away, or no
                descriptor is left.
        """
        with self._lock:
            entry = self._entries.get(buffer_id)
            if entry is None:
                raise InvalidBuffer(
                    "the buffer is gone",
                    hint="whoever made it has died or dropped it, or it belongs to another host",
                )
            if is_gift and not entry.is_offered and entry.writer is not holder:
                raise InvalidBuffer("the buffer was given to another component")
            file = self._opened(entry, "r+b" if is_gift else "rb")
            if is_gift:
                entry.writer, entry.is_offered = holder, False
            entry.holders.setdefault(holder, set()).add(hold)
            return file

    def offer(self, buffer_id: int, holder: WorkerProcess | None = None) -> None:
        """Allow the receiver of a gift to take the right to write.

        Raises:
            InvalidBuffer: it is not the holder's to give.
        """
        with self._lock:
            entry = self._entries.get(buffer_id)
            if entry is None or entry.writer is not holder:
                raise InvalidBuffer("the buffer was given away already")
            entry.is_offered = True

    def drop(self, buffer_id: int, hold: int, holder: WorkerProcess | None = None) -> None:
        """Give up a hold; without effect where there is none."""
        with self._lock:
            entry = self._entries.get(buffer_id)
            holds = None if entry is None else entry.holders.get(holder)
            if entry is None or holds is None:
                return
            holds.discard(hold)
            if not holds:
                self._forget_holder(buffer_id, entry, holder)

    def _forget_holder(self, buffer_id: int, entry: _Entry, holder: WorkerProcess | None) -> None:
        entry.holders.pop(holder, None)
        if not entry.holders:
            self._entries.pop(buffer_id).close()
        for other in list(entry.holders):
            # It may have it only to be quick when it comes again.
            if other is not None and not other.gone.is_set():
                other.bell.words[layout.BELL_BUFFERS] += 1
                other.bell.ring()

    def _opened(self, entry: _Entry, mode: str) -> io.FileIO:
        try:
            return io.FileIO(f"/proc/self/fd/{entry.fd}", mode)
        except OSError as error:
            raise self._out_of_means(error) from error

    def _out_of_means(self, error: Exception) -> InvalidBuffer:
        return InvalidBuffer(
            f"the host has no means left for a buffer: {error}",
            hint=f"{len(self._entries)} buffers are held, a descriptor each; drop some",
        )

    # -- on the event loop -------------------------------------------------

    async def usage(self) -> BufferUsage:
        """What is held now, or on its way."""
        self.sweep()
        with self._lock:
            sizes = [entry.size_bytes for entry in self._entries.values()]
        return BufferUsage(len(sizes), sum(sizes))

    def answer(self, worker: WorkerProcess, message: messages.Message) -> None:
        """Do what a worker asks about buffers."""
        file = error = None
        try:
            match message:
                case messages.NewBuffer(buffer_id, hold, size_bytes):
                    file = self.create(buffer_id, hold, size_bytes, worker)
                case messages.FetchBuffer(buffer_id, hold, is_gift):
                    file = self.fetch(buffer_id, hold, is_gift, worker)
                case messages.OfferBuffer(buffer_id):
                    self.offer(buffer_id, worker)
                case messages.DropBuffer(buffer_id, hold):
                    self.drop(buffer_id, hold, worker)
                    return
                case _:
                    return
        except HostError as refused:
            error = to_wire(refused)
        if file is None:
            worker.send(messages.GotBuffer(error))
            return
        with file:
            worker.send(messages.GotBuffer(), [file.fileno()])

    def forget(self, worker: WorkerProcess, channels: Iterable[Channel]) -> None:
        """A worker is dead. ``channels`` are those that its replies stand in."""
        with self._lock:
            held = [item for item in self._entries.items() if worker in item[1].holders]
            for _, entry in held:
                if entry.writer is worker:
                    # The request that brought it to the dead one may be read by the next.
                    entry.is_offered = True
        if not held:
            return
        sends = _unread_replies(channels)
        for buffer_id, entry in held:
            drop = functools.partial(self._drop_all, buffer_id, entry, worker)
            # Nobody has it: it departs at once.
            self._left_by_the_dead.watch(Hold(sends), drop)
        self.sweep()

    def _drop_all(self, buffer_id: int, entry: _Entry, worker: WorkerProcess) -> None:
        with self._lock:
            if self._entries.get(buffer_id) is entry:
                self._forget_holder(buffer_id, entry, worker)

    def sweep(self) -> None:
        """Give up what can be given up, and look again later if something is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._own is not None:
            # Both, whatever the first one says.
            left = [self._own.departures.settle(), self._left_by_the_dead.settle()]
            if any(left) and not self._is_closed:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._retry_s, self.sweep)
                self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
            else:
                self._retry_s = _RETRY_S

    def close(self) -> None:
        """Let go of all descriptors; what is mapped stays mapped."""
        with self._lock:
            self._is_closed = True
            for entry in self._entries.values():
                entry.close()
            self._entries.clear()


class _ReplyLane:
    """The replies that a dead worker left to one caller."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._words = channel.segment.words
        self._lane = lanes_of(channel.segment)[1]

    @property
    def is_over(self) -> bool:
        caller = self._channel.caller
        gone = caller is not None and caller.gone.is_set()
        return gone or self._channel.is_dropped or self._words[layout.CH_LEFT] != 0

    def is_on_its_way(self, position: int) -> bool:
        return self._lane.retired <= position and not self.is_over

    def last(self) -> int:
        """A position in the last record that stands here; -1 for none."""
        try:
            return LaneReader(self._lane, None, None).skip_all() - 1
        except CorruptLaneError:
            # Nobody reads it any more: the channel is closed for that.
            return -1


def _unread_replies(channels: Iterable[Channel]) -> Sends:
    lanes = map(_ReplyLane, channels)
    return {lane: last for lane in lanes if lane.is_on_its_way(last := lane.last())}
