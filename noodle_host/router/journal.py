"""The journal of a seat: the commands of its leader, in the order of their execution.

It is a segment with one lane and one arena, and it outlives the workers that lead.
The leader writes a command down before it executes it, and its status once it has
answered it; whoever follows, or recovers, reads that. A copy of each command costs
less than lanes that keep theirs would: callers come and go, and their channels with
them; lanes stay small and hot; and there is one order to read in.

Records are those of a lane. Their words: key hash = where the command came from
(:func:`source`), deadline = order.
"""

from __future__ import annotations

import mmap
from collections import deque
from typing import Final

from . import layout
from .channel import SLAB_DESCRIPTOR
from .lane import Record
from .native import LaneMemory, LaneReader, LaneWriter
from .segment import Segment
from .slab import ArenaWriter

#: One of so many positions is remembered, to know how far an order reaches; and one in
#: so many bytes, because a command may take much from outside.
_MARK_EVERY: Final = 64
_MARK_BYTES: Final = 1 << 18
#: What a command and what it takes from outside may need before it is begun.
_ROOM_BYTES: Final = 4 * layout.INLINE_BYTES
#: A reader that only follows looks through what it remembers once in so many marks.
_TRIM_EVERY: Final = 4096
# Memory that is forgotten goes back to the machine in pieces of this size.
_PIECE_BYTES: Final = 1 << 22


def source(caller_seat: int, channel: int) -> int:
    """Where a command came from, as one word."""
    return caller_seat << 32 | channel


def caller_seat_of(word: int) -> int:
    return word >> 32


def channel_of(word: int) -> int:
    return word & 0xFFFFFFFF


class Journal:
    """The memory of a journal, known by descriptor."""

    def __init__(self, segment: Segment) -> None:
        words = segment.words
        first = layout.JOURNAL_HEADER_BYTES
        if segment.size_bytes <= first or words[layout.CH_MAGIC] != layout.JOURNAL_MAGIC:
            raise ValueError("the segment is not a journal of this version")
        lane_bytes, arena_bytes = words[layout.CH_LANE_BYTES], words[layout.CH_ARENA_BYTES]
        if segment.size_bytes != first + lane_bytes + arena_bytes:
            raise ValueError(f"a journal of {segment.size_bytes} bytes is cut off")
        self.segment = segment
        self.lane = LaneMemory(
            words, segment.view[first : first + lane_bytes], layout.JOURNAL_CONTROL
        )
        self.arena = range(first + lane_bytes, segment.size_bytes)

    @classmethod
    def create(cls, name: str, lane_bytes: int = layout.JOURNAL_BYTES) -> Journal:
        arena_bytes = layout.ARENA_BYTES
        segment = Segment.create(name, layout.JOURNAL_HEADER_BYTES + lane_bytes + arena_bytes)
        segment.words[layout.CH_LANE_BYTES] = lane_bytes
        segment.words[layout.CH_ARENA_BYTES] = arena_bytes
        segment.words[layout.CH_MAGIC] = layout.JOURNAL_MAGIC
        return cls(segment)

    @property
    def retired(self) -> int:
        """The position from which on its records stand."""
        return self.lane.retired

    def give_back(self, begin: int, end: int) -> None:
        """Return the memory between two positions to the machine, whole pages of it."""
        size = self.lane.size_bytes
        page = mmap.PAGESIZE
        while begin < end:
            at = begin % size
            length = min(end - begin, size - at)
            first = layout.JOURNAL_HEADER_BYTES + (at + page - 1 & -page)
            last = layout.JOURNAL_HEADER_BYTES + (at + length & -page)
            if last > first:
                self.segment.map.madvise(mmap.MADV_REMOVE, first, last - first)
            begin += length

    def close(self) -> None:
        self.segment.close()


class JournalIndex:
    """What a reader or writer remembers of the records that it has come by."""

    def __init__(self) -> None:
        #: The order of the last record.
        self.order = 0
        # (order, where its first record begins)
        self._marks: deque[tuple[int, int]] = deque()
        # (order, offset): payloads that stand in the arena.
        self._slabs: deque[tuple[int, int]] = deque()
        self._last_mark = 0

    def note(self, order: int, position: int, slab: int) -> None:
        """A record stands at ``position``; ``slab`` is the offset of its payload, or 0."""
        if order != self.order:
            self.order = order
            if order % _MARK_EVERY == 0 or position - self._last_mark >= _MARK_BYTES:
                self._last_mark = position
                self._marks.append((order, position))
        if slab:
            self._slabs.append((order, slab))

    def forget(self, order: int) -> tuple[int, list[int]]:
        """Forget up to ``order``; return where what is left begins (-1: not known), and slabs."""
        begin, first = -1, 0
        while self._marks and self._marks[0][0] <= order:
            first, begin = self._marks.popleft()
        slabs = []
        while self._slabs and self._slabs[0][0] < first:
            slabs.append(self._slabs.popleft()[1])
        return begin, slabs

    def trim(self, retired: int) -> None:
        """Forget what the leader has forgotten, once in a while."""
        if len(self._marks) >= _TRIM_EVERY:
            self.forget_before(retired)

    def forget_before(self, retired: int) -> None:
        """Forget what stands before a position."""
        order = 0
        for mark, position in self._marks:
            if position > retired:
                break
            order = mark
        if order:
            self.forget(order)

    @property
    def slabs(self) -> set[int]:
        return {offset for _, offset in self._slabs}


class JournalReader:
    """Reads a journal from some record on; nothing it does is seen by the leader."""

    def __init__(self, journal: Journal, position: int | None = None) -> None:
        self._journal = journal
        self._lane = journal.lane
        self._reader = LaneReader(journal.lane, position, None)
        self._index = JournalIndex()
        self._peek = journal.lane.peek
        # Read, and to be read again.
        self._next: Record | None = None

    @property
    def position(self) -> int:
        """Where the next record will stand."""
        return self._reader.position if self._next is None else self._next[0]

    def has_answered(self) -> bool:
        """Whether there is something new; a command that was read but not answered is not."""
        if self._next is None:
            return self._reader.has_record()
        return bool(self.status(self._next[0]) & layout.STATUS_ANSWERED)

    def read(self) -> Record | None:
        """The next record, with a copy of its payload; None if there is none yet."""
        record = self._next
        if record is not None:
            self._next = None
            return record
        record = self._reader.read()
        if record is None:
            return None
        index = self._index
        if not record[2] & layout.SLAB:
            if record[7] != index.order:
                index.note(record[7], record[0], 0)
            return record
        offset, size = SLAB_DESCRIPTOR.unpack(record[11])
        index.note(record[7], record[0], offset)
        # A copy, because the leader frees what all have executed.
        return (*record[:11], bytes(self._journal.segment.view[offset : offset + size]))

    def unread(self, record: Record) -> None:
        """Have ``record`` be the next one again."""
        self._next = record

    def status(self, position: int) -> int:
        return self._peek(position, layout.WORD_STATUS)

    def deaths(self, position: int) -> int:
        """How often the execution of a command was cut short by a death."""
        return self._peek(position, layout.WORD_MARK)

    def trim(self) -> None:
        """Let go of what the leader has forgotten."""
        self._index.trim(self._lane.retired)

    def writer(self) -> JournalWriter:
        """Lead from here on: the last leader writes no more."""
        # What that has forgotten may be in use for something else.
        self._index.forget_before(self._lane.retired)
        ahead = JournalReader(self._journal, self.position)
        while ahead.read() is not None:
            pass
        last = max(self._index.order, ahead._index.order)
        slabs = self._index.slabs | ahead._index.slabs
        return JournalWriter(self._journal, ahead.position, self._index, slabs, last)


class JournalWriter:
    """The leader's end, from where a reader has come to."""

    def __init__(
        self,
        journal: Journal,
        position: int,
        index: JournalIndex,
        slabs: set[int],
        last_order: int,
    ) -> None:
        #: The order of the last record when this end was made.
        self.last_order = last_order
        self._journal = journal
        self._lane = journal.lane
        self._index = index
        self._writer = LaneWriter(journal.lane, None, position)
        self._publish = self._writer.publish
        segment, arena = journal.segment, journal.arena
        self._arena = ArenaWriter(segment, arena.start, len(arena))
        # Taken by a leader that died before it had written the record.
        self._arena.reclaim(slabs)
        self._given_back = journal.retired

    @property
    def tail(self) -> int:
        """Where the next record will stand."""
        return self._writer.tail

    @property
    def used_bytes(self) -> int:
        return self._writer.tail - self._lane.retired

    @property
    def size_bytes(self) -> int:
        return self._lane.size_bytes

    def has_room(self) -> bool:
        """Whether a command may be begun."""
        return self._writer.has_room(_ROOM_BYTES)

    def write(
        self,
        kind: int,
        flags: int,
        call_id: int,
        method: int,
        origin: int,
        order: int,
        payload: bytes,
    ) -> int:
        """Write one record; return its position, or -1 for no room."""
        if len(payload) <= layout.INLINE_BYTES:
            position = self._publish(kind, flags, call_id, method, origin, order, payload)
            index = self._index
            if order != index.order and position >= 0:
                index.note(order, position, 0)
            return position
        offset = self._arena.allocate(len(payload))
        if offset < 0:
            return -1
        self._journal.segment.view[offset : offset + len(payload)] = payload
        where = SLAB_DESCRIPTOR.pack(offset, len(payload))
        flags |= layout.SLAB
        position = self._publish(kind, flags, call_id, method, origin, order, where)
        if position < 0:
            self._arena.free(offset)
        else:
            self._index.note(order, position, offset)
        return position

    def set_status(self, position: int, status: int) -> None:
        """Say what has become of a command."""
        self._lane.stamp(position, layout.WORD_STATUS, status)

    def set_deaths(self, position: int, deaths: int) -> None:
        """Say how often the execution of a command was cut short by a death."""
        self._lane.stamp(position, layout.WORD_MARK, deaths)

    def forget(self, order: int) -> None:
        """Give the room of everything up to ``order`` back, as far as positions are known."""
        begin, slabs = self._index.forget(order)
        if begin < 0:
            return
        LaneReader(self._lane, None, None).retire(begin)
        for offset in slabs:
            self._arena.free(offset)
        # The words right behind the tail stay as they are: they end the lane.
        if begin - self._given_back >= _PIECE_BYTES:
            # What lies further back than the ring is long has been written over since.
            oldest = self._writer.tail - self._lane.size_bytes
            self._journal.give_back(max(self._given_back, oldest), begin)
            self._given_back = begin
