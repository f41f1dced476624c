"""What a worker is executing right now, as its context sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .effects import Effects, Numbers


class Moment:
    """The call under way.

    Attributes:
        order: its order number; of the last one between two calls.
        deadline_ns: CLOCK_MONOTONIC in ns, for the calls that it makes; 0 = none.
        effects: how it takes something from outside; None: as it comes.
        numbers: ids for the calls that it makes, if whoever succeeds may repeat it
            though nothing is recorded.
    """

    __slots__ = ("deadline_ns", "effects", "numbers", "order")

    def __init__(self) -> None:
        self.order = 0
        self.deadline_ns = 0
        self.effects: Effects | None = None
        self.numbers: Numbers | None = None
