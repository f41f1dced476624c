"""An inlet: one caller as the seat sees it.

The worker takes a request only where it can answer it: a caller that does not read
its replies waits by itself, and nobody else does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NoReturn

from ..errors import InvalidBuffer
from ..router import codec, layout
from ..router.channel import ChannelEnd, Chunks
from ..router.lane import Record


class Inlet:
    """A channel's seat end, and the replies that found no room.

    ``caller_seat`` is the seat that the caller holds, 0 if it is the host.
    """

    def __init__(self, channel: int, caller: str, end: ChannelEnd, caller_seat: int = 0) -> None:
        self.channel = channel
        self.caller = caller
        self.caller_seat = caller_seat
        self.end = end
        self.reader = end.inbox.reader
        self.stamp = self.reader.memory.stamp
        self._outbox = end.outbox
        # Replies for which the arena had no block. At most one call's and one
        # item a task, because nothing is taken or stepped while it is not empty.
        self._backlog: deque[tuple[int, int, bytes | Chunks]] = deque()
        # What is to be noted once they are sent.
        self._when_sent: list[Callable[[], None]] = []

    def forget_stamp(self, journaled: int) -> None:
        """Take back a stamp that came before the journal had the command.

        Its leader died in between, so that order will be another command's: a later
        leader must not take this one for answered. Only the first record can have
        been touched.
        """
        record = self.peek()
        if record is not None and record[8] & layout.ORDER_MASK > journaled:
            self.stamp(record[0], layout.WORD_ORDER, 0)

    def peek(self) -> Record | None:
        """The next request, which stays the next."""
        reader = self.reader
        begin = reader.position
        record = reader.read()
        reader.position = begin
        return record

    def can_take(self) -> bool:
        """Whether a request may be taken: its reply will have a place."""
        if self._backlog and not self._flush():
            return False
        return self._outbox.writer.has_room(layout.INLINE_BYTES)

    def reply(self, kind: int, call_id: int, body: bytes | Chunks) -> bool:
        """Send a reply or an item, now or as soon as the caller has made room.

        Returns whether it is sent.
        """
        # Nearly all are small, and come after can_take() has seen room for them.
        if not self._backlog and self._send(kind, call_id, body) >= 0:
            return True
        self._backlog.append((kind, call_id, body))
        self._outbox.writer.set_waiting(True)
        return False

    def _send(self, kind: int, call_id: int, body: bytes | Chunks) -> int:
        try:
            return self._outbox.send(kind, 0, call_id, 0, 0, 0, body)
        except InvalidBuffer as error:
            # The component has closed it, or given it away before.
            body = codec.encode_host_error(error)
            return self._outbox.send(layout.ERROR, 0, call_id, 0, 0, 0, body)

    def when_sent(self, note: Callable[[], None]) -> None:
        """Call ``note`` once the replies that wait for room are sent."""
        self._when_sent.append(note)

    def cut_off(self, leave: Callable[..., NoReturn]) -> None:
        """In a forked child: have ``leave`` called instead of touching shared memory."""
        for name in ("can_take", "reply"):
            setattr(self, name, leave)

    @property
    def has_backlog(self) -> bool:
        """Whether replies wait for room."""
        return bool(self._backlog)

    def _flush(self) -> bool:
        while self._backlog:
            kind, call_id, body = self._backlog[0]
            if self._send(kind, call_id, body) < 0:
                return False
            self._backlog.popleft()
        self._outbox.writer.set_waiting(False)
        notes, self._when_sent = self._when_sent, []
        for note in notes:
            note()
        return True
