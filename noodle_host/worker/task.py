"""A task: a generator method under way, stepped between other calls."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hookspecs import SAFE_POINT

from ..router import layout
from .executor import Body, Executor
from .inlet import Inlet
from .task_slot import TaskSlot

#: The outcome of a step that yields a safe point.
NO_ITEM = 0


class Task:
    """One running stream. It is stepped only when its item could be sent.

    ``is_command`` tells that its steps may change the state; ``dropping`` counts the
    items that went out before this worker had the task.
    """

    def __init__(
        self,
        inlet: Inlet,
        slot: TaskSlot,
        items: Iterator[object],
        *,
        is_command: bool,
        dropping: int = 0,
    ) -> None:
        self.inlet = inlet
        self.slot = slot
        self.items = items
        self.is_command = is_command
        self.call_id = slot.call_id
        self.deadline_ns = slot.deadline_ns
        self.ended = False
        self._dropping = dropping
        self._credit = slot.credit

    def grant(self, items: int) -> None:
        """The consumer has made room for more items."""
        self.slot.grant(items)
        self._credit += items

    def can_step(self) -> bool:
        """Whether a step may produce an item: credit and room are there."""
        return self._credit > 0 and self.inlet.can_take()

    @property
    def expired(self) -> bool:
        return bool(self.deadline_ns) and time.monotonic_ns() >= self.deadline_ns

    def send(self, kind: int, body: Body, order: int) -> None:
        """Tell the caller what came of a step: an item, the end or an error."""
        if kind == NO_ITEM:
            return
        if kind != layout.ITEM:
            # In this order: a slot that is still taken makes a successor send it again.
            self.inlet.reply(kind, self.call_id, body)
            self.end()
            return
        if self._dropping:
            self._dropping -= 1
            return
        self._credit -= 1
        self.slot.begin_item(order)
        self.inlet.reply(kind, self.call_id, body)
        self.slot.count_item()

    def end(self) -> None:
        """Give the slot back."""
        if not self.ended:
            self.ended = True
            self.slot.free()


def step(items: Iterator[object], executor: Executor) -> tuple[int, Body]:
    """Run to the next yield; return what is to be sent. Never raises."""
    try:
        item = next(items)
        if item is SAFE_POINT:
            return NO_ITEM, b""
        return layout.ITEM, executor.encode(item)
    except StopIteration:
        return layout.END, b""
    except BaseException as error:
        close(items)
        return layout.ERROR, executor.error(error)


def close(items: Iterator[object]) -> BaseException | None:
    """Close a generator before its end; return what it raised."""
    shut = getattr(items, "close", None)
    try:
        if shut is not None:
            shut()
    except BaseException as error:
        return error
    return None


def send_unsent(inlet: Inlet, call_id: int, kind: int, body: Body, order: int) -> None:
    """Send what came of a step that a dead leader may have sent."""
    for first in inlet.end.task_slots():
        slot = TaskSlot(inlet.end, first)
        if slot.call_id == call_id and not (kind == layout.ITEM and slot.settle_item(order)):
            Task(inlet, slot, iter(()), is_command=True).send(kind, body, order)
