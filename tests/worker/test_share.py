"""The share of a follower: which calls are its, and who answers when it does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from noodle_host.router import layout
from noodle_host.worker.share import ShareKeeper, is_in_share

WEIGHTS = st.integers(0, 10_000)
KEYS = st.integers(1, 2**64 - 1)


@given(WEIGHTS, st.integers(0, 2**40))
def test_any_hundred_calls_in_a_row_split_as_the_weight_says(weight: int, first: int) -> None:
    taken = sum(is_in_share(weight, 0, first + i) for i in range(100))
    # Steps of the golden ratio are never further than this from an even spread.
    assert abs(taken - weight / 100) < 4


@given(WEIGHTS, st.integers(0, 2**40), st.sampled_from([2, 3, 5]))
def test_a_pattern_of_calls_does_not_meet_the_pattern_of_the_share(
    weight: int, first: int, period: int
) -> None:
    taken = sum(is_in_share(weight, 0, first + i * period) for i in range(400))
    assert abs(taken - weight / 25) < 16


@given(KEYS, WEIGHTS, WEIGHTS, st.integers(0, 100), st.integers(0, 100))
def test_raising_the_weight_moves_a_key_once(
    key: int, low: int, high: int, early: int, late: int
) -> None:
    low, high = sorted((low, high))
    assert is_in_share(low, key, early) <= is_in_share(high, key, late)
    assert not is_in_share(0, key, early)
    assert is_in_share(10_000, key, early)


def _sent() -> tuple[ShareKeeper, list[tuple[int, bytes]]]:
    keeper = ShareKeeper()
    keeper.give(7, 10_000)
    sent: list[tuple[int, bytes]] = []
    for n in range(3):
        assert keeper.takes(0)
        keeper.wait_for(
            100 + n,
            n + 1,
            lambda n=n: (layout.REPLY, b"own%d" % n),
            lambda kind, body: sent.append((kind, body)),
        )
    return keeper, sent


def test_each_call_is_answered_once_by_whoever_is_first() -> None:
    keeper, sent = _sent()
    keeper.relayed(101, layout.ERROR, b"theirs")
    keeper.relayed(101, layout.ERROR, b"theirs again")
    assert keeper.oldest_order() == 1
    keeper.answer_all()
    keeper.relayed(100, layout.REPLY, b"too late")
    assert sent == [
        (layout.ERROR, b"theirs"),
        (layout.REPLY, b"own0"),
        (layout.REPLY, b"own2"),
    ]
    assert keeper.oldest_order() == layout.ORDER_MASK
    assert keeper.due_ns == 0


def test_another_follower_or_none_answers_nothing_of_what_is_open() -> None:
    keeper, sent = _sent()
    keeper.give(7, 5_000)
    assert sent == []
    keeper.give(8, 5_000)
    assert [body for _, body in sent] == [b"own0", b"own1", b"own2"]


def test_nothing_expires_before_its_time() -> None:
    keeper, sent = _sent()
    assert keeper.due_ns > 0
    assert not keeper.expire() or keeper.due_ns == 0
    assert len(sent) in (0, 3)
