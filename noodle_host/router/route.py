"""Routes: which seat of a component a call goes to. Pure, but for the table.

Weights are in basis points and sum to 10,000. A call with a key goes by its
hash, so that raising a weight moves each key at most once; a call without one
is spread so evenly that however many calls in a row split as the weights say,
give or take one between two seats, and less than two among more.
"""

from __future__ import annotations

import math
import threading
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
    """Deals calls out in proportion to weights. Safe from any number of threads.

    Tijdeman's answer to the chairman assignment problem: of the seats that have
    earned a call, the one whose call is due first. No seat is ever more than
    1 - 1/(2n - 2) calls away from its share.
    """

    __slots__ = ("_credit", "_earned", "_latest", "_lock", "_seats")

    def __init__(self, shares: Sequence[Share]) -> None:
        # (index, weight, calls until one is due, for one basis point of credit)
        self._seats = [(i, s.weight, 1 / s.weight) for i, s in enumerate(shares) if s.weight]
        self._credit = [0] * len(shares)
        seats = len(self._seats)
        self._earned = BASIS_POINTS / (2 * seats - 2) if seats > 1 else 0.0
        self._latest = BASIS_POINTS - self._earned
        self._lock = threading.Lock()

    def next(self) -> int:
        """The index of the share that takes the next call."""
        credit, earned, latest = self._credit, self._earned, self._latest
        best = 0
        best_due = math.inf
        with self._lock:
            for i, weight, pace in self._seats:
                credit[i] += weight
                if credit[i] >= earned:
                    due = (latest - credit[i]) * pace
                    if due < best_due:
                        best, best_due = i, due
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
        """Publish a route, or with no shares that there is none; return its generation.

        Raises:
            ValueError: too many seats, or the weights do not sum to 10,000.
        """
        if len(shares) > MAX_SEATS:
            raise ValueError(f"a route has at most {MAX_SEATS} seats, not {len(shares)}")
        total = sum(share.weight for share in shares)
        if shares and (total != BASIS_POINTS or min(share.weight for share in shares) < 0):
            raise ValueError(f"the weights of a route sum to {BASIS_POINTS}, not {total}")
        base = self.slot_word(slot)
        words = self.words
        # Odd already if an earlier write was cut short.
        generation = words[base] & ~1
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
