"""Routes: who gets which call, and a table that is never read half-written."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from noodle_host.router.codec import key_hash
from noodle_host.router.route import (
    BASIS_POINTS,
    MAX_SEATS,
    RouteTable,
    Share,
    Spread,
    even_shares,
    seat_of_key,
)


def shares_of(weights: list[int]) -> list[Share]:
    return [Share(100 + i, weight) for i, weight in enumerate(weights)]


@st.composite
def weights(draw: st.DrawFn, most: int = MAX_SEATS) -> list[int]:
    """Weights that sum to 10,000, zeros and unequal ones among them."""
    cuts = sorted(draw(st.lists(st.integers(0, BASIS_POINTS), max_size=most - 1)))
    return [b - a for a, b in zip([0, *cuts], [*cuts, BASIS_POINTS], strict=True)]


# -- calls without a key --------------------------------------------------------------


def worst_deviation(weights: list[int], window: int, calls: int) -> float:
    """How far any ``window`` calls in a row are from their share, over all seats."""
    spread = Spread(shares_of(weights))
    order = [spread.next() for _ in range(calls)]
    worst = 0.0
    for seat, weight in enumerate(weights):
        count = order[:window].count(seat)
        for first in range(calls - window):
            worst = max(worst, abs(count - window * weight / BASIS_POINTS))
            count += (order[first + window] == seat) - (order[first] == seat)
    return worst


@given(weights(most=2))
@example([5000, 5000])
@example([1, 9999])
@example([3333, 6667])
def test_any_hundred_calls_split_between_two_seats_within_one(weights: list[int]) -> None:
    assert worst_deviation(weights, 100, 400) <= 1


@given(weights())
@example([46, 6, 0, 3376, 677, 5895])
@example([5064, 1347, 3523, 24, 42])
@example([158] * 62 + [204])
def test_any_hundred_calls_split_among_many_seats_within_less_than_two(
    weights: list[int],
) -> None:
    assert worst_deviation(weights, 100, 300) < 2


@pytest.mark.parametrize("weights", [[9000, 1000], [2500] * 4, [100, 9900], [10_000]])
def test_whole_rounds_split_exactly(weights: list[int]) -> None:
    spread = Spread(shares_of(weights))
    counts = Counter(spread.next() for _ in range(1000))
    assert [counts[i] for i in range(len(weights))] == [w // 10 for w in weights]


def test_a_seat_without_weight_gets_nothing() -> None:
    spread = Spread(shares_of([0, 10_000, 0]))
    assert {spread.next() for _ in range(100)} == {1}


def test_threads_together_get_the_same_split() -> None:
    weights = [5000, 3000, 2000]
    spread = Spread(shares_of(weights))
    order: list[list[int]] = [[] for _ in range(4)]

    def draw(mine: list[int]) -> None:
        mine.extend(spread.next() for _ in range(5000))

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(i for mine in order for i in mine)
    assert [counts[i] for i in range(3)] == [10_000, 6000, 4000]


@given(st.lists(st.integers(1, 1 << 40), max_size=MAX_SEATS, unique=True))
def test_even_shares_are_even(seats: list[int]) -> None:
    shares = even_shares(seats)
    assert [share.seat for share in shares] == seats
    if seats:
        assert sum(share.weight for share in shares) == BASIS_POINTS
        assert max(s.weight for s in shares) - min(s.weight for s in shares) <= 1


# -- calls with a key -------------------------------------------------------------------

KEYS = [key_hash(f"user-{i}") for i in range(10_000)]
SALTS = st.integers(0, (1 << 32) - 1)


@given(SALTS, st.integers(0, BASIS_POINTS), st.integers(0, BASIS_POINTS))
@example(0, 0, BASIS_POINTS)
def test_raising_a_weight_moves_keys_one_way_only(salt: int, one: int, other: int) -> None:
    low, high = sorted((one, other))
    before = shares_of([low, BASIS_POINTS - low])
    after = shares_of([high, BASIS_POINTS - high])
    for key in KEYS[:500]:
        was, now = seat_of_key(before, salt, key), seat_of_key(after, salt, key)
        assert was == now or (was, now) == (1, 0)


@given(SALTS)
def test_raised_step_by_step_each_key_moves_once(salt: int) -> None:
    moves: Counter[int] = Counter()
    seats = dict.fromkeys(KEYS[:500], 1)
    for weight in (0, 100, 500, 2500, 5000, 9999, BASIS_POINTS):
        shares = shares_of([weight, BASIS_POINTS - weight])
        for key, was in seats.items():
            now = seat_of_key(shares, salt, key)
            moves[key] += was != now
            seats[key] = now
    assert set(moves.values()) == {1}


@given(SALTS, weights(most=5))
def test_keys_split_as_the_weights_say(salt: int, weights: list[int]) -> None:
    shares = shares_of(weights)
    counts = Counter(seat_of_key(shares, salt, key) for key in KEYS)
    for i, weight in enumerate(weights):
        # Five standard deviations of 10,000 draws.
        slack = 5 * (weight * (BASIS_POINTS - weight) / BASIS_POINTS) ** 0.5 + 2
        assert abs(counts[i] - weight) <= slack


def test_the_salt_decides_which_keys_move() -> None:
    shares = even_shares([1, 2])
    with_one = [seat_of_key(shares, 1, key) for key in KEYS]
    with_other = [seat_of_key(shares, 2, key) for key in KEYS]
    same = sum(a == b for a, b in zip(with_one, with_other, strict=True))
    assert 4000 < same < 6000


@given(st.integers(0, (1 << 64) - 1), SALTS, weights())
def test_every_key_has_a_seat_with_weight(key: int, salt: int, weights: list[int]) -> None:
    assert weights[seat_of_key(shares_of(weights), salt, key)] > 0


# -- the table -----------------------------------------------------------------------------


@pytest.fixture
def table() -> Iterator[RouteTable]:
    table = RouteTable.create()
    yield table
    table.segment.close()


def test_what_was_written_is_read(table: RouteTable) -> None:
    assert table.read(3) == (0, [])
    generation = table.write(3, even_shares([5, 6, 7]))
    assert table.read(3) == (generation, even_shares([5, 6, 7]))
    assert table.read(2) == (0, [])
    assert table.write(3, []) > generation
    assert table.read(3)[1] == []


def test_the_largest_route_fits_and_the_next_one_does_not(table: RouteTable) -> None:
    full = even_shares(range(1, MAX_SEATS + 1))
    table.write(0, full)
    table.write(1, even_shares([99]))
    assert table.read(0)[1] == full
    with pytest.raises(ValueError, match="at most 63 seats, not 64"):
        table.write(0, even_shares(range(64)))


@pytest.mark.parametrize("weights", [[9999], [10_001], [5000, 5001], [11_000, -1000], [0, 0]])
def test_weights_that_do_not_make_a_whole_are_refused(
    table: RouteTable, weights: list[int]
) -> None:
    with pytest.raises(ValueError, match="sum to 10000"):
        table.write(0, shares_of(weights))
    assert table.read(0) == (0, [])


@pytest.mark.parametrize("slot", [-1, 1024])
def test_there_are_so_many_slots_and_no_more(table: RouteTable, slot: int) -> None:
    with pytest.raises(ValueError, match="1024 slots"):
        table.write(slot, [])


def test_a_write_that_was_cut_short_is_made_good_by_the_next(table: RouteTable) -> None:
    table.write(0, even_shares([1]))
    table.words[RouteTable.slot_word(0)] += 1
    generation = table.write(0, even_shares([2]))
    assert generation % 2 == 0
    assert table.read(0) == (generation, even_shares([2]))


def test_a_reader_in_another_process_never_sees_half_a_route(table: RouteTable) -> None:
    """Every route names its seats after its number of seats; the reader checks that."""
    routes = [[Share(n << 8 | i, s.weight) for i, s in enumerate(even_shares(range(n)))]
              for n in (1, 2, 7, MAX_SEATS)]  # fmt: skip
    table.write(0, routes[0])
    started, wanted = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            seen = set()
            last = 0
            os.write(wanted, b"x")
            while len(seen) < 4 or last < 20_000:
                generation, shares = table.read(0)
                assert generation >= last
                assert shares in routes
                last = generation
                seen.add(len(shares))
            status = 0
        finally:
            os._exit(status)
    os.read(started, 1)
    limit = time.monotonic() + 20
    done = 0
    writes = 0
    while not done and time.monotonic() < limit:
        for route in routes:
            table.write(0, route)
        writes += 4
        if writes % 1000 == 0:
            done, status = os.waitpid(child, os.WNOHANG)
    os.close(started)
    os.close(wanted)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done
    assert status == 0
