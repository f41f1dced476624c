"""A task slot: what a channel remembers of a task, whoever holds the seat."""

from __future__ import annotations

from ..router import layout
from ..router.channel import ChannelEnd
from ..router.native import LaneReader
from ..router.stream import WINDOW_ITEMS


class TaskSlot:
    """Twelve words of a channel's header, and the arguments in the seat's arena."""

    __slots__ = ("_end", "_first", "_words")

    def __init__(self, end: ChannelEnd, first: int) -> None:
        self._end = end
        self._words = end.segment.words
        self._first = first

    @classmethod
    def take(
        cls, end: ChannelEnd, call_id: int, method: int, flags: int, deadline_ns: int, body: bytes
    ) -> TaskSlot | None:
        """Note that a task is under way; None if all slots, or the arena, are taken.

        A slot that an earlier holder took for the same task is taken up again.
        """
        words = end.segment.words
        free = 0
        stop = layout.CH_TASKS + layout.TASK_SLOTS * layout.TASK_WORDS
        for first in range(layout.CH_TASKS, stop, layout.TASK_WORDS):
            if words[first] == call_id:
                return cls(end, first)
            if not words[first] and not free:
                free = first
        if not free:
            return None
        offset = end.outbox.arena.allocate(len(body))
        if offset < 0:
            return None
        end.segment.view[offset : offset + len(body)] = body
        for word, value in (
            (layout.TASK_ITEMS, 0),
            (layout.TASK_METHOD, method | flags << 32),
            (layout.TASK_BODY, offset),
            (layout.TASK_BYTES, len(body)),
            (layout.TASK_DEADLINE, deadline_ns),
            (layout.TASK_GRANTED, WINDOW_ITEMS),
            (layout.TASK_SENDING, 0),
            (layout.TASK_BEFORE, 0),
            (layout.TASK_ORDER, 0),
            (layout.TASK_STEPPING, 0),
            (layout.TASK_DEATHS, 0),
        ):
            words[free + word] = value
        # Last: a slot is taken when it has a call id.
        words[free + layout.TASK_CALL] = call_id
        return cls(end, free)

    @property
    def call_id(self) -> int:
        return self._words[self._first + layout.TASK_CALL]

    @property
    def items(self) -> int:
        """How many items were sent."""
        return self._words[self._first + layout.TASK_ITEMS]

    @property
    def method(self) -> int:
        return self._words[self._first + layout.TASK_METHOD] & 0xFFFFFFFF

    @property
    def by_name(self) -> bool:
        return bool(self._words[self._first + layout.TASK_METHOD] >> 32 & layout.BY_NAME)

    @property
    def has_buffers(self) -> bool:
        """Whether buffers came with the request; they do not stand here."""
        return bool(self._words[self._first + layout.TASK_METHOD] >> 32 & layout.BUFFERS)

    @property
    def deadline_ns(self) -> int:
        return self._words[self._first + layout.TASK_DEADLINE]

    @property
    def credit(self) -> int:
        """How many items more the caller has asked for."""
        granted: int = self._words[self._first + layout.TASK_GRANTED]
        return granted - self.items

    def grant(self, items: int) -> None:
        """The caller asks for so many items more."""
        self._words[self._first + layout.TASK_GRANTED] += items

    @property
    def body(self) -> bytes:
        """What the method was called with."""
        words, first = self._words, self._first
        offset = words[first + layout.TASK_BODY]
        return bytes(self._end.segment.view[offset : offset + words[first + layout.TASK_BYTES]])

    def set_stepping(self, stepping: bool) -> None:
        """A step begins, or has ended."""
        self._words[self._first + layout.TASK_STEPPING] = stepping

    def count_death(self) -> int:
        """After a death: how many workers have died in a step of it."""
        words, first = self._words, self._first
        if words[first + layout.TASK_STEPPING]:
            words[first + layout.TASK_STEPPING] = 0
            words[first + layout.TASK_DEATHS] += 1
        deaths: int = words[first + layout.TASK_DEATHS]
        return deaths

    def begin_item(self, order: int) -> None:
        """The item of a step is about to be sent: whether it was can be told after a death."""
        words, first = self._words, self._first
        words[first + layout.TASK_SENDING] = 0
        words[first + layout.TASK_BEFORE] = words[first + layout.TASK_ITEMS]
        words[first + layout.TASK_ORDER] = order
        words[first + layout.TASK_SENDING] = self._end.outbox.writer.tail + 1

    def count_item(self) -> None:
        """The item is sent."""
        words, first = self._words, self._first
        words[first + layout.TASK_ITEMS] = words[first + layout.TASK_BEFORE] + 1

    def settle_item(self, order: int | None = None) -> bool:
        """After a death: count the last item if it was sent, and tell whether it was.

        With an ``order``: whether the item of that step was.
        """
        words, first = self._words, self._first
        sending = words[first + layout.TASK_SENDING]
        if not sending or (order is not None and words[first + layout.TASK_ORDER] != order):
            return False
        if words[first + layout.TASK_ITEMS] == words[first + layout.TASK_BEFORE]:
            # Nothing was written after it, so if it was, it still stands there, read or not.
            position = sending - 1
            if self._end.outbox.writer.tail <= position:
                return False
            record = LaneReader(self._end.outbox.memory, position, None).read()
            if record is None or record[1] != layout.ITEM or record[4] != self.call_id:
                return False
            self.count_item()
        return True

    def free(self) -> None:
        """The task has ended."""
        offset = self._words[self._first + layout.TASK_BODY]
        self._words[self._first + layout.TASK_CALL] = 0
        self._end.outbox.arena.free(offset)
