"""A channel: what joins one caller and one seat.

It is a segment with two lanes and two arenas, and it outlives the workers that
hold the seat. Either end wraps a lane in each direction: requests are written by the
caller, replies by whoever holds the seat.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final

from . import layout
from .bell import Doorbell
from .buffer import Buffers
from .corrupt import CorruptError
from .lane import CorruptLaneError, Record
from .native import LaneMemory, LaneReader, LaneWriter, fence
from .parcel import Parcel, open_parcel
from .segment import Segment
from .slab import ArenaReader, ArenaWriter

SLAB_DESCRIPTOR: Final = struct.Struct("<QQ")
Chunks = list[bytes | bytearray | memoryview]


def create_segment(name: str) -> Segment:
    """Make the segment of a new channel."""
    lane, arena = layout.LANE_BYTES, layout.ARENA_BYTES
    segment = Segment.create(name, layout.CHANNEL_HEADER_BYTES + 2 * lane + 2 * arena)
    segment.words[layout.CH_LANE_BYTES] = lane
    segment.words[layout.CH_ARENA_BYTES] = arena
    segment.words[layout.CH_MAGIC] = layout.CHANNEL_MAGIC
    return segment


def lanes_of(segment: Segment) -> tuple[LaneMemory, LaneMemory]:
    """The lanes of a channel: of requests, and of replies."""
    words = segment.words
    first, lane_bytes = layout.CHANNEL_HEADER_BYTES, words[layout.CH_LANE_BYTES]
    rings = [segment.view[first + i * lane_bytes :][:lane_bytes] for i in (0, 1)]
    return (
        LaneMemory(words, rings[0], layout.CH_REQUESTS),
        LaneMemory(words, rings[1], layout.CH_REPLIES),
    )


def _records(reader: LaneReader) -> Iterator[Record]:
    """What is committed from where the reader stands, once round the ring at most."""
    start = reader.position
    while (record := reader.read()) is not None:
        if reader.position - start > reader.memory.size_bytes:
            raise CorruptLaneError(start, "the ring is full of records")
        yield record


def unretired(lane: LaneMemory) -> Iterator[Record]:
    """The records that stand in a lane, retired ones left out."""
    return _records(LaneReader(lane, None, None))


class Outbox:
    """The writing half of one end: a lane, its arena, and the reader's bell, if it has one.

    Raises ``CorruptLaneError`` when what an earlier writer left is not a lane.
    """

    def __init__(
        self,
        lane: LaneMemory,
        segment: Segment,
        arena: range,
        peer: Doorbell | None,
        over_word: int,
        kept: Callable[[], set[int]] = set,
    ) -> None:
        self.peer = peer
        # Blocks of the arena that are in use without being on their way.
        self._kept = kept
        #: The buffers that may be sent.
        self.buffers: Buffers | None = None
        self.is_closed = False
        # Not 0 when the reader is gone for good.
        self._over_word = over_word
        self.lock = threading.Lock()
        self._lane = lane
        self._segment = segment
        self._arena = arena
        self._waiting = 0
        self._recover()

    def _recover(self) -> None:
        """Take up the lane and the arena as they are in memory."""
        on_their_way = {
            SLAB_DESCRIPTOR.unpack(record[11])[0]
            for record in unretired(self._lane)
            if record[2] & layout.SLAB and len(record[11]) == SLAB_DESCRIPTOR.size
        }
        self.writer = LaneWriter(self._lane, self.peer)
        self.arena = ArenaWriter(self._segment, self._arena.start, len(self._arena))
        self.arena.reclaim(on_their_way | self._kept())

    def send(
        self,
        kind: int,
        flags: int,
        call_id: int,
        method: int,
        key_hash: int,
        deadline_ns: int,
        body: bytes | Chunks,
    ) -> int:
        """Publish one record and ring a sleeping reader.

        A body that is a list of chunks is written one after the other. Returns
        the record's position, or -1 if there is no room now.

        Raises:
            InvalidBuffer: a buffer in the body cannot be sent.
        """
        if type(body) is bytes and len(body) <= layout.INLINE_BYTES:
            with self.lock:
                try:
                    return self.writer.publish(
                        kind, flags, call_id, method, key_hash, deadline_ns, body
                    )
                except BaseException:
                    self._set_right()
                    raise
        parcel = body if isinstance(body, Parcel) else None
        if parcel is not None:
            parcel.check(self.buffers)
            flags |= layout.BUFFERS
        size = sum(map(len, body)) if isinstance(body, list) else len(body)
        if isinstance(body, list) and parcel is None and size <= layout.INLINE_BYTES:
            body = b"".join(body)
        with self.lock:
            try:
                if isinstance(body, list) or size > layout.INLINE_BYTES:
                    # First of all: who waits for room comes here again and again,
                    # and must not copy the payload each time.
                    if not self.writer.has_room(SLAB_DESCRIPTOR.size):
                        return -1
                    offset = self.arena.allocate(size)
                    if offset < 0:
                        return -1
                    self._fill(offset, body)
                    body = SLAB_DESCRIPTOR.pack(offset, size)
                    flags |= layout.SLAB
                if parcel is not None:
                    # Before it is committed: from then on it may be read and dropped.
                    parcel.note_way(self, self.writer.tail)
                position = self.writer.publish(
                    kind, flags, call_id, method, key_hash, deadline_ns, body
                )
            except BaseException:
                self._set_right()
                raise
        if parcel is not None and position >= 0:
            parcel.note_sent()
        return position

    @property
    def is_over(self) -> bool:
        """Whether nothing that was sent will be read any more."""
        return self.is_closed or self._segment.words[self._over_word] != 0

    def is_on_its_way(self, position: int) -> bool:
        """Whether the record that was sent at ``position``, or next, may still be read."""
        return self.writer.memory.retired <= position < self.writer.tail and not self.is_over

    def _set_right(self) -> None:
        # A signal handler may raise anywhere. Whatever it came between,
        # what is committed counts, and the rest is forgotten.
        self._recover()
        fence()
        if self.peer is not None:
            self.peer.ring_if_asleep()

    def _fill(self, offset: int, body: bytes | Chunks) -> None:
        view = self._segment.view
        for chunk in body if isinstance(body, list) else (body,):
            end = offset + len(chunk)
            view[offset:end] = chunk
            offset = end

    def begin_waiting(self) -> None:
        """Have the reader ring this process when it retires; look again after it."""
        with self.lock:
            self._waiting += 1
            self.writer.set_waiting(True)
        fence()

    def end_waiting(self) -> None:
        """One thread less waits for room."""
        with self.lock:
            self._waiting -= 1
            if not self._waiting:
                self.writer.set_waiting(False)

    @property
    def memory(self) -> LaneMemory:
        """The lane that it writes."""
        return self._lane

    def has_room(self, size: int) -> bool:
        """Whether a body of ``size`` bytes may be sent now."""
        return self.writer.has_room(min(size, layout.INLINE_BYTES))


class Inbox:
    """The reading half of one end: a lane, its arena, and the writer's bell."""

    def __init__(self, lane: LaneMemory, arena: ArenaReader, peer: Doorbell) -> None:
        self.reader = LaneReader(lane, None, peer)
        self.arena = arena
        self.peer = peer
        #: The buffers that may be received.
        self.buffers: Buffers | None = None

    def unpack(self, record: Record, view: memoryview) -> memoryview:
        """The body in the leased slab of a record; what buffers come with it are mapped.

        Raises:
            CorruptError: the record says that there are some, and there is no table.
        """
        return open_parcel(view, self.buffers) if record[2] & layout.BUFFERS else view

    def retire(self, position: int) -> None:
        """Give the ring back up to ``position``, and tell a writer that waits."""
        self.reader.retire(position)

    def committed_end(self) -> int:
        """The position behind the last record that is committed now.

        Raises:
            CorruptLaneError: there is no end: the ring is full of records.
        """
        reader = LaneReader(self.reader.memory, self.reader.position)
        for _ in _records(reader):
            pass
        return reader.position

    def reclaim(self, is_done: Callable[[Record], bool]) -> None:
        """After a holder's death: have what it held of payloads given back.

        What is not done, its successor takes again.

        Raises:
            CorruptLaneError, CorruptError: the lane is damaged.
        """
        wanted = set()
        for record in unretired(self.reader.memory):
            slab = self.slab(record)
            if slab is not None and not is_done(record):
                wanted.add(slab[0])
        self.arena.free_held(wanted)

    def slab(self, record: Record) -> tuple[int, int] | None:
        """Where the record's payload is if it is not in the record itself.

        Raises:
            CorruptError: it is nowhere in the arena.
        """
        if not record[2] & layout.SLAB:
            return None
        if len(record[11]) != SLAB_DESCRIPTOR.size:
            raise CorruptError(f"the descriptor of a slab has {len(record[11])} bytes, not 16")
        offset, size = SLAB_DESCRIPTOR.unpack(record[11])
        if not self.arena.contains(offset, size):
            raise CorruptError(f"a slab of {size} bytes at {offset} is outside its arena")
        return offset, size


class ChannelEnd:
    """One end of a channel: ``outbox`` to write, ``inbox`` to read.

    Raises ``ValueError`` or ``CorruptLaneError`` when the segment is not a
    channel, or an earlier end left it damaged.
    """

    def __init__(self, segment: Segment, peer: Doorbell, *, caller: bool) -> None:
        words = segment.words
        first = layout.CHANNEL_HEADER_BYTES
        if segment.size_bytes <= first or words[layout.CH_MAGIC] != layout.CHANNEL_MAGIC:
            raise ValueError("the segment is not a channel of this version")
        lane_bytes, arena_bytes = words[layout.CH_LANE_BYTES], words[layout.CH_ARENA_BYTES]
        if segment.size_bytes != first + 2 * lane_bytes + 2 * arena_bytes or arena_bytes % 4096:
            raise ValueError(
                f"the channel says lanes of {lane_bytes} and arenas of {arena_bytes} bytes, "
                f"but its segment has {segment.size_bytes}"
            )
        lanes = lanes_of(segment)
        starts = [first + 2 * lane_bytes + i * arena_bytes for i in (0, 1)]
        out, into = (0, 1) if caller else (1, 0)
        self.segment = segment
        self.peer = peer
        self.lanes = lanes
        arena = range(starts[out], starts[out] + arena_bytes)
        over_word = layout.CH_CLOSED if caller else layout.CH_LEFT
        kept = set if caller else self._task_bodies
        self.outbox = Outbox(lanes[out], segment, arena, peer, over_word, kept)
        self.inbox = Inbox(lanes[into], ArenaReader(segment, starts[into], arena_bytes), peer)

    def task_slots(self) -> Iterator[int]:
        """The first words of the slots of tasks that are under way."""
        words = self.segment.words
        end = layout.CH_TASKS + layout.TASK_SLOTS * layout.TASK_WORDS
        for slot in range(layout.CH_TASKS, end, layout.TASK_WORDS):
            if words[slot + layout.TASK_CALL]:
                yield slot

    def _task_bodies(self) -> set[int]:
        words = self.segment.words
        return {words[slot + layout.TASK_BODY] for slot in self.task_slots()}

    @property
    def closed(self) -> bool:
        """Whether the host has closed the seat for good."""
        return self.segment.words[layout.CH_CLOSED] != 0

    def carry(self, buffers: Buffers | None) -> None:
        """Let buffers be sent and received here."""
        self.outbox.buffers = self.inbox.buffers = buffers

    def leave(self) -> None:
        """Say, as the caller, that nothing is read here any more."""
        self.segment.words[layout.CH_LEFT] = 1

    def close(self) -> None:
        """Drop the mapping; leases that are out keep theirs.

        Closes the peer's bell too if it was attached: it came with this channel.
        """
        self.outbox.is_closed = True
        self.segment.close()
        if self.peer.segment.is_attached:
            self.peer.close()
