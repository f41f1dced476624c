"""The share of the calls that a follower answers: decided, waited for, answered.

Only the leader ever sends a reply. For the share it waits a little for the follower's,
and sends its own when none comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..router import layout
from ..router.route import BASIS_POINTS
from .executor import Body

_GOLDEN: Final = 0x9E3779B97F4A7C15
#: How long the leader waits for a follower's reply.
PATIENCE_NS: Final = 20_000_000


def is_in_share(basis_points: int, key_hash: int, count: int) -> bool:
    """Whether a call belongs to the share. Pure.

    With a key, each key does or does not, and raising the share moves each once.
    Without one, ``count`` calls before this one, steps of the golden ratio spread them
    evenly, and in step with no pattern that the calls may have.
    """
    point = ((key_hash or count) * _GOLDEN & (1 << 64) - 1) >> 32
    return point * BASIS_POINTS >> 32 < basis_points


@dataclass(frozen=True)
class Open:
    """A call of the share that is not answered yet.

    ``own`` gives the leader's own answer, ``send`` sends one.
    """

    order: int
    until_ns: int
    own: Callable[[], tuple[int, Body]]
    send: Callable[[int, Body], None]


class ShareKeeper:
    """The leader's: which calls are the follower's, and which of them are open."""

    def __init__(self) -> None:
        self.follower = 0
        self.basis_points = 0
        self._count = 0
        # Position in the journal -> the call; the oldest first.
        self._open: dict[int, Open] = {}

    def give(self, follower: int, basis_points: int) -> None:
        """Let a follower supply so much; what another one owes is answered here."""
        if follower != self.follower or not basis_points:
            self.answer_all()
        self.follower = follower
        self.basis_points = basis_points

    def takes(self, key_hash: int) -> bool:
        """Whether the next call is the follower's."""
        if not self.basis_points:
            return False
        count = self._count
        self._count = count + 1
        return is_in_share(self.basis_points, key_hash, count)

    def wait_for(
        self,
        position: int,
        order: int,
        own: Callable[[], tuple[int, Body]],
        send: Callable[[int, Body], None],
    ) -> None:
        """A call was begun whose record stands at ``position`` of the journal."""
        self._open[position] = Open(order, time.monotonic_ns() + PATIENCE_NS, own, send)

    def relayed(self, position: int, kind: int, body: bytes) -> None:
        """The follower's reply has come; it may be too late."""
        call = self._open.pop(position, None)
        if call is not None:
            call.send(kind, body)

    def expire(self) -> bool:
        """Answer what has waited long enough; True if there was any."""
        now_ns = time.monotonic_ns()
        worked = False
        while self._open:
            position = next(iter(self._open))
            if self._open[position].until_ns > now_ns:
                break
            self._answer(position)
            worked = True
        return worked

    def answer_all(self) -> None:
        """Answer everything that is open, without the follower."""
        while self._open:
            self._answer(next(iter(self._open)))

    def _answer(self, position: int) -> None:
        call = self._open.pop(position)
        call.send(*call.own())

    @property
    def due_ns(self) -> int:
        """When the oldest one has waited long enough, CLOCK_MONOTONIC; 0: none is open."""
        return next(iter(self._open.values())).until_ns if self._open else 0

    def oldest_order(self) -> int:
        """The order of the oldest that is open; one that never comes if none is.

        Its record must stay.
        """
        return next(iter(self._open.values())).order if self._open else layout.ORDER_MASK
