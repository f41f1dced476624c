"""A task: a generator method under way, stepped between other calls."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hookspecs import SAFE_POINT

from ..router import layout
from ..router.stream import WINDOW_ITEMS
from .executor import Executor
from .inlet import Inlet


class Task:
    """One running stream. It is stepped only when its item could be sent."""

    def __init__(
        self, inlet: Inlet, call_id: int, slot: int, items: Iterator[object], deadline_ns: int
    ) -> None:
        self.inlet = inlet
        self.call_id = call_id
        self.deadline_ns = deadline_ns
        self.ended = False
        self._slot = slot
        self._items = items
        self._credit = WINDOW_ITEMS

    def grant(self, items: int) -> None:
        """The consumer has made room for more items."""
        self._credit += items

    def can_step(self) -> bool:
        """Whether a step may produce an item: credit and room are there."""
        return self._credit > 0 and self.inlet.can_take()

    @property
    def expired(self) -> bool:
        return bool(self.deadline_ns) and time.monotonic_ns() >= self.deadline_ns

    def step(self) -> None:
        """Run to the next yield and send what came; raises what the task raised."""
        try:
            item = next(self._items)
        except StopIteration:
            self._end()
            self.inlet.reply(layout.END, self.call_id, b"")
            return
        if item is not SAFE_POINT:
            body = Executor.encode(item)
            self._credit -= 1
            self.inlet.reply(layout.ITEM, self.call_id, body)
            self.inlet.count_item(self._slot)

    def fail(self, body: bytes) -> None:
        """End with an error for the caller."""
        self.close()
        self.inlet.reply(layout.ERROR, self.call_id, body)

    def close(self) -> None:
        """End without a word: the caller has gone, or has taken it back."""
        if self.ended:
            return
        self._end()
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def keep_slot(self) -> None:
        """Leave the note in shared memory when it ends: its caller is not told here."""
        self._slot = -1

    def _end(self) -> None:
        self.ended = True
        if self._slot >= 0:
            self.inlet.free_slot(self._slot)
