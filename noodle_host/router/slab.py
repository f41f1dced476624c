"""Slabs: where payloads live that are too large for a lane.

An arena belongs to the sender of one direction of a channel. It is a chain of
blocks, each with a header of two words: its size and its state. The sender
allocates, the receiver frees by one store; nothing else is shared, so neither
waits for the other. A successor of the sender reads the chain and goes on.

Memory that is hot is worth more than memory that is tidy: a freed block is used
again first, by size class. Only when the arena is used up are free neighbours
joined.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Callable
from typing import Final

from .segment import Segment

BLOCK_HEADER_BYTES: Final = 64
# Words of a block's header.
_SIZE: Final = 0
_STATE: Final = 1
_FREE: Final = 0
_SENT: Final = 1  #: allocated, or on its way
_HELD: Final = 2  #: the receiver keeps a view beyond the record

_SMALLEST: Final = 1 << 16
# Free blocks of more than this give their memory back to the machine.
_KEEP_BYTES: Final = 64 << 20


def block_bytes(payload_bytes: int) -> int:
    """The size of the block for a payload: four classes in each doubling."""
    need = payload_bytes + BLOCK_HEADER_BYTES
    if need <= _SMALLEST:
        return _SMALLEST
    step = 1 << (need.bit_length() - 3)
    return (need + step - 1) & -step


class ArenaWriter:
    """The sender's side of an arena; used under its owner's lock."""

    def __init__(self, segment: Segment, start: int, size_bytes: int) -> None:
        self.segment = segment
        self._start = start
        self._end = start + size_bytes
        self.largest_payload_bytes = size_bytes // 4
        self._free: dict[int, list[int]] = {}
        # Blocks that the receiver may have freed in the meantime.
        self._live: dict[int, int] = {}
        self._top = start
        self._recover()

    def allocate(self, payload_bytes: int) -> int:
        """Return the offset for that many bytes, or -1 if no block is free now."""
        size = block_bytes(payload_bytes)
        self._collect()
        offsets = self._free.get(size)
        if offsets:
            at = offsets.pop()
        elif self._top + size <= self._end:
            at = self._top
            self._top += size
            self._write(at, _SIZE, size)
        else:
            at = self._join(size)
            if at < 0:
                return -1
        self._write(at, _STATE, _SENT)
        self._live[at] = size
        return at + BLOCK_HEADER_BYTES

    def free(self, offset: int) -> None:
        """Take a block back that was never sent, or whose receiver is dead."""
        self._write(offset - BLOCK_HEADER_BYTES, _STATE, _FREE)

    @property
    def live_bytes(self) -> int:
        """Bytes of the blocks that are in flight or still held by the receiver."""
        self._collect()
        return sum(self._live.values())

    def _collect(self) -> None:
        freed = [at for at in self._live if self._read(at, _STATE) == _FREE]
        for at in freed:
            size = self._live.pop(at)
            self._free.setdefault(size, []).append(at)
            if size > _KEEP_BYTES:
                self._give_back(at, size)

    def _give_back(self, at: int, size: int) -> None:
        page = mmap.PAGESIZE
        first = (at + BLOCK_HEADER_BYTES + page - 1) & -page
        last = (at + size) & -page
        if last > first:
            self.segment.map.madvise(mmap.MADV_REMOVE, first, last - first)

    def _join(self, size: int) -> int:
        """Join free neighbours until one of ``size`` is there; -1 if none is."""
        self._free.clear()
        best = -1
        at = self._start
        while at < self._top:
            total = self._read(at, _SIZE)
            if at not in self._live:
                while at + total < self._top and at + total not in self._live:
                    total += self._read(at + total, _SIZE)
                if best < 0 and total >= size:
                    best = at
                    rest = total - size
                    if rest:
                        # The tail first: whoever walks the chain always can.
                        self._write(at + size, _SIZE, rest)
                        self._write(at + size, _STATE, _FREE)
                        self._free.setdefault(rest, []).append(at + size)
                    self._write(at, _SIZE, size)
                else:
                    self._write(at, _SIZE, total)
                    self._free.setdefault(total, []).append(at)
            at += total
        return best

    def _recover(self) -> None:
        at = self._start
        while at < self._end and (size := self._read(at, _SIZE)):
            if self._read(at, _STATE) != _FREE:
                self._live[at] = size
            else:
                self._free.setdefault(size, []).append(at)
            at += size
        self._top = at

    def _read(self, at: int, word: int) -> int:
        return self.segment.words[(at >> 3) + word]

    def _write(self, at: int, word: int, value: int) -> None:
        self.segment.words[(at >> 3) + word] = value


class ArenaReader:
    """The receiver's side: views of payloads, freed when the last view is gone."""

    def __init__(self, segment: Segment, start: int, size_bytes: int) -> None:
        self._segment = segment
        self._start = start
        self._end = start + size_bytes

    def contains(self, offset: int, payload_bytes: int) -> bool:
        """Whether a payload lies inside; what a peer wrote is not to be trusted."""
        return (
            self._start + BLOCK_HEADER_BYTES <= offset
            and payload_bytes > 0
            and offset + payload_bytes <= self._end
            and offset % 8 == 0
        )

    def view(self, offset: int, payload_bytes: int) -> memoryview:
        """A read-only view, without a claim: the caller frees the block itself."""
        return self._segment.view[offset : offset + payload_bytes].toreadonly()

    def free(self, offset: int) -> None:
        self._segment.words[((offset - BLOCK_HEADER_BYTES) >> 3) + _STATE] = _FREE

    def free_held(self) -> None:
        """Free what a receiver kept that is dead by now.

        What it had not taken is found through the records that hold it. The
        sender may be allocating: it never writes a block that is held.
        """
        words = self._segment.words
        at = self._start
        while at < self._end and (size := words[(at >> 3) + _SIZE]):
            if words[(at >> 3) + _STATE] == _HELD:
                words[(at >> 3) + _STATE] = _FREE
            at += size

    def lease(
        self, offset: int, payload_bytes: int, on_drop: Callable[[int], None] | None = None
    ) -> memoryview:
        """A read-only view that frees the block when all views of it are dropped.

        ``on_drop(offset)`` is called instead of freeing, if given.
        """
        self._segment.words[((offset - BLOCK_HEADER_BYTES) >> 3) + _STATE] = _HELD
        # A ctypes array is the one exporter in the standard library that keeps
        # the buffer's owner alive and takes a weak reference.
        exporter = (ctypes.c_ubyte * payload_bytes).from_buffer(self._segment.map, offset)
        weakref.finalize(exporter, on_drop or self.free, offset).atexit = False
        return memoryview(exporter).cast("B").toreadonly()
