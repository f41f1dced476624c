"""Routes: which seat of a component a call goes to. Pure, but for the table.

Weights are in basis points and sum to 10,000. A call with a key goes by its
hash, so that raising a weight moves each key at most once; a call without one
is spread so evenly that any 100 calls in a row split as the weights say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from .segment import Segment

BASIS_POINTS: Final = 10_000
MAX_SEATS: Final = 63
_SLOTS: Final = 1024
_SLOT_WORDS: Final = 2 + 2 * MAX_SEATS


class Share(NamedTuple):
    """A seat and its share of the calls, in basis points."""

    seat: int
    weight: int


def even_shares(seats: Sequence[int]) -> list[Share]:
    """Equal weights; the first seats get the basis points that do not divide."""
    if not seats:
        return []
    base, rest = divmod(BASIS_POINTS, len(seats))
    return [Share(seat, base + (i < rest)) for i, seat in enumerate(seats)]


def seat_of_key(shares: Sequence[Share], salt: int, key_hash: int) -> int:
    """The index of the share that a key belongs to."""
    point = ((key_hash ^ salt) * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 32
    point = point * BASIS_POINTS >> 32
    for index, share in enumerate(shares):
        point -= share.weight
        if point < 0:
            return index
    return len(shares) - 1


class Spread:
    """Deals calls out in proportion to weights, smoothly (nginx's round robin)."""

    __slots__ = ("_credit", "_weights")

    def __init__(self, shares: Sequence[Share]) -> None:
        self._weights = [share.weight for share in shares]
        self._credit = [0] * len(shares)

    def next(self) -> int:
        """The index of the share that takes the next call."""
        credit = self._credit
        best = 0
        for i, weight in enumerate(self._weights):
            credit[i] += weight
            if credit[i] > credit[best]:
                best = i
        credit[best] -= BASIS_POINTS
        return best


class RouteTable:
    """The routes of all components, in shared memory; only the host writes.

    A slot holds a generation, odd while it is being written, the number of
    seats, then seat and weight of each. A reader decodes once a generation.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.words = segment.words

    @classmethod
    def create(cls) -> RouteTable:
        return cls(Segment.create("noodle-routes", _SLOTS * _SLOT_WORDS * 8))

    @staticmethod
    def slot_word(slot: int) -> int:
        """The index of the generation word of a slot."""
        if not 0 <= slot < _SLOTS:
            raise ValueError(f"the route table has {_SLOTS} slots; {slot} is not one of them")
        return slot * _SLOT_WORDS

    def write(self, slot: int, shares: Sequence[Share]) -> int:
        """Publish a route; return its generation."""
        if len(shares) > MAX_SEATS:
            raise ValueError(f"a route has at most {MAX_SEATS} seats, not {len(shares)}")
        base = self.slot_word(slot)
        words = self.words
        generation = words[base]
        words[base] = generation + 1
        words[base + 1] = len(shares)
        for i, share in enumerate(shares):
            words[base + 2 + 2 * i] = share.seat
            words[base + 3 + 2 * i] = share.weight
        words[base] = generation + 2
        return generation + 2

    def read(self, slot: int) -> tuple[int, list[Share]]:
        """The generation and the shares of a slot, consistent with each other."""
        base = self.slot_word(slot)
        words = self.words
        while True:
            generation = words[base]
            if not generation & 1:
                count = min(words[base + 1], MAX_SEATS)
                shares = [
                    Share(words[base + 2 + 2 * i], words[base + 3 + 2 * i]) for i in range(count)
                ]
                if words[base] == generation:
                    return generation, shares
