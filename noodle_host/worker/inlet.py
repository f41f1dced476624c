"""An inlet: one caller as the seat sees it.

The worker takes a request only where it can answer it: a caller that does not read
its replies waits by itself, and nobody else does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NoReturn

from ..errors import PayloadTooLarge
from ..router import layout
from ..router.channel import ChannelEnd, Chunks


class Inlet:
    """A channel's seat end, the replies that found no room, and its tasks' slots."""

    def __init__(self, channel: int, caller: str, end: ChannelEnd) -> None:
        self.channel = channel
        self.caller = caller
        self.end = end
        self.reader = end.inbox.reader
        self._outbox = end.outbox
        # Replies for which the arena had no block. At most one call's and one
        # item a task, because nothing is taken or stepped while it is not empty.
        self._backlog: deque[tuple[int, int, bytes | Chunks]] = deque()

    def can_take(self) -> bool:
        """Whether a request may be taken: its reply will have a place."""
        if self._backlog and not self._flush():
            return False
        return self._outbox.writer.has_room(layout.INLINE_BYTES)

    def reply(self, kind: int, call_id: int, body: bytes | Chunks) -> None:
        """Send a reply or an item, now or as soon as the caller has made room.

        What is larger than ``INLINE_BYTES`` has passed :meth:`check_size`.
        """
        # Nearly all are small, and come after can_take() has seen room for them.
        if (
            type(body) is bytes
            and len(body) <= layout.INLINE_BYTES
            and not self._backlog
            and self._outbox.send(kind, 0, call_id, 0, 0, 0, body) >= 0
        ):
            return
        if self._backlog or self._outbox.send(kind, 0, call_id, 0, 0, 0, body) < 0:
            self._backlog.append((kind, call_id, body))
            self._outbox.writer.set_waiting(True)

    def check_size(self, body: bytes | Chunks) -> None:
        """Refuse what can never be sent.

        Raises:
            PayloadTooLarge: it is larger than the largest slab.
        """
        size = sum(map(len, body)) if isinstance(body, list) else len(body)
        limit = self._outbox.arena.largest_payload_bytes
        if size > limit:
            raise PayloadTooLarge(
                f"the result takes {size:,} bytes; the limit is {limit:,}", phase="encode"
            )

    def cut_off(self, leave: Callable[..., NoReturn]) -> None:
        """In a forked child: have ``leave`` called instead of touching shared memory."""
        for name in ("can_take", "reply", "take_slot", "count_item", "free_slot"):
            setattr(self, name, leave)

    @property
    def has_backlog(self) -> bool:
        """Whether replies wait for room."""
        return bool(self._backlog)

    def _flush(self) -> bool:
        while self._backlog:
            kind, call_id, body = self._backlog[0]
            if self._outbox.send(kind, 0, call_id, 0, 0, 0, body) < 0:
                return False
            self._backlog.popleft()
        self._outbox.writer.set_waiting(False)
        return True

    # -- slots of tasks ----------------------------------------------------

    def take_slot(self, call_id: int) -> int:
        """Note in shared memory that a task is under way; -1 if all are taken."""
        words = self.end.segment.words
        for word in range(layout.CH_TASKS, layout.CH_TASKS + 2 * layout.TASK_SLOTS, 2):
            if not words[word]:
                words[word + 1] = 0
                words[word] = call_id
                return word
        return -1

    def count_item(self, slot: int) -> None:
        """Note that the task of a slot has sent one more item."""
        self.end.segment.words[slot + 1] += 1

    def free_slot(self, slot: int) -> None:
        """The task of a slot has ended."""
        self.end.segment.words[slot] = 0
