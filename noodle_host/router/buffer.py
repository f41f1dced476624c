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
import functools
import io
import itertools
import mmap
import operator
import os
import secrets
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
    """Hands out descriptors, which the caller closes; all raise HostError.

    They come as files, which close themselves if a signal handler interrupts.
    """

    def create(self, buffer_id: int, hold: int, size_bytes: int) -> io.FileIO:
        """Make memory of zeros; a descriptor for reading and writing."""

    def fetch(self, buffer_id: int, hold: int, is_gift: bool) -> io.FileIO:
        """Hold a buffer that was received; writable if it is a gift."""

    def offer(self, buffer_id: int) -> None:
        """Allow the receiver of a gift to take the right to write."""

    def drop(self, buffer_id: int, hold: int) -> None:
        """Give up a hold; without effect where there is none."""


class Hold:
    """What a process has a buffer by; given up when it is collected. See :class:`Departures`."""

    __slots__ = ("__weakref__", "sends")

    def __init__(self, sends: Sends | None = None) -> None:
        self.sends: Sends = {} if sends is None else sends


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
    hold: Hold | None
    is_writable: bool
    #: None: it is held; False: given away, and not sent yet; True: sent.
    gift: bool | None

    def __new__(
        cls, pool: Buffers, buffer_id: int, hold: Hold, fd: int, *, is_writable: bool
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


class _Departure(weakref.ref[Hold]):
    """Outlives a hold, and knows how it is given up and where it was sent."""

    __slots__ = ("drop", "nudge", "sends")

    drop: Callable[[], object]
    nudge: weakref.ref[Hold]
    sends: Sends

    def __new__(cls, hold: Hold, callback: Callable[[Any], object], *_: Any) -> Self:
        return super().__new__(cls, hold, callback)

    def __init__(
        self,
        hold: Hold,
        _: Callable[[Any], object],
        drop: Callable[[], object],
        nudge: weakref.ref[Hold],
    ) -> None:
        self.drop = drop
        self.nudge = nudge
        self.sends = hold.sends


class Departures:
    """Holds that are to be given up, once what was sent is read.

    ``nudge`` is called when there is something to :meth:`settle`, anywhere, whatever locks
    are held. All else is for one thread.
    """

    def __init__(self, nudge: Callable[[], object]) -> None:
        #: What is not given up yet.
        self.waiting: deque[_Departure] = deque()
        self.nudge = nudge
        self._watched: set[_Departure] = set()

    def watch(self, hold: Hold, drop: Callable[[], object]) -> None:
        """Call ``drop`` once the hold is collected and nothing of it is on its way.

        ``drop`` may be called again if a signal handler interrupts it. For any thread.
        """
        # Callbacks are called in the reverse order. The one that counts is written in C: no
        # signal handler comes before it.
        nudge = weakref.ref(hold, lambda _: self.nudge())
        self._watched.add(_Departure(hold, self.waiting.append, drop, nudge))

    def settle(self, most: int | None = None) -> bool:
        """Give up what can be given up, of ``most`` in turn; True if something is left."""
        count = len(self.waiting)
        for _ in range(count if most is None else min(most, count)):
            departure = self.waiting[0]
            sends = departure.sends
            if any(way.is_on_its_way(at) for way, at in tuple(sends.items())):
                self.waiting.rotate(-1)
            else:
                departure.drop()
                self._watched.discard(departure)
                self.waiting.popleft()
        return bool(self.waiting)


class Buffers:
    """The buffers of one host in one process.

    Somebody has to settle ``departures``, who is told by ``nudge``; without one that is
    whoever makes and receives buffers, all on one thread. The last ``remembered`` that were
    received stay mapped until :meth:`forget_received`, so that one that comes again need not
    be fetched each time.
    """

    def __init__(
        self,
        source: BufferSource,
        nudge: Callable[[], object] | None = None,
        *,
        remembered: int = 0,
    ) -> None:
        self._source = source
        self._settles_here = nudge is None
        self._numbers = itertools.count(1)
        self._here: weakref.WeakValueDictionary[int, Buffer] = weakref.WeakValueDictionary()
        #: What is dropped here, and not given up yet.
        self.departures = Departures(nudge or _nothing)
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
        file = self._source.create(buffer_id, number, size_bytes)
        return self._map(buffer_id, hold, file, is_writable=True)

    def receive(self, buffer_id: int, is_gift: bool) -> Buffer:
        """The buffer that came with a record; the same object while one is there.

        Raises:
            InvalidBuffer: there is no such buffer, or it cannot be mapped.
        """
        known = self._here.get(buffer_id)
        if known is not None and not is_gift:
            return known
        hold, number = self._new_hold(buffer_id)
        file = self._source.fetch(buffer_id, number, is_gift)
        buffer = self._map(buffer_id, hold, file, is_writable=is_gift)
        if not is_gift:
            self._received.append(buffer)
        return buffer

    def forget_received(self) -> None:
        """Drop what is mapped only because it may come again: others have dropped some."""
        self._received.clear()

    def offer(self, buffer: Buffer) -> None:
        """Let the receiver of a gift have it; it is about to be sent."""
        self._source.offer(buffer.id)

    def _map(self, buffer_id: int, hold: Hold, file: io.FileIO, *, is_writable: bool) -> Buffer:
        try:
            buffer = Buffer(self, buffer_id, hold, file.fileno(), is_writable=is_writable)
        except (OSError, ValueError, OverflowError) as error:
            raise InvalidBuffer(
                f"a buffer cannot be mapped: {error}",
                hint="no memory or no descriptor is left; drop buffers that are not needed",
            ) from error
        finally:
            file.close()
        self._here[buffer_id] = buffer
        return buffer

    def _new_hold(self, buffer_id: int) -> tuple[Hold, int]:
        if self._settles_here:
            # What makes many of them in one call gives up as many.
            self.departures.settle(_IN_TURN)
        elif self.departures.waiting:
            self.departures.nudge()
        # Before the source is asked: an interrupt at any later step leaves nothing.
        hold = Hold()
        number = next(self._numbers)
        self.departures.watch(hold, functools.partial(self._source.drop, buffer_id, number))
        return hold, number

    def forget(self, buffer: Buffer) -> None:
        """It is closed or given away: if it comes back, it is another object."""
        if self._here.get(buffer.id) is buffer:
            with contextlib.suppress(KeyError):
                del self._here[buffer.id]

    def disown(self, error: HostError) -> None:
        """In a forked child: make, fetch and give up nothing in the parent's place."""
        self._source = _Refusal(error)
        self.departures.nudge = _nothing
        self.departures = Departures(_nothing)


def _nothing() -> None:
    pass


class _Refusal:
    """The source of a forked child."""

    def __init__(self, error: HostError) -> None:
        self._error = error

    def create(self, buffer_id: int, hold: int, size_bytes: int) -> io.FileIO:
        raise copy.copy(self._error)

    def fetch(self, buffer_id: int, hold: int, is_gift: bool) -> io.FileIO:
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
