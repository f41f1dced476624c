"""Replies to other seats: kept as long as the call may be repeated, and no longer."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from noodle_host.router import layout
from noodle_host.worker.capture import StateHead, decode_head, encode_head
from noodle_host.worker.nested import NestedReplies


def nested_id(order: int, index: int) -> int:
    return order << layout.NESTED_INDEX_BITS | index


def test_a_call_that_was_executed_is_known() -> None:
    nested = NestedReplies()
    nested.keep(3, nested_id(5, 1), layout.REPLY, b"one")
    nested.keep(3, nested_id(5, 2), layout.ERROR, [b"tw", bytearray(b"o"), memoryview(b"!")])
    assert nested.find(3, nested_id(5, 1)) == (layout.REPLY, b"one")
    assert nested.find(3, nested_id(5, 2)) == (layout.ERROR, b"two!")
    for other in (nested_id(5, 3), nested_id(6, 1), nested_id(4, 1)):
        assert nested.find(3, other) is None
    assert nested.find(4, nested_id(5, 1)) is None


def test_a_seat_that_goes_on_is_done_with_what_came_before() -> None:
    nested = NestedReplies()
    nested.keep(3, nested_id(5, 1), layout.REPLY, b"one")
    assert not nested.is_old(3, nested_id(5, 9))
    nested.keep(3, nested_id(7, 1), layout.REPLY, b"two")
    assert nested.find(3, nested_id(5, 1)) is None
    assert nested.is_old(3, nested_id(5, 1))
    assert nested.is_old(3, nested_id(6, 1))
    assert not nested.is_old(3, nested_id(7, 2))
    assert not nested.is_old(3, nested_id(8, 1))
    # Another seat counts by itself.
    assert not nested.is_old(4, nested_id(1, 1))


_CALLS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 6),
        st.integers(1, 3),
        st.sampled_from([layout.REPLY, layout.ERROR]),
        st.binary(max_size=8),
    )
)


@given(_CALLS, _CALLS)
def test_what_goes_with_a_state_is_what_is_known(
    calls: list[tuple[int, int, int, int, bytes]], others: list[tuple[int, int, int, int, bytes]]
) -> None:
    nested, loaded = NestedReplies(), NestedReplies()
    for seat, order, index, kind, body in calls:
        nested.keep(seat, nested_id(order, index), kind, body)
    for seat, order, index, kind, body in others:
        # The state of those whom it replaces is gone.
        if any(seat == call[0] for call in calls):
            loaded.keep(seat, nested_id(order, index), kind, body)
    head = StateHead("kv", "1.0.0", 1, 9, 0, nested.dump())
    loaded.load(decode_head(encode_head(head)).nested)
    for seat in range(1, 5):
        for order in range(8):
            for index in range(1, 4):
                call_id = nested_id(order, index)
                assert loaded.find(seat, call_id) == nested.find(seat, call_id)
                assert loaded.is_old(seat, call_id) == nested.is_old(seat, call_id)


def test_a_head_that_is_nonsense_is_refused() -> None:
    for body in (b"", b"\xc0", msgspec.msgpack.encode(["kv", "1.0.0", "one"])):
        try:
            decode_head(body)
        except msgspec.DecodeError:
            continue
        raise AssertionError(f"{body!r} was taken for a head")
