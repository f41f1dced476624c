"""Slabs: whatever is allocated, leased, dropped, killed and recovered in whatever order."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from noodle_host.router.segment import Segment
from noodle_host.router.slab import (
    BLOCK_HEADER_BYTES,
    ArenaReader,
    ArenaWriter,
    block_bytes,
)

ARENA_BYTES = 1 << 20
START = 4096


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment.create("test-slabs", START + ARENA_BYTES)
    yield segment
    segment.close()


def pair(segment: Segment, size_bytes: int = ARENA_BYTES) -> tuple[ArenaWriter, ArenaReader]:
    return ArenaWriter(segment, START, size_bytes), ArenaReader(segment, START, size_bytes)


def chain(segment: Segment, end: int) -> list[tuple[int, int, int]]:
    """The blocks as anybody can walk them: (offset of the payload, size, state)."""
    blocks = []
    at = START
    while at < end and (size := segment.words[at >> 3]):
        blocks.append((at + BLOCK_HEADER_BYTES, size, segment.words[(at >> 3) + 1]))
        at += size
    assert at <= end
    return blocks


# -- sizes -----------------------------------------------------------------------


@pytest.mark.parametrize("payload", [1, 1 << 16, 65472, 65473, 100_000, 1 << 20, (1 << 30) - 64])
def test_a_block_holds_its_payload_and_wastes_at_most_a_quarter(payload: int) -> None:
    size = block_bytes(payload)
    assert size >= payload + BLOCK_HEADER_BYTES
    assert size == 1 << 16 or size <= (payload + BLOCK_HEADER_BYTES) * 1.25
    assert size % (1 << 14) == 0


def test_classes_are_few() -> None:
    assert len({block_bytes(n) for n in range(1, 1 << 26, 4096)}) < 50


# -- one by one --------------------------------------------------------------------


def test_what_was_freed_last_is_used_first(segment: Segment) -> None:
    writer, reader = pair(segment)
    first, second = writer.allocate(70_000), writer.allocate(70_000)
    reader.free(first)
    writer.allocate(100)
    reader.free(second)
    assert writer.allocate(70_000) == second
    assert writer.allocate(70_000) == first


def test_a_lease_lasts_as_long_as_any_view_of_it(segment: Segment) -> None:
    writer, reader = pair(segment)
    offset = writer.allocate(100_000)
    segment.view[offset : offset + 5] = b"hello"
    view = reader.lease(offset, 100_000)
    part = view[:5]
    assert view.readonly
    assert len(view) == 100_000
    del view
    assert writer.live_bytes == block_bytes(100_000)
    assert bytes(part) == b"hello"
    del part
    assert writer.live_bytes == 0


def test_a_lease_outlives_its_reader_and_the_descriptor() -> None:
    segment = Segment.create("test-slabs", START + ARENA_BYTES)
    writer, reader = pair(segment)
    offset = writer.allocate(10)
    segment.view[offset : offset + 5] = b"hello"
    view = reader.lease(offset, 5)
    segment.close()
    del writer, reader, segment
    gc.collect()
    assert bytes(view) == b"hello"


def test_freeing_a_block_that_is_leased_waits_for_the_lease(segment: Segment) -> None:
    writer, reader = pair(segment)
    offset = writer.allocate(10)
    view = reader.lease(offset, 10)
    reader.free(offset)
    assert writer.live_bytes > 0
    del view
    assert writer.live_bytes == 0


def test_leasing_twice_frees_once_the_later_view_is_dropped(segment: Segment) -> None:
    # A record that is delivered again, because the first attempt was interrupted.
    writer, reader = pair(segment)
    offset = writer.allocate(10)
    first = reader.lease(offset, 10)
    second = reader.lease(offset, 10)
    del first
    assert writer.live_bytes > 0
    del second
    assert writer.live_bytes == 0


def test_a_view_that_is_kept_outlives_whoever_asked_for_it(segment: Segment) -> None:
    writer, reader = pair(segment)
    offset = writer.allocate(10)
    kept: dict[int, memoryview] = {}
    assert not reader.is_leased(offset)
    reader.lease(offset, 10, kept)
    assert reader.is_leased(offset)
    assert writer.live_bytes > 0
    kept.clear()
    assert not reader.is_leased(offset)
    assert writer.live_bytes == 0


def test_a_free_block_cannot_be_leased(segment: Segment) -> None:
    writer, reader = pair(segment)
    offset = writer.allocate(10)
    reader.free(offset)
    with pytest.raises(ValueError, match="not in use"):
        reader.lease(offset, 10)


def test_views_without_a_claim_free_nothing(segment: Segment) -> None:
    writer, reader = pair(segment)
    offset = writer.allocate(10)
    segment.view[offset : offset + 2] = b"hi"
    view = reader.view(offset, 2)
    assert bytes(view) == b"hi"
    assert view.readonly
    del view
    assert writer.live_bytes > 0


@pytest.mark.parametrize(
    ("offset", "size", "inside"),
    [
        (START + 64, 1, True),
        (START + 64, ARENA_BYTES - 64, True),
        (START + 64, ARENA_BYTES - 63, False),
        (START, 1, False),
        (START + 68, 1, False),
        (START + 64, 0, False),
        (0, 1, False),
        (1 << 63, 1, False),
        (START + ARENA_BYTES, 1, False),
    ],
)
def test_what_a_peer_claims_is_checked(
    segment: Segment, offset: int, size: int, inside: bool
) -> None:
    assert pair(segment)[1].contains(offset, size) is inside


# -- used up -----------------------------------------------------------------------


def test_a_payload_above_the_limit_is_never_placed(segment: Segment) -> None:
    writer, _ = pair(segment)
    assert writer.largest_payload_bytes == ARENA_BYTES // 4
    assert writer.allocate(ARENA_BYTES // 4 + 1) == -1
    assert writer.allocate(ARENA_BYTES // 4) > 0


def test_held_views_use_an_arena_up_and_give_it_back(segment: Segment) -> None:
    writer, reader = pair(segment)
    views = []
    while (offset := writer.allocate(60_000)) >= 0:
        views.append(reader.lease(offset, 60_000))
    assert len(views) == 16
    assert writer.live_bytes == ARENA_BYTES
    del views[3]
    assert writer.allocate(60_000) >= 0
    assert writer.allocate(60_000) == -1
    views.clear()
    assert writer.allocate(60_000) >= 0


def test_neighbours_that_are_free_become_one_large_block(segment: Segment) -> None:
    writer, reader = pair(segment)
    offsets = [writer.allocate(60_000) for _ in range(16)]
    for offset in offsets[4:9]:
        reader.free(offset)
    assert writer.allocate(200_000) == offsets[4]
    assert writer.allocate(200_000) == -1
    # What was left of it is used too.
    assert writer.allocate(60_000) == offsets[4] + block_bytes(200_000)


def test_a_free_tail_and_what_was_never_used_become_one(segment: Segment) -> None:
    writer, reader = pair(segment)
    offsets = [writer.allocate(60_000) for _ in range(14)]
    assert writer.allocate(250_000) == -1
    reader.free(offsets[12])
    reader.free(offsets[13])
    assert writer.allocate(250_000) == offsets[12]


def test_memory_that_is_not_needed_goes_back_to_the_machine() -> None:
    size = 1 << 30
    segment = Segment.create("test-slabs", START + size)
    writer, reader = pair(segment, size)
    block = b"\x01" * (8 << 20)
    offsets = [writer.allocate(len(block)) for _ in range(24)]
    for offset in offsets:
        segment.view[offset : offset + len(block)] = block
    assert os.fstat(segment.fd).st_blocks * 512 > 190 << 20
    for offset in offsets:
        reader.free(offset)
    assert writer.live_bytes == 0
    assert os.fstat(segment.fd).st_blocks * 512 < 80 << 20
    segment.close()


def test_the_cost_of_an_allocation_does_not_grow_with_what_is_held() -> None:
    # Counted, not timed: how many headers are looked at.
    size = 1 << 30
    segment = Segment.create("test-slabs", START + size)

    class Counting(ArenaWriter):
        looks = 0

        def _read(self, at: int, word: int) -> int:
            self.looks += 1
            return super()._read(at, word)

    writer = Counting(segment, START, size)
    for _ in range(5000):
        assert writer.allocate(60_000) > 0
    assert writer.looks < 5000 * 10
    segment.close()


# -- successors ----------------------------------------------------------------------


def test_a_successor_knows_what_is_out(segment: Segment) -> None:
    writer, reader = pair(segment)
    offsets = [writer.allocate(60_000) for _ in range(16)]
    view = reader.lease(offsets[2], 10)
    reader.free(offsets[5])
    successor = ArenaWriter(segment, START, ARENA_BYTES)
    assert successor.live_bytes == 15 * (1 << 16)
    assert successor.allocate(60_000) == offsets[5]
    assert successor.allocate(60_000) == -1
    del view
    assert successor.allocate(60_000) == offsets[2]


def test_a_successor_reclaims_what_was_allocated_and_never_sent(segment: Segment) -> None:
    writer, reader = pair(segment)
    sent, unsent, held = (writer.allocate(60_000) for _ in range(3))
    view = reader.lease(held, 10)
    successor = ArenaWriter(segment, START, ARENA_BYTES)
    successor.reclaim({sent})
    assert [state != 0 for _, _, state in chain(segment, START + ARENA_BYTES)] == [
        True,
        False,
        True,
    ]
    assert successor.allocate(60_000) == unsent
    assert len(view) == 10


def test_what_a_dead_receiver_held_is_freed_and_the_rest_is_not(segment: Segment) -> None:
    writer, reader = pair(segment)
    held, on_its_way = writer.allocate(60_000), writer.allocate(60_000)
    view = reader.lease(held, 10)
    survivor = ArenaReader(segment, START, ARENA_BYTES)
    survivor.free_held()
    assert writer.live_bytes == 1 << 16
    assert writer.allocate(60_000) == held
    assert writer.allocate(60_000) not in (held, on_its_way)
    del view


@pytest.mark.parametrize("garbage", [1, 8, 1 << 14 | 1, 1 << 40, (1 << 64) - 1])
def test_a_chain_that_was_scribbled_on_blocks_nobody(segment: Segment, garbage: int) -> None:
    writer, reader = pair(segment)
    first, second = writer.allocate(60_000), writer.allocate(60_000)
    view = reader.lease(first, 10)
    segment.words[(second - BLOCK_HEADER_BYTES) >> 3] = garbage
    ArenaReader(segment, START, ARENA_BYTES).free_held()
    successor = ArenaWriter(segment, START, ARENA_BYTES)
    # What lies before the damage is used; what lies behind never is.
    assert successor.allocate(60_000) == first
    assert successor.allocate(60_000) == -1
    del view


def test_payload_is_not_taken_for_the_header_of_a_held_block(segment: Segment) -> None:
    writer, reader = pair(segment)
    offset = writer.allocate(200_000)
    view = reader.lease(offset, 200_000)
    held_state = segment.words[((offset - BLOCK_HEADER_BYTES) >> 3) + 1]
    inner = (offset - BLOCK_HEADER_BYTES + (1 << 16)) >> 3
    segment.words[inner] = 1 << 16
    segment.words[inner + 1] = held_state
    # A walker that was inside the block when it was joined reads there.
    lost = ArenaReader(segment, START + (1 << 16), ARENA_BYTES - (1 << 16))
    lost.free_held()
    assert segment.words[inner + 1] == held_state
    del view


# -- everything in any order ----------------------------------------------------------

PICKS = st.integers(0, 1 << 16)


class ArenaMachine(RuleBasedStateMachine):
    """One sender and one receiver; either may be killed and succeeded."""

    def __init__(self) -> None:
        super().__init__()
        self.segment = Segment.create("test-slabs", START + ARENA_BYTES)
        self.writer, self.reader = pair(self.segment)
        #: offset -> (size, byte) of what was sent and not taken
        self.sent: dict[int, tuple[int, int]] = {}
        #: offset -> (size, byte, views) of what is held
        self.held: dict[int, tuple[int, int, list[memoryview]]] = {}
        self.stamp = 0

    @rule(size=st.integers(1, 300_000) | st.integers(65_000, 66_000))
    def allocate(self, size: int) -> None:
        offset = self.writer.allocate(size)
        if offset < 0:
            assert size > ARENA_BYTES // 4 or not self.fits(block_bytes(size))
            return
        assert size <= ARENA_BYTES // 4
        assert self.reader.contains(offset, size)
        for other, other_size in self.out().items():
            assert offset + size + BLOCK_HEADER_BYTES <= other or (
                other + other_size + BLOCK_HEADER_BYTES <= offset
            )
        self.stamp = self.stamp % 255 + 1
        self.segment.view[offset : offset + size] = bytes([self.stamp]) * size
        self.sent[offset] = (size, self.stamp)

    def out(self) -> dict[int, int]:
        return {offset: what[0] for offset, what in (self.sent | self.held).items()}

    def fits(self, size: int) -> bool:
        """Whether there is a gap of that size between what is out."""
        at = START
        for offset in sorted(self.out()):
            block = offset - BLOCK_HEADER_BYTES
            if block - at >= size:
                return True
            at = block + self.segment.words[block >> 3]
        return START + ARENA_BYTES - at >= size

    @precondition(lambda self: self.sent)
    @rule(pick=PICKS, views=st.integers(1, 3))
    def lease(self, pick: int, views: int) -> None:
        offset = sorted(self.sent)[pick % len(self.sent)]
        size, stamp = self.sent.pop(offset)
        view = self.reader.lease(offset, size)
        self.held[offset] = (size, stamp, [view[i:] for i in range(views)])

    @precondition(lambda self: self.sent)
    @rule(pick=PICKS)
    def free_at_once(self, pick: int) -> None:
        offset = sorted(self.sent)[pick % len(self.sent)]
        del self.sent[offset]
        self.reader.free(offset)

    @precondition(lambda self: self.held)
    @rule(pick=PICKS, which=PICKS)
    def drop_a_view(self, pick: int, which: int) -> None:
        offset = sorted(self.held)[pick % len(self.held)]
        _, stamp, views = self.held[offset]
        view = views.pop(which % len(views))
        assert view == bytes([stamp]) * len(view)
        if not views:
            del self.held[offset]

    @rule()
    def sender_is_succeeded(self) -> None:
        self.writer = ArenaWriter(self.segment, START, ARENA_BYTES)

    @rule(size=st.integers(1, 200_000))
    def sender_is_killed_while_it_sends(self, size: int) -> None:
        self.writer.allocate(size)
        self.writer = ArenaWriter(self.segment, START, ARENA_BYTES)
        self.writer.reclaim(self.sent)

    @rule()
    def receiver_is_killed(self) -> None:
        # Its views die with it; nothing of its own frees anything any more.
        self.reader._leases.clear()
        self.held.clear()
        self.reader = ArenaReader(self.segment, START, ARENA_BYTES)
        self.reader.free_held()

    @invariant()
    def what_is_out_is_in_the_chain_and_untouched(self) -> None:
        blocks = {offset: size for offset, size, _ in chain(self.segment, START + ARENA_BYTES)}
        for offset, (size, stamp, *_) in (self.sent | self.held).items():
            assert blocks[offset] >= size + BLOCK_HEADER_BYTES
            assert self.segment.view[offset] == stamp
            assert self.segment.view[offset + size - 1] == stamp
        assert self.writer.live_bytes == sum(blocks[offset] for offset in self.out())

    def teardown(self) -> None:
        self.held.clear()
        self.segment.close()


TestArenaMachine = ArenaMachine.TestCase
TestArenaMachine.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
