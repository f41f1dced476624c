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
from collections import deque
from collections.abc import Container
from typing import Any, Final

from .corrupt import CorruptError
from .segment import Segment

BLOCK_HEADER_BYTES: Final = 64
# Words of a block's header.
_SIZE: Final = 0
_STATE: Final = 1
_FREE: Final = 0
_SENT: Final = 1  #: allocated, or on its way

_SMALLEST: Final = 1 << 16
# Every block is a multiple of this, whatever it was cut from.
_GRAIN: Final = 1 << 14
# Free blocks keep so much memory between them; the rest goes back to the machine.
_KEEP_BYTES: Final = 64 << 20
# Every allocation looks whether the newest so many blocks were freed, and at some
# of the others in turn: its cost does not grow with what the receiver holds.
_NEWEST: Final = 16
_IN_TURN: Final = 4
# A chain that is being joined while somebody walks it is walked again.
_WALKS: Final = 3


def block_bytes(payload_bytes: int) -> int:
    """The size of the block for a payload: four classes in each doubling."""
    need = payload_bytes + BLOCK_HEADER_BYTES
    if need <= _SMALLEST:
        return _SMALLEST
    step = 1 << (need.bit_length() - 3)
    return (need + step - 1) & -step


def _held(at: int) -> int:
    """The state of a block of which the receiver keeps a view beyond the record.

    It differs from block to block, so that payload is not taken for a header.
    """
    return 0x444C4548_00000000 | at // _GRAIN & 0xFFFFFFFF


def _is_block(at: int, size: int, end: int) -> bool:
    return not size % _GRAIN and 0 < size <= end - at


class ArenaWriter:
    """The sender's side of an arena; used under its owner's lock.

    Making one recovers what an earlier sender has left.
    """

    def __init__(self, segment: Segment, start: int, size_bytes: int) -> None:
        self.segment = segment
        self._start = start
        self._end = start + size_bytes
        self.largest_payload_bytes = size_bytes // 4
        # Class -> blocks, the hot ones to the right.
        self._free: dict[int, deque[int]] = {}
        # Free blocks whose memory was given back, and the size of the others.
        self._cold: set[int] = set()
        self._warm_bytes = 0
        # Blocks that the receiver may have freed in the meantime.
        self._live: dict[int, int] = {}
        self._newest: list[int] = []
        self._older: deque[int] = deque()
        self._top = start
        self._recover()

    def allocate(self, payload_bytes: int) -> int:
        """Return the offset for that many bytes, or -1 if no block is free now."""
        if payload_bytes > self.largest_payload_bytes:
            return -1
        size = block_bytes(payload_bytes)
        self._collect_some()
        at = self._take(size)
        if at < 0:
            at = self._grow(size)
        if at < 0:
            self._collect_all()
            at = self._take(size)
        if at < 0:
            at = self._join(size)
        if at < 0:
            return -1
        self._write(at, _STATE, _SENT)
        self._live[at] = size
        self._newest.append(at)
        return at + BLOCK_HEADER_BYTES

    def free(self, offset: int) -> None:
        """Take a block back that was never sent, or whose receiver is dead."""
        self._write(offset - BLOCK_HEADER_BYTES, _STATE, _FREE)

    def reclaim(self, on_their_way: Container[int]) -> None:
        """Free the blocks that an earlier sender took and did not come to send.

        ``on_their_way`` are the offsets in the records that were not retired, as
        it was before this call: what is neither among them nor held has no owner.
        """
        for at in self._live:
            if self._read(at, _STATE) == _SENT and at + BLOCK_HEADER_BYTES not in on_their_way:
                self._write(at, _STATE, _FREE)

    @property
    def live_bytes(self) -> int:
        """Bytes of the blocks that are in flight or still held by the receiver."""
        self._collect_all()
        return sum(self._live.values())

    # -- what the receiver has freed -----------------------------------------

    def _collect_some(self) -> None:
        words = self.segment.words
        newest, older = self._newest, self._older
        freed = [at for at in newest if words[(at >> 3) + _STATE] == _FREE]
        for at in freed:
            newest.remove(at)
            self._put(at, self._live.pop(at))
        if len(newest) >= _NEWEST:
            older.append(newest.pop(0))
        for _ in range(min(_IN_TURN, len(older))):
            self._look_at_older()

    def _collect_all(self) -> None:
        self._older.extend(self._newest)
        self._newest.clear()
        for _ in range(len(self._older)):
            self._look_at_older()

    def _look_at_older(self) -> None:
        at = self._older.popleft()
        if self._read(at, _STATE) == _FREE:
            self._put(at, self._live.pop(at))
        else:
            self._older.append(at)

    # -- free blocks ---------------------------------------------------------

    def _put(self, at: int, size: int) -> None:
        blocks = self._free.get(size)
        if blocks is None:
            blocks = self._free[size] = deque()
        if self._warm_bytes + size <= _KEEP_BYTES:
            self._warm_bytes += size
            blocks.append(at)
        else:
            self._give_back(at, size)
            self._cold.add(at)
            blocks.appendleft(at)

    def _take(self, size: int) -> int:
        blocks = self._free.get(size)
        if not blocks:
            return -1
        at = blocks.pop()
        if at in self._cold:
            self._cold.discard(at)
        else:
            self._warm_bytes -= size
        return at

    def _give_back(self, at: int, size: int) -> None:
        page = mmap.PAGESIZE
        first = (at + BLOCK_HEADER_BYTES + page - 1) & -page
        last = (at + size) & -page
        if last > first:
            self.segment.map.madvise(mmap.MADV_REMOVE, first, last - first)

    # -- the chain -----------------------------------------------------------

    def _grow(self, size: int) -> int:
        at = self._top
        if at + size > self._end:
            return -1
        self._top = at + size
        # A block's size makes it part of the chain, so it comes last; the chain
        # ends at a size of 0, and the memory may have been part of it before.
        self._write(at, _STATE, _FREE)
        if self._top < self._end:
            self._write(self._top, _SIZE, 0)
        self._write(at, _SIZE, size)
        return at

    def _join(self, size: int) -> int:
        """Join free neighbours, and cut off a block of ``size``; -1 if none is so large."""
        self._free.clear()
        self._cold.clear()
        self._warm_bytes = 0
        found = -1
        at = self._start
        while at < self._top:
            total = self._read(at, _SIZE)
            if at not in self._live:
                while at + total < self._top and at + total not in self._live:
                    total += self._read(at + total, _SIZE)
                if at + total == self._top:
                    self._write(at, _SIZE, 0)
                    self._give_back(at, total)
                    self._top = at
                    break
                self._write(at, _SIZE, total)
                if found < 0 and total >= size:
                    found = at
                    self._cut(at, size, total)
                else:
                    self._put(at, total)
            at += total
        return found if found >= 0 else self._grow(size)

    def _cut(self, at: int, size: int, total: int) -> None:
        rest = total - size
        if rest:
            # The tail first: whoever walks the chain always can.
            self._write(at + size, _STATE, _FREE)
            self._write(at + size, _SIZE, rest)
            self._write(at, _SIZE, size)
            self._put(at + size, rest)

    def _recover(self) -> None:
        at = self._start
        while at < self._end and (size := self._read(at, _SIZE)):
            if not _is_block(at, size, self._end):
                # An earlier sender scribbled here. What lies behind may still be
                # held, so nothing of it is used again.
                self._end = at
                break
            if self._read(at, _STATE) == _FREE:
                self._put(at, size)
            else:
                self._live[at] = size
                self._older.append(at)
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
        # Offset -> the lease that is out. The reference's callback frees.
        self._leases: dict[int, weakref.ref[Any]] = {}
        # A ctypes type costs four times as much as the rest of a lease.
        self._exporters: dict[int, type[ctypes.Array[ctypes.c_ubyte]]] = {}

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
        """Free a block, unless a lease of it is out: that frees it when it ends."""
        if offset not in self._leases:
            self._segment.words[((offset - BLOCK_HEADER_BYTES) >> 3) + _STATE] = _FREE

    def is_leased(self, offset: int) -> bool:
        """Whether a lease of the payload is out."""
        return offset in self._leases

    def free_held(self, wanted: Container[int] = ()) -> None:
        """Free what a receiver kept that is dead by now.

        The offsets ``wanted`` are its successor's to take. What it had not taken
        is found through the records that hold it. The sender may be allocating: it
        never writes a block that is held.
        """
        for _ in range(_WALKS):
            if self._walk_held(wanted):
                return

    def _walk_held(self, wanted: Container[int]) -> bool:
        """Free what is held as far as the chain goes; False: it does not reach its end."""
        words = self._segment.words
        at = self._start
        while at < self._end and (size := words[(at >> 3) + _SIZE]):
            if not _is_block(at, size, self._end):
                return False
            if words[(at >> 3) + _STATE] == _held(at):
                is_wanted = at + BLOCK_HEADER_BYTES in wanted
                words[(at >> 3) + _STATE] = _SENT if is_wanted else _FREE
            at += size
        return True

    def lease(
        self, offset: int, payload_bytes: int, keep: dict[int, memoryview] | None = None
    ) -> memoryview:
        """A read-only view that frees the block when all views of it are dropped.

        ``keep[offset]`` is set to the view as well, before anything else is done:
        if a signal handler raises, the payload is not gone with the view.

        Raises:
            CorruptError: the block is free, or ends outside the segment.
        """
        at = offset - BLOCK_HEADER_BYTES
        state_word = (at >> 3) + _STATE
        words = self._segment.words
        if words[state_word] == _FREE:
            raise CorruptError(f"the slab of {payload_bytes} bytes at {offset} is not in use")
        size = block_bytes(payload_bytes) - BLOCK_HEADER_BYTES
        exporter_type = self._exporters.get(size)
        if exporter_type is None:
            exporter_type = self._exporters[size] = ctypes.c_ubyte * size
        # A ctypes array is the one exporter in the standard library that keeps
        # the buffer's owner alive and takes a weak reference.
        if offset + size > self._segment.size_bytes:
            raise CorruptError(f"the slab of {payload_bytes} bytes at {offset} has no end")
        exporter = exporter_type.from_buffer(self._segment.map, offset)
        view = memoryview(exporter).cast("B")[:payload_bytes].toreadonly()

        def free(_: object) -> None:
            self._leases.pop(offset, None)
            words[state_word] = _FREE

        held = _held(at)
        if keep is not None:
            keep[offset] = view
        # From here on the block is freed with the view, and not before: an
        # interrupt comes before both stores or after them.
        self._leases[offset] = weakref.ref(exporter, free)
        words[state_word] = held
        return view
