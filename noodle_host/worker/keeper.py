"""The keeper of a journal: the leader's care for its room and for who follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..router import layout
from ..router.bell import Doorbell
from ..router.journal import JournalWriter
from .executor import Body, digest

#: Followers that sleep are told after so many commands, or when there is nothing to do.
NUDGE_EVERY: Final = 256
#: Room is looked after once in so many commands.
_CARE_EVERY: Final = 1024


class Keeper:
    """Writes the journal, and decides how far it may be forgotten.

    That is as far as every follower has executed, and as the last checkpoint reaches:
    whoever follows may be gone at any moment. ``want_checkpoint`` asks for one,
    ``on_dropped`` tells that a follower is not waited for any more.
    """

    def __init__(
        self,
        writer: JournalWriter,
        want_checkpoint: Callable[[], None],
        on_dropped: Callable[[int], None],
    ) -> None:
        self.writer = writer
        self.followers: dict[int, Doorbell] = {}
        #: The first order that is not answered yet, or one that never comes.
        self.unanswered: Callable[[], int] = lambda: layout.ORDER_MASK
        self._want_checkpoint = want_checkpoint
        self._on_dropped = on_dropped
        self._checkpoint = 0
        self._nudged = 0
        self._enough = self._ask_above = self.writer.size_bytes // 16
        self._too_much = self.writer.size_bytes // 8 * 7

    def answered(self, kind: int, body: Body) -> int:
        """The status of a command with that outcome; with a digest if somebody compares."""
        if not self.followers:
            return layout.STATUS_ANSWERED
        checksum = digest(kind, body) << layout.DIGEST_SHIFT
        return layout.STATUS_ANSWERED | layout.STATUS_DIGEST | checksum

    def has_room(self) -> bool:
        """Whether a command may be begun; if not, a checkpoint is under way."""
        if self.writer.has_room():
            return True
        self.care()
        return self.writer.has_room()

    def care(self) -> None:
        """Forget what nobody needs; drop who lags too far; see to a checkpoint."""
        writer = self.writer
        while writer.used_bytes > self._enough:
            orders = {n: bell.words[layout.BELL_ORDER] for n, bell in self.followers.items()}
            slowest = min(orders, key=orders.__getitem__, default=-1)
            follows = orders.get(slowest, self._checkpoint)
            writer.forget(min(follows, self._checkpoint, self.unanswered() - 1))
            if follows < self._checkpoint and writer.used_bytes > self._too_much:
                # Before anything is overwritten that it has not read.
                self.followers.pop(slowest).words[layout.BELL_DROPPED] = 1
                self._on_dropped(slowest)
                continue
            if follows >= self._checkpoint and writer.used_bytes > self._ask_above:
                self._ask_above = writer.size_bytes
                self._want_checkpoint()
            return

    def checkpointed(self, order: int) -> None:
        """The state after ``order`` is in safe hands; 0: there is no state, as yet."""
        self._checkpoint = max(self._checkpoint, order)
        self._ask_above = self._enough if order else self.writer.used_bytes + self._enough
        self.care()

    def after(self, order: int) -> None:
        """Command ``order`` is answered."""
        if order % NUDGE_EVERY == 0:
            self.nudge(order)
            if order % _CARE_EVERY == 0:
                self.care()

    def nudge(self, order: int) -> None:
        """Wake the followers that sleep, if there is something new for them."""
        if order == self._nudged:
            return
        self._nudged = order
        self.wake()

    def wake(self) -> None:
        """Wake the followers that sleep."""
        for bell in self.followers.values():
            bell.ring_if_asleep()

    def close(self) -> None:
        """Let go of the followers."""
        for bell in self.followers.values():
            bell.close()
        self.followers.clear()
