"""Replies to calls that a seat has made, kept in case its successor asks again."""

from __future__ import annotations

from ..router import layout
from .executor import Body

#: What is written into a snapshot: calling seat -> (order, [(call id, kind, body)]).
Kept = dict[int, tuple[int, list[tuple[int, int, bytes]]]]


class NestedReplies:
    """The replies to the last order of each calling seat.

    A seat executes its orders one after the other, so only the last can be repeated.
    """

    def __init__(self) -> None:
        self._orders: dict[int, int] = {}
        self._replies: dict[int, dict[int, tuple[int, bytes]]] = {}

    def is_old(self, seat: int, call_id: int) -> bool:
        """Whether the call was made for an order that its seat is done with.

        It was left over in the lane of a caller that is dead, and nobody waits for it.
        """
        return call_id >> layout.NESTED_INDEX_BITS < self._orders.get(seat, 0)

    def find(self, seat: int, call_id: int) -> tuple[int, bytes] | None:
        """The reply that was given to that very call before."""
        replies = self._replies.get(seat)
        return None if replies is None else replies.get(call_id)

    def keep(self, seat: int, call_id: int, kind: int, body: Body) -> None:
        """Remember a reply; those to earlier orders of the seat are forgotten."""
        order = call_id >> layout.NESTED_INDEX_BITS
        if self._orders.get(seat) != order:
            self._orders[seat] = order
            self._replies[seat] = {}
        self._replies[seat][call_id] = kind, b"".join(body) if isinstance(body, list) else body

    def dump(self) -> Kept:
        return {
            seat: (order, [(key, *value) for key, value in self._replies[seat].items()])
            for seat, order in self._orders.items()
        }

    def load(self, kept: Kept) -> None:
        for seat, (order, replies) in kept.items():
            self._orders[seat] = order
            self._replies[seat] = {key: (kind, body) for key, kind, body in replies}
