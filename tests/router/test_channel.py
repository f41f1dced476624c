"""Channels: both directions, small and large bodies, successors, damage."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from noodle_host.router import channel as channels
from noodle_host.router import layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.channel import ChannelEnd
from noodle_host.router.lane import CorruptLaneError
from noodle_host.router.segment import Segment

BIG = 100_000


def small_segment(arena_bytes: int = 1 << 20) -> Segment:
    """A channel whose arenas are soon used up."""
    lane_bytes = layout.LANE_BYTES
    size = layout.CHANNEL_HEADER_BYTES + 2 * lane_bytes + 2 * arena_bytes
    segment = Segment.create("test-channel", size)
    segment.words[layout.CH_LANE_BYTES] = lane_bytes
    segment.words[layout.CH_ARENA_BYTES] = arena_bytes
    segment.words[layout.CH_MAGIC] = layout.CHANNEL_MAGIC
    return segment


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = small_segment()
    yield segment
    segment.close()


@pytest.fixture
def bell() -> Iterator[Doorbell]:
    bell = Doorbell.create("test-bell")
    yield bell
    bell.close()


@pytest.fixture
def ends(segment: Segment, bell: Doorbell) -> tuple[ChannelEnd, ChannelEnd]:
    return ChannelEnd(segment, bell, caller=True), ChannelEnd(segment, bell, caller=False)


def send(end: ChannelEnd, body: bytes | channels.Chunks, call_id: int = 1) -> int:
    return end.outbox.send(layout.CALL, 0, call_id, 7, 0, 0, body)


def take(end: ChannelEnd) -> bytes:
    """Read one record, give back its slab and retire it."""
    record = end.inbox.reader.read()
    assert record is not None
    slab = end.inbox.slab(record)
    body = record[11]
    if slab is not None:
        body = bytes(end.inbox.arena.view(*slab))
        end.inbox.arena.free(slab[0])
    end.inbox.retire(end.inbox.reader.position)
    return body


# -- there and back ----------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [0, 1, layout.INLINE_BYTES, layout.INLINE_BYTES + 1, BIG, (1 << 18)]
)
def test_bodies_arrive_whole_in_both_directions(
    ends: tuple[ChannelEnd, ChannelEnd], size: int
) -> None:
    body = os.urandom(size)
    for sender, receiver in (ends, ends[::-1]):
        assert send(sender, body) >= 0
        assert take(receiver) == body
        assert receiver.inbox.reader.read() is None


@pytest.mark.parametrize("size", [3, layout.INLINE_BYTES, BIG])
def test_chunks_arrive_as_one(ends: tuple[ChannelEnd, ChannelEnd], size: int) -> None:
    caller, seat = ends
    chunks: channels.Chunks = [b"a" * size, bytearray(b"b"), memoryview(b"c" * size)]
    assert send(caller, chunks) >= 0
    assert take(seat) == b"a" * size + b"b" + b"c" * size


def test_a_new_channel_has_the_sizes_of_the_layout(bell: Doorbell) -> None:
    segment = channels.create_segment("test-channel")
    caller = ChannelEnd(segment, bell, caller=True)
    assert caller.outbox.arena.largest_payload_bytes == layout.ARENA_BYTES // 4
    assert not caller.closed
    segment.words[layout.CH_CLOSED] = 1
    assert caller.closed
    segment.close()


# -- no room -------------------------------------------------------------------------


def test_a_full_lane_takes_no_more_until_something_is_retired(
    ends: tuple[ChannelEnd, ChannelEnd],
) -> None:
    caller, seat = ends
    body = bytes(layout.INLINE_BYTES)
    count = 0
    while send(caller, body) >= 0:
        count += 1
    assert count == layout.LANE_BYTES // (layout.INLINE_BYTES + layout.HEADER_BYTES)
    assert not caller.outbox.has_room(1 << 20)
    take(seat)
    take(seat)
    assert caller.outbox.has_room(0)
    assert send(caller, body) >= 0


def test_a_full_lane_costs_no_copy_of_a_large_body(ends: tuple[ChannelEnd, ChannelEnd]) -> None:
    caller, seat = ends
    while send(caller, b"x" * 1000) >= 0:
        pass
    while send(caller, b"") >= 0:
        pass
    for _ in range(100):
        assert send(caller, bytes(BIG)) == -1
    assert caller.outbox.arena.live_bytes == 0
    # No block was so much as touched.
    assert seat.segment.words[(layout.CHANNEL_HEADER_BYTES + 2 * layout.LANE_BYTES) >> 3] == 0


def test_views_that_are_held_use_up_the_arena_but_not_the_lane(
    ends: tuple[ChannelEnd, ChannelEnd],
) -> None:
    caller, seat = ends
    views = []
    while send(caller, bytes(BIG)) >= 0:
        record = seat.inbox.reader.read()
        assert record is not None
        slab = seat.inbox.slab(record)
        assert slab is not None
        views.append(seat.inbox.arena.lease(*slab))
        seat.inbox.retire(seat.inbox.reader.position)
    assert len(views) == (1 << 20) // (7 << 14)
    assert send(caller, b"small") >= 0
    assert take(seat) == b"small"
    del views[0]
    assert send(caller, bytes(BIG)) >= 0


def test_whoever_waits_last_stops_the_ringing(
    ends: tuple[ChannelEnd, ChannelEnd], bell: Doorbell
) -> None:
    caller, seat = ends

    def rings() -> bool:
        assert send(caller, b"x") >= 0
        bell.words[layout.BELL_SLEEPING] = 0
        bell.drain()
        bell.words[layout.BELL_SLEEPING] = 1
        take(seat)
        try:
            return bool(os.eventfd_read(bell.fd))
        except BlockingIOError:
            return False

    assert not rings()
    caller.outbox.begin_waiting()
    caller.outbox.begin_waiting()
    assert rings()
    caller.outbox.end_waiting()
    assert rings()
    caller.outbox.end_waiting()
    assert not rings()


# -- successors ------------------------------------------------------------------------


def test_a_successor_writes_on_where_the_lane_ends(
    ends: tuple[ChannelEnd, ChannelEnd], segment: Segment, bell: Doorbell
) -> None:
    caller, seat = ends
    send(seat, b"first")
    send(seat, bytes(BIG))
    successor = ChannelEnd(segment, bell, caller=False)
    send(successor, b"third")
    assert [take(caller) for _ in range(3)] == [b"first", bytes(BIG), b"third"]
    assert successor.outbox.arena.live_bytes == 0


def test_a_successor_reads_on_where_records_are_not_retired(
    ends: tuple[ChannelEnd, ChannelEnd], segment: Segment, bell: Doorbell
) -> None:
    caller, seat = ends
    send(caller, b"first")
    send(caller, b"second")
    take(seat)
    assert seat.inbox.reader.read() is not None
    assert take(ChannelEnd(segment, bell, caller=False)) == b"second"


def test_a_slab_that_was_not_sent_is_not_lost_with_its_sender(
    ends: tuple[ChannelEnd, ChannelEnd], segment: Segment, bell: Doorbell
) -> None:
    _, seat = ends
    send(seat, bytes(BIG))
    seat.outbox.arena.allocate(BIG)
    seat.outbox.arena.allocate(BIG)
    successor = ChannelEnd(segment, bell, caller=False)
    assert successor.outbox.arena.live_bytes == 7 << 14


def test_the_end_of_what_is_committed_is_found_without_taking_it(
    ends: tuple[ChannelEnd, ChannelEnd],
) -> None:
    caller, seat = ends
    assert seat.inbox.committed_end() == 0
    last = [send(caller, b"x" * 20) for _ in range(3)][-1]
    assert seat.inbox.committed_end() > last
    assert take(seat) == b"x" * 20


class Alarm(Exception):
    pass


def test_signals_that_raise_anywhere_leave_the_channel_whole(segment: Segment) -> None:
    """What is reported as sent arrives; what is not may; nothing else does."""
    bell = Doorbell.create("test-bell")
    caller = ChannelEnd(segment, bell, caller=True)
    seat = ChannelEnd(segment, bell, caller=False)
    armed = False

    def on_alarm(*_: object) -> None:
        if armed:
            raise Alarm

    sent: set[int] = set()
    tried = 0
    arrived: list[int] = []
    interrupts = 0
    old = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while interrupts < 300:
            tried += 1
            large = tried % 3 == 0
            body = tried.to_bytes(8, "little") + (bytes(BIG) if large else b"")
            try:
                armed = True
                position = send(caller, body, tried)
                armed = False
            except Alarm:
                armed = False
                interrupts += 1
                continue
            if position >= 0:
                sent.add(tried)
            # The receiver takes them in bursts, so that the ring wraps.
            if tried % 7 == 0:
                while seat.inbox.reader.has_record():
                    arrived.append(int.from_bytes(take(seat)[:8], "little"))
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    while seat.inbox.reader.has_record():
        arrived.append(int.from_bytes(take(seat)[:8], "little"))
    assert arrived == sorted(set(arrived))
    assert sent <= set(arrived)
    assert caller.outbox.arena.live_bytes == 0
    bell.close()


# -- many threads -----------------------------------------------------------------------


def test_threads_share_a_lane_without_mixing_their_records(
    ends: tuple[ChannelEnd, ChannelEnd],
) -> None:
    caller, seat = ends

    def produce(who: int) -> None:
        for i in range(200):
            body = bytes([who]) * (40_000 if i % 50 == 0 else 100)
            while send(caller, body, who << 32 | i) < 0:
                pass

    threads = [threading.Thread(target=produce, args=(who,)) for who in range(1, 5)]
    for thread in threads:
        thread.start()
    seen: dict[int, list[int]] = {}
    for _ in range(800):
        while (record := seat.inbox.reader.read()) is None:
            pass
        slab = seat.inbox.slab(record)
        body = record[11] if slab is None else bytes(seat.inbox.arena.view(*slab))
        if slab is not None:
            seat.inbox.arena.free(slab[0])
        who, i = record[4] >> 32, record[4] & 0xFFFFFFFF
        assert set(body) == {who}
        seen.setdefault(who, []).append(i)
        seat.inbox.retire(seat.inbox.reader.position)
    for thread in threads:
        thread.join()
    assert seen == {who: list(range(200)) for who in range(1, 5)}


# -- damage ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (layout.CH_MAGIC, 0),
        (layout.CH_LANE_BYTES, layout.LANE_BYTES * 2),
        (layout.CH_LANE_BYTES, 0),
        (layout.CH_ARENA_BYTES, 1 << 63),
        (layout.CH_ARENA_BYTES, (1 << 20) + 8),
    ],
)
def test_what_is_no_channel_is_refused(
    segment: Segment, bell: Doorbell, word: int, value: int
) -> None:
    segment.words[word] = value
    with pytest.raises(ValueError, match="channel"):
        ChannelEnd(segment, bell, caller=True)


def test_a_segment_of_another_kind_is_refused(bell: Doorbell) -> None:
    with pytest.raises(ValueError, match="not a channel"):
        ChannelEnd(bell.segment, bell, caller=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ((0).to_bytes(16, "little"), "outside its arena"),
        (b"\xff" * 16, "outside its arena"),
        (b"short", "5 bytes, not 16"),
    ],
)
def test_a_slab_that_cannot_be_is_refused(
    ends: tuple[ChannelEnd, ChannelEnd], body: bytes, message: str
) -> None:
    caller, seat = ends
    caller.outbox.send(layout.CALL, layout.SLAB, 1, 7, 0, 0, body)
    record = seat.inbox.reader.read()
    assert record is not None
    with pytest.raises(ValueError, match=message):
        seat.inbox.slab(record)


def test_a_ring_without_an_end_is_refused_instead_of_walked_for_ever(
    ends: tuple[ChannelEnd, ChannelEnd], segment: Segment, bell: Doorbell
) -> None:
    seat = ends[1]
    ring = segment.view[layout.CHANNEL_HEADER_BYTES :][: layout.LANE_BYTES].cast("Q")
    for at in range(0, layout.LANE_BYTES >> 3, 8):
        ring[at] = layout.HEADER_BYTES | layout.CALL << 32
    with pytest.raises(CorruptLaneError, match="full of records"):
        seat.inbox.committed_end()
    with pytest.raises(CorruptLaneError, match="full of records"):
        ChannelEnd(segment, bell, caller=True)


# -- what stays open ------------------------------------------------------------------------


def test_closing_an_end_closes_the_bell_that_came_with_it(segment: Segment, bell: Doorbell) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        peer = Doorbell.attach(*[os.dup(fd) for fd in bell.fds()])
        end = ChannelEnd(Segment.attach(os.dup(segment.fd)), peer, caller=True)
        end.close()
        end.close()
    del peer, end
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    # The one that others share stays.
    ChannelEnd(segment, bell, caller=False)
    bell.ring()
    assert os.eventfd_read(bell.fd) == 1
