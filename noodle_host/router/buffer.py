"""Buffers: shared memory that is passed as an argument or a result without a copy.

Each is a memfd of its own. The host hands the descriptors out and knows which process
holds which buffer; the kernel counts the mappings, so that memory goes when its last
holder goes, however that ends.

A process that has a buffer has a *hold* on it, which it gives up when the object is
collected and every record that it was sent in is read, or never will be. A record is retired
only after its reader has mapped what came with it, so nothing is lost on its way.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import mmap
import operator
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol, Self, TypeAlias

from ..errors import HostError, InvalidBuffer

# Every new hold looks at so many that wait to be given up: its cost does not grow.
_IN_TURN: Final = 16


class Way(Protocol):
    """Where records are sent."""

    @property
    def is_over(self) -> bool:
        """Whether nothing that was sent there will be read any more."""

    def is_on_its_way(self, position: int) -> bool:
        """Whether the record at a position is there and may still be read."""


#: Where a buffer was sent -> the position of the last record that it was sent in. Records are
#: retired in order, so the last one stands for all before it.
Sends: TypeAlias = dict[Way, int]


class BufferSource(Protocol):
    """Hands out descriptors, which the caller closes; all raise HostError."""

    def create(self, buffer_id: int, hold: int, size_bytes: int) -> int:
        """Make memory of zeros; a descriptor for reading and writing."""

    def fetch(self, buffer_id: int, hold: int, is_gift: bool) -> int:
        """Hold a buffer that was received; writable if it is a gift."""

    def offer(self, buffer_id: int) -> None:
        """Allow the receiver of a gift to take the right to write."""

    def drop(self, buffer_id: int, hold: int) -> None:
        """Give up a hold; without effect where there is none."""


class _Hold:
    """What tells the source that this process has a buffer no more: it is collected."""

    __slots__ = ("__weakref__", "sends")

    def __init__(self) -> None:
        self.sends: Sends = {}


class Buffer(mmap.mmap):
    """Shared memory: ``memoryview(b)``, ``numpy.frombuffer(b, ...)`` sit on it.

    ``host.buffer(size)`` and ``context.buffer(size)`` make one, writable and of zeros. It is
    passed to components and returned by them, also inside lists and dicts, and stays valid
    until it is dropped. The receiver has the same memory, read-only, and sees what is written
    later; :meth:`give` hands over the right to write instead. ``len(b)`` is in bytes.
    """

    # In C the constructor is __new__: what is here is what it has made.
    id: int
    pool: Buffers
    hold: _Hold | None
    is_writable: bool
    #: None: it is held; False: given away, and not sent yet; True: sent.
    gift: bool | None

    def __new__(
        cls, pool: Buffers, buffer_id: int, hold: _Hold, fd: int, *, is_writable: bool
    ) -> Self:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if is_writable else 0)
        size_bytes = os.fstat(fd).st_size
        self = super().__new__(cls, fd, size_bytes, flags=mmap.MAP_SHARED, prot=access)
        self.madvise(mmap.MADV_DONTDUMP)
        self.id = buffer_id
        self.pool = pool
        self.hold = hold
        self.is_writable = is_writable
        self.gift = None
        return self

    def give(self) -> Self:
        """Give it away: pass the result on, once, in the next call or result.

        The receiver may write to it; this object refuses use from now on. What becomes of
        the call does not matter: a gift that nobody takes is freed.

        Raises:
            InvalidBuffer: it is read-only or was given away, or arrays or memoryviews lie on it.
        """
        if self.gift is not None:
            raise InvalidBuffer("the buffer was given away already")
        if self.closed:
            raise InvalidBuffer("the buffer is closed")
        if not self.is_writable:
            raise InvalidBuffer(
                "the buffer was received, and cannot be given away",
                hint="only who may write to it can give it; ask the sender to give it",
            )
        try:
            super().close()
        except BufferError:
            raise InvalidBuffer(
                "arrays or memoryviews lie on the buffer, and could still write to it",
                hint="drop them before it is given away",
            ) from None
        self.gift = False
        self.pool.forget(self)
        return self

    def close(self) -> None:
        """Free it here at once; dropping the object does the same.

        Raises:
            BufferError: arrays or memoryviews lie on it.
        """
        super().close()
        self.pool.forget(self)
        self.hold = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, newsize: int) -> NoReturn:
        """Refused: others have it mapped as it is."""
        raise InvalidBuffer("a buffer keeps its size", hint="make another one, and copy")

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise InvalidBuffer(
            "a buffer is no part of a pickle or a copy: it is memory that others share",
            hint="pass it as an argument or a result, or take bytes(buffer)",
        )


class Departures:
    """Holds that are to be given up, once what was sent is read.

    :meth:`add` may be called by a finalizer: anywhere, whatever locks are held.
    """

    def __init__(self) -> None:
        #: What is not given up yet.
        self.waiting: deque[tuple[Callable[[], object], Sends]] = deque()
        self._settling = threading.Lock()

    def add(self, drop: Callable[[], object], sends: Sends) -> None:
        """Call ``drop``, from :meth:`settle`, when none of the records is on its way."""
        self.waiting.append((drop, sends))

    def settle(self, most: int | None = None) -> bool:
        """Give up what can be given up, of ``most`` in turn; True if something is left."""
        if self._settling.acquire(blocking=False):
            try:
                count = len(self.waiting)
                for _ in range(count if most is None else min(most, count)):
                    drop, sends = self.waiting[0]
                    if any(way.is_on_its_way(at) for way, at in tuple(sends.items())):
                        self.waiting.rotate(-1)
                    else:
                        drop()
                        self.waiting.popleft()
            finally:
                self._settling.release()
        return bool(self.waiting)


class Buffers:
    """The buffers of one host in one process.

    ``nudge`` is called, from finalizers, when there is something in ``departures`` to
    settle. The last ``remembered`` that were received stay mapped until
    :meth:`forget_received`, so that one that comes again need not be fetched each time.
    """

    def __init__(
        self, source: BufferSource, nudge: Callable[[], object], *, remembered: int = 0
    ) -> None:
        self._source = source
        self._nudge = nudge
        self._numbers = itertools.count(1)
        self._here: weakref.WeakValueDictionary[int, Buffer] = weakref.WeakValueDictionary()
        #: What is dropped here, and not given up yet.
        self.departures = Departures()
        self._received: deque[Buffer] = deque(maxlen=remembered)

    def create(self, nbytes: int) -> Buffer:
        """Make a buffer.

        Raises:
            InvalidBuffer: that is no size, or no memory or descriptor is left.
            HostError: the host takes nothing on any more.
        """
        size_bytes = checked_size(nbytes)
        # Not to be guessed by a component that was not given it.
        buffer_id = secrets.randbits(64)
        hold, number = self._new_hold(buffer_id)
        fd = self._source.create(buffer_id, number, size_bytes)
        return self._map(buffer_id, hold, fd, is_writable=True)

    def receive(self, buffer_id: int, is_gift: bool) -> Buffer:
        """The buffer that came with a record; the same object while one is there.

        Raises:
            InvalidBuffer: there is no such buffer, or it cannot be mapped.
        """
        known = self._here.get(buffer_id)
        if known is not None and not is_gift:
            return known
        hold, number = self._new_hold(buffer_id)
        fd = self._source.fetch(buffer_id, number, is_gift)
        buffer = self._map(buffer_id, hold, fd, is_writable=is_gift)
        if not is_gift:
            self._received.append(buffer)
        return buffer

    def forget_received(self) -> None:
        """Drop what is mapped only because it may come again: others have dropped some."""
        self._received.clear()

    def offer(self, buffer: Buffer) -> None:
        """Let the receiver of a gift have it; it is about to be sent."""
        self._source.offer(buffer.id)

    def _map(self, buffer_id: int, hold: _Hold, fd: int, *, is_writable: bool) -> Buffer:
        try:
            buffer = Buffer(self, buffer_id, hold, fd, is_writable=is_writable)
        except (OSError, ValueError, OverflowError) as error:
            raise InvalidBuffer(
                f"a buffer cannot be mapped: {error}",
                hint="no memory or no descriptor is left; drop buffers that are not needed",
            ) from error
        finally:
            os.close(fd)
        self._here[buffer_id] = buffer
        return buffer

    def _new_hold(self, buffer_id: int) -> tuple[_Hold, int]:
        # What makes many of them in one call gives up as many.
        self.departures.settle(_IN_TURN)
        # Before the source is asked: an interrupt at any later step leaves nothing.
        hold = _Hold()
        number = next(self._numbers)
        finalizer = weakref.finalize(hold, self._on_collected, buffer_id, number, hold.sends)
        # At the end of the process the kernel frees it.
        finalizer.atexit = False
        return hold, number

    def _on_collected(self, buffer_id: int, number: int, sends: Sends) -> None:
        self.departures.add(lambda: self._source.drop(buffer_id, number), sends)
        self._nudge()

    def forget(self, buffer: Buffer) -> None:
        """It is closed or given away: if it comes back, it is another object."""
        if self._here.get(buffer.id) is buffer:
            with contextlib.suppress(KeyError):
                del self._here[buffer.id]

    def disown(self, error: HostError) -> None:
        """In a forked child: make, fetch and give up nothing in the parent's place."""
        self._source = _Refusal(error)
        self._nudge = lambda: None
        self.departures = Departures()


class _Refusal:
    """The source of a forked child."""

    def __init__(self, error: HostError) -> None:
        self._error = error

    def create(self, buffer_id: int, hold: int, size_bytes: int) -> int:
        raise copy.copy(self._error)

    def fetch(self, buffer_id: int, hold: int, is_gift: bool) -> int:
        raise copy.copy(self._error)

    def offer(self, buffer_id: int) -> None:
        raise copy.copy(self._error)

    def drop(self, buffer_id: int, hold: int) -> None:
        pass


def memory_bytes() -> int:
    """How much memory the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def checked_size(nbytes: object) -> int:
    """The size of a new buffer in bytes.

    Raises:
        InvalidBuffer: it is no whole number from 1 to what the machine has.
    """
    try:
        size_bytes = -1 if isinstance(nbytes, bool) else operator.index(nbytes)  # type: ignore[arg-type]
    except TypeError:
        size_bytes = -1
    if size_bytes < 1:
        raise InvalidBuffer(f"a buffer has a whole number of bytes, 1 or more, not {nbytes!r:.80}")
    most = memory_bytes()
    if size_bytes > most:
        raise InvalidBuffer(
            f"a buffer of {size_bytes:,} bytes is larger than the memory of this machine, {most:,}",
            hint="pass it in parts, or a file instead",
        )
    return size_bytes
