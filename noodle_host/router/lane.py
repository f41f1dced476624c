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

import platform
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from . import layout
from .bell import Doorbell, fence
from .layout import HEADER_BYTES, PAD

_FIELDS: Final = struct.Struct("<7Q")
_HEADER: Final = struct.Struct("<8Q")
#: So that a fast peer never waits for a slow reader.
RETIRE_EVERY: Final = 64
_KEEPS_STORE_ORDER: Final = platform.machine() in ("x86_64", "AMD64")

# (position, kind, flags, core, call_id, method, key_hash, deadline_ns, order,
# status, mark, payload). The payload is a copy: the record may be retired while
# somebody still reads it. A tuple, because making one costs a tenth of an object.
Record: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, bytes]


class CorruptLaneError(Exception):
    """What stands in the lane cannot have been written by this protocol."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"{what} (at position {position})")
        self.position = position


class Taker(Protocol):
    """Whoever waits for the replies with a call id."""

    def on_record(self, position: int, kind: int, body: bytes) -> bool:
        """Take a reply; True if it expects no more."""


class LaneMemory:
    """The ring and the control words of one lane, in somebody's segment."""

    __slots__ = ("control", "control_base", "mask", "ring", "size_bytes", "words")

    def __init__(self, segment_words: memoryview, ring: memoryview, control_base: int) -> None:
        if not _KEEPS_STORE_ORDER:
            raise RuntimeError(
                f"lanes in Python need the store order of x86-64; this is {platform.machine()}: "
                "build the native lanes (a C compiler, then install noodle_host again)"
            )
        self.control = segment_words
        self.control_base = control_base
        self.ring = ring
        self.words = ring.cast("Q")
        self.size_bytes = len(ring)
        self.mask = self.size_bytes - 1
        if self.size_bytes & self.mask or not 2 * HEADER_BYTES <= self.size_bytes <= 1 << 31:
            raise ValueError(
                f"the size of a ring is a power of two from 128 to 2**31, not {self.size_bytes}"
            )

    @property
    def retired(self) -> int:
        return self.control[self.control_base + layout.LANE_RETIRED]

    def stamp(self, position: int, word: int, value: int) -> None:
        """Write one of the three words of a record that are not the producer's."""
        self.words[((position & self.mask) >> 3) + word] = value

    def peek(self, position: int, word: int) -> int:
        return self.words[((position & self.mask) >> 3) + word]


class LaneWriter:
    """The producer's end. One per lane at any time, used under the owner's lock.

    ``peer`` is the bell of whoever reads; publishing rings it if it sleeps.
    """

    __slots__ = ("_peer", "_retired", "_rung", "memory", "tail")

    def __init__(
        self, memory: LaneMemory, peer: Doorbell | None = None, position: int | None = None
    ) -> None:
        self.memory = memory
        self._peer = peer
        self._rung = 0
        self._retired = memory.retired
        # A successor finds the end by walking over what is committed, from the start
        # or from a record that it knows.
        self.tail = LaneReader(memory, position).skip_all()

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
        """Write and commit one record; return its position, or -1 for no room.

        The words are unsigned: 8 bits of kind and of flags, 32 of the method,
        64 of the others.
        """
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
        # The core is left out: Python has no cheap way to know it.
        words[start >> 3] = need | kind << 32 | flags << 40
        if pad:
            # After the record that it leads to: a pad opens the way to the
            # start of the ring, where an old record may still stand.
            words[at >> 3] = pad | PAD << 32
        self.tail = tail + pad + need
        fence()
        self._rung = _ring_if_asleep(self._peer, self._rung)
        return tail + pad

    def has_room(self, payload_bytes: int) -> bool:
        """Whether a record with that payload would fit now, wherever it falls."""
        return self._has_room(2 * ((HEADER_BYTES + payload_bytes + 7) & ~7))

    def _has_room(self, total: int) -> bool:
        # 8 more: the word behind the record is cleared too. A retired position
        # beyond the tail is nonsense: no room, then.
        most = self.memory.size_bytes - total - 8
        if 0 <= self.tail - self._retired <= most:
            return True
        self._retired = self.memory.retired
        return 0 <= self.tail - self._retired <= most

    def is_unretired(self, position: int) -> bool:
        """Whether the record at ``position`` still stands in the ring."""
        return position >= self.memory.retired

    def take_back(self, position: int) -> bool:
        """Mark the record at ``position`` as cancelled, if it still stands in the ring."""
        if not self.memory.retired <= position < self.tail:
            return False
        self.memory.stamp(position, layout.WORD_MARK, layout.MARK_CANCELLED)
        return True

    def set_waiting(self, waiting: bool) -> None:
        """Say that the producer waits for room, so that retiring rings it."""
        memory = self.memory
        memory.control[memory.control_base + layout.LANE_WAITING] = waiting


class LaneReader:
    """A consumer's end. The seat's holder retires; followers only read.

    ``peer`` is the bell of whoever writes; retiring rings it if it waits for room.
    """

    __slots__ = ("_dispatches", "_peer", "_rung", "memory", "position")

    def __init__(
        self, memory: LaneMemory, position: int | None = None, peer: Doorbell | None = None
    ) -> None:
        self.memory = memory
        self._peer = peer
        self._rung = 0
        self._dispatches = 0
        self.position = memory.retired if position is None else position
        if self.position & 7:
            if position is not None:
                raise ValueError(f"a position is a multiple of 8, not {position}")
            raise CorruptLaneError(self.position, "the retired position is not a multiple of 8")

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
            if not at or head & 0xFFFFFFFF != memory.size_bytes - at:
                raise CorruptLaneError(position, "a pad does not reach the end of the ring")
            position += memory.size_bytes - at
            at = 0
            head = memory.words[0]
            if not head:
                raise CorruptLaneError(position, "a pad leads to no record")
        length = head & 0xFFFFFFFF
        if length & 7 or not HEADER_BYTES <= length <= memory.size_bytes - at:
            raise CorruptLaneError(position, f"a record of {length} bytes does not fit")
        (_, call_id, method, key_hash, deadline_ns, order, status, mark) = _HEADER.unpack_from(
            memory.ring, at
        )
        payload_bytes = method >> 32
        if payload_bytes > length - HEADER_BYTES:
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
            bytes(memory.ring[start : start + payload_bytes]),
        )

    def skip_all(self) -> int:
        """Step over everything committed; return the position after it."""
        start = self.position
        while self.read() is not None:
            if self.position - start > self.memory.size_bytes:
                raise CorruptLaneError(start, "the ring is full of records")
        return self.position

    def retire(self, position: int) -> None:
        """Allow the producer to overwrite everything before ``position``."""
        control = self.memory.control
        base = self.memory.control_base
        control[base + layout.LANE_RETIRED] = position
        fence()
        if control[base + layout.LANE_WAITING]:
            self._rung = _ring_if_asleep(self._peer, self._rung)

    def dispatch(self, takers: dict[int, Any], other: Callable[[Record], object], most: int) -> int:
        """Read and retire up to ``most`` records; give each to the taker of its call id.

        A :class:`Taker` that expects no more is removed. Records without a taker
        are dropped; those with the flag SLAB go to ``other`` as they are. Returns
        how many there were. When anything raises, also a signal handler at any
        step, the record under way is the next to be read, unless a call of this
        method from within it has read on.
        """
        self._dispatches += 1
        this = self._dispatches
        done = self.position
        handled = 0
        try:
            while handled < most and (record := self.read()) is not None:
                if record[2] & layout.SLAB:
                    other(record)
                else:
                    taker: Taker | None = takers.get(record[4])
                    if taker is not None and taker.on_record(record[0], record[1], record[11]):
                        takers.pop(record[4], None)
                done = self.position
                handled += 1
                if handled % RETIRE_EVERY == 0:
                    self.retire(done)
        except BaseException:
            if self._dispatches == this:
                self.position = done
            raise
        if handled % RETIRE_EVERY:
            self.retire(self.position)
        return handled


def _ring_if_asleep(peer: Doorbell | None, rung: int) -> int:
    """After a fence: wake the peer, once a sleep; return the sleep that was ended last."""
    asleep = 0 if peer is None else peer.words[layout.BELL_SLEEPING]
    if peer is not None and asleep and (asleep != rung or asleep == layout.ANY_SLEEP):
        peer.ring()
        return asleep
    return rung
