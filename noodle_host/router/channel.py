"""A channel: what joins one caller and one seat.

It is a segment with two lanes and two arenas, and it outlives the workers that
hold the seat. Either end wraps a lane in each direction: requests are written by the
caller, replies by whoever holds the seat.
"""

from __future__ import annotations

import struct
import threading
from typing import Final

from . import layout
from .bell import Doorbell
from .lane import Record
from .native import LaneMemory, LaneReader, LaneWriter
from .segment import Segment
from .slab import ArenaReader, ArenaWriter

_SLAB_DESCRIPTOR: Final = struct.Struct("<QQ")
Chunks = list[bytes | bytearray | memoryview]


def create_segment(name: str) -> Segment:
    """Make the segment of a new channel."""
    lane, arena = layout.LANE_BYTES, layout.ARENA_BYTES
    segment = Segment.create(name, layout.CHANNEL_HEADER_BYTES + 2 * lane + 2 * arena)
    segment.words[layout.CH_LANE_BYTES] = lane
    segment.words[layout.CH_ARENA_BYTES] = arena
    segment.words[layout.CH_MAGIC] = layout.CHANNEL_MAGIC
    return segment


class Outbox:
    """The writing half of one end: a lane, its arena, and the reader's bell."""

    def __init__(self, lane: LaneMemory, arena: ArenaWriter, peer: Doorbell) -> None:
        self.writer = LaneWriter(lane, peer)
        self.arena = arena
        self.peer = peer
        self.lock = threading.Lock()

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
        """
        if isinstance(body, list):
            size = sum(map(len, body))
            body = b"".join(body) if size <= layout.INLINE_BYTES else body
        else:
            size = len(body)
        with self.lock:
            offset = 0
            if size > layout.INLINE_BYTES:
                offset = self.arena.allocate(size)
                if offset < 0:
                    return -1
                self._fill(offset, body)
                body = _SLAB_DESCRIPTOR.pack(offset, size)
                flags |= layout.SLAB
            assert not isinstance(body, list)
            position = self.writer.publish(
                kind, flags, call_id, method, key_hash, deadline_ns, body
            )
            if position < 0 and offset:
                self.arena.free(offset)
        return position

    def _fill(self, offset: int, body: bytes | Chunks) -> None:
        view = self.arena.segment.view
        for chunk in body if isinstance(body, list) else (body,):
            end = offset + len(chunk)
            view[offset:end] = chunk
            offset = end

    def has_room(self, size: int) -> bool:
        """Whether a body of ``size`` bytes may be sent now."""
        return self.writer.has_room(min(size, layout.INLINE_BYTES))


class Inbox:
    """The reading half of one end: a lane, its arena, and the writer's bell."""

    def __init__(self, lane: LaneMemory, arena: ArenaReader, peer: Doorbell) -> None:
        self.reader = LaneReader(lane, None, peer)
        self.arena = arena
        self.peer = peer

    def retire(self, position: int) -> None:
        """Give the ring back up to ``position``, and tell a writer that waits."""
        self.reader.retire(position)

    def committed_end(self) -> int:
        """The position behind the last record that is committed now."""
        return LaneReader(self.reader.memory, self.reader.position).skip_all()

    def slab(self, record: Record) -> tuple[int, int] | None:
        """Where the record's payload is if it is not in the record itself."""
        if record[2] & layout.SLAB:
            offset, size = _SLAB_DESCRIPTOR.unpack(record[11])
            self._check(offset, size)
            return offset, size
        return None

    def _check(self, offset: int, size: int) -> None:
        if not self.arena.contains(offset, size):
            raise ValueError(f"a slab of {size} bytes at {offset} is outside its arena")


class ChannelEnd:
    """One end of a channel: ``outbox`` to write, ``inbox`` to read."""

    def __init__(self, segment: Segment, peer: Doorbell, *, caller: bool) -> None:
        words = segment.words
        if words[layout.CH_MAGIC] != layout.CHANNEL_MAGIC:
            raise ValueError("the segment is not a channel of this version")
        lane_bytes, arena_bytes = words[layout.CH_LANE_BYTES], words[layout.CH_ARENA_BYTES]
        first = layout.CHANNEL_HEADER_BYTES
        rings = [segment.view[first + i * lane_bytes :][:lane_bytes] for i in (0, 1)]
        lanes = (
            LaneMemory(words, rings[0], layout.CH_REQUESTS),
            LaneMemory(words, rings[1], layout.CH_REPLIES),
        )
        arenas = [first + 2 * lane_bytes + i * arena_bytes for i in (0, 1)]
        out, into = (0, 1) if caller else (1, 0)
        self.segment = segment
        self.peer = peer
        self.lanes = lanes
        self.outbox = Outbox(lanes[out], ArenaWriter(segment, arenas[out], arena_bytes), peer)
        self.inbox = Inbox(lanes[into], ArenaReader(segment, arenas[into], arena_bytes), peer)

    @property
    def closed(self) -> bool:
        """Whether the host has closed the seat for good."""
        return self.segment.words[layout.CH_CLOSED] != 0

    def close(self) -> None:
        """Drop the mapping; leases that are out keep theirs."""
        self.segment.close()
