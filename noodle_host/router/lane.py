"""A lane: a byte ring with one producer and one consumer. The specification.

This is the layout of :mod:`.layout` in pure Python. It relies on the total
store order of x86-64 and on ``words[i] = v`` being one store; on other machines
the native lanes are required.

Positions count bytes since the lane was made and never wrap; a position modulo
the ring's size is an address. A consumer has two: what it has *read*, which is
its own affair, and what is *retired*, which is shared: the producer may
overwrite what is retired and nothing else. So what is read but not retired
stays, and another process can read it again.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from . import layout
from .layout import HEADER_BYTES, PAD

_FIELDS: Final = struct.Struct("<7Q")
_HEADER: Final = struct.Struct("<8Q")

# (position, kind, flags, core, call_id, method, key_hash, deadline_ns, order,
# status, mark, payload). The payload is a view of the ring, valid until the
# record is retired. A tuple, because making one costs a tenth of an object.
Record: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, memoryview]


class CorruptLaneError(Exception):
    """What stands in the lane cannot have been written by this protocol."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"{what} (at position {position})")
        self.position = position


class LaneMemory:
    """The ring and the control words of one lane, in somebody's segment."""

    __slots__ = ("control", "control_base", "mask", "ring", "size_bytes", "words")

    def __init__(self, segment_words: memoryview, ring: memoryview, control_base: int) -> None:
        self.control = segment_words
        self.control_base = control_base
        self.ring = ring
        self.words = ring.cast("Q")
        self.size_bytes = len(ring)
        self.mask = self.size_bytes - 1
        if self.size_bytes & self.mask:
            raise ValueError(f"the size of a ring is a power of two, not {self.size_bytes}")

    @property
    def retired(self) -> int:
        return self.control[self.control_base + layout.LANE_RETIRED]

    def stamp(self, position: int, word: int, value: int) -> None:
        """Write one of the three words of a record that are not the producer's."""
        self.words[((position & self.mask) >> 3) + word] = value

    def peek(self, position: int, word: int) -> int:
        return self.words[((position & self.mask) >> 3) + word]


class LaneWriter:
    """The producer's end. One per lane at any time, used under the owner's lock."""

    __slots__ = ("_core_bits", "_retired", "memory", "tail")

    def __init__(self, memory: LaneMemory) -> None:
        self.memory = memory
        self._retired = memory.retired
        # A successor finds the end by walking over what is committed.
        self.tail = LaneReader(memory, self._retired).skip_all()
        self._core_bits = 0

    def publish(
        self,
        kind: int,
        flags: int,
        call_id: int,
        method: int,
        key_hash: int,
        deadline_ns: int,
        payload: bytes | bytearray | memoryview,
    ) -> int:
        """Write and commit one record; return its position, or -1 for no room."""
        memory = self.memory
        payload_bytes = len(payload)
        need = (HEADER_BYTES + payload_bytes + 7) & ~7
        tail = self.tail
        at = tail & memory.mask
        pad = 0
        if at + need > memory.size_bytes:
            pad = memory.size_bytes - at
        if not self._has_room(pad + need):
            return -1
        start = 0 if pad else at
        ring, words = memory.ring, memory.words
        _FIELDS.pack_into(
            ring,
            start + 8,
            call_id,
            method | payload_bytes << 32,
            key_hash,
            deadline_ns,
            0,
            0,
            0,
        )
        if payload_bytes:
            ring[start + HEADER_BYTES : start + HEADER_BYTES + payload_bytes] = payload
        words[((start + need) & memory.mask) >> 3] = 0
        words[start >> 3] = need | kind << 32 | flags << 40 | self._core_bits
        if pad:
            # After the record that it leads to: a pad opens the way to the
            # start of the ring, where an old record may still stand.
            words[at >> 3] = pad | PAD << 32
        self.tail = tail + pad + need
        return tail + pad

    def has_room(self, payload_bytes: int) -> bool:
        """Whether a record with that payload would fit now, wherever it falls."""
        return self._has_room(2 * ((HEADER_BYTES + payload_bytes + 7) & ~7))

    def _has_room(self, total: int) -> bool:
        # 8 more: the word behind the record is cleared too.
        size = self.memory.size_bytes
        if self.tail + total + 8 - self._retired <= size:
            return True
        self._retired = self.memory.retired
        return self.tail + total + 8 - self._retired <= size

    def is_unretired(self, position: int) -> bool:
        """Whether the record at ``position`` still stands in the ring."""
        return position >= self.memory.retired

    def set_waiting(self, waiting: bool) -> None:
        """Say that the producer waits for room, so that retiring rings it."""
        memory = self.memory
        memory.control[memory.control_base + layout.LANE_WAITING] = waiting


class LaneReader:
    """A consumer's end. The seat's holder retires; followers only read."""

    __slots__ = ("memory", "position")

    def __init__(self, memory: LaneMemory, position: int | None = None) -> None:
        self.memory = memory
        self.position = memory.retired if position is None else position

    def has_record(self) -> bool:
        memory = self.memory
        return memory.words[(self.position & memory.mask) >> 3] != 0

    def read(self) -> Record | None:
        """Return the next record and step over it, or None if there is none."""
        memory = self.memory
        position = self.position
        at = position & memory.mask
        head = memory.words[at >> 3]
        if not head:
            return None
        if head >> 32 & 0xFF == PAD:
            if head & 0xFFFFFFFF != memory.size_bytes - at:
                raise CorruptLaneError(position, "a pad does not reach the end of the ring")
            position += head & 0xFFFFFFFF
            at = 0
            head = memory.words[0]
            if not head:
                # Not reached by a producer that follows the protocol: the
                # record is committed before the pad.
                return None
        (_, call_id, method, key_hash, deadline_ns, order, status, mark) = _HEADER.unpack_from(
            memory.ring, at
        )
        length = head & 0xFFFFFFFF
        payload_bytes = method >> 32
        if length & 7 or payload_bytes > length - HEADER_BYTES or at + length > memory.size_bytes:
            raise CorruptLaneError(position, f"a record of {length} bytes holds {payload_bytes}")
        self.position = position + length
        start = at + HEADER_BYTES
        return (
            position,
            head >> 32 & 0xFF,
            head >> 40 & 0xFF,
            head >> 48,
            call_id,
            method & 0xFFFFFFFF,
            key_hash,
            deadline_ns,
            order,
            status,
            mark,
            memory.ring[start : start + payload_bytes],
        )

    def skip_all(self) -> int:
        """Step over everything committed; return the position after it."""
        while self.read() is not None:
            pass
        return self.position

    def retire(self, position: int) -> None:
        """Allow the producer to overwrite everything before ``position``."""
        memory = self.memory
        memory.control[memory.control_base + layout.LANE_RETIRED] = position

    def producer_waits(self) -> bool:
        """Whether the producer sleeps for room; look after a fence."""
        memory = self.memory
        return memory.control[memory.control_base + layout.LANE_WAITING] != 0
