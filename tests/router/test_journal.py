"""The journal of a seat: written by one leader after the other, read by many, forgotten."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from noodle_host.router import layout
from noodle_host.router.journal import (
    Journal,
    JournalReader,
    JournalWriter,
    caller_seat_of,
    channel_of,
    source,
)
from noodle_host.router.segment import Segment
from noodle_host.router.slab import ArenaWriter, block_bytes

_LANE_BYTES = 1 << 16
#: So many orders are forgotten at a time.
_EPOCH = 64
_LARGE = layout.INLINE_BYTES + 1


@dataclass
class Written:
    """What a record is expected to be."""

    position: int
    kind: int
    flags: int
    call_id: int
    method: int
    origin: int
    order: int
    payload: bytes
    status: int = 0

    def matches(self, record: Any) -> bool:
        return (
            record[0] == self.position
            and record[1] == self.kind
            and record[2] & ~layout.SLAB == self.flags
            and record[4:8] == (self.call_id, self.method, self.origin, self.order)
            and record[11] == self.payload
        )


class Reading:
    """A reader, and the index of the record that comes next for it."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.reader = JournalReader(journal)
        self.next = number


class JournalMachine(RuleBasedStateMachine):
    """A leader writes, others read, all in one process; a reader may become the leader."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal.create("test-journal", lane_bytes=_LANE_BYTES)
        self.written: list[Written] = []
        self.order = 0
        #: The first order that is not forgotten.
        self.first = 0
        first = Reading(self.journal, 0)
        self.writer: JournalWriter = first.reader.writer()
        self.readings: list[Reading] = []
        self.leading = first

    def teardown(self) -> None:
        self.journal.close()

    # -- the leader ------------------------------------------------------------

    @rule(
        commands=st.integers(1, 90),
        effects=st.integers(0, 2),
        size_bytes=st.integers(0, 300),
        large=st.sampled_from([0, 0, 7, 30]),
        fill=st.integers(0, 255),
    )
    def write(self, commands: int, effects: int, size_bytes: int, large: int, fill: int) -> None:
        for number in range(commands):
            order = self.order + 1
            is_large = large and number % large == 0
            payload = bytes([(fill + number) % 256]) * (
                _LARGE + size_bytes if is_large else size_bytes
            )
            if not self._write(layout.CALL, layout.BY_NAME, number, order, payload):
                return
            self.order = order
            command = self.written[-1]
            for effect in range(effects if number % 3 == 0 else 0):
                if not self._write(layout.EFFECT, 0, effect, order, b"effect"):
                    break
            self.writer.set_status(command.position, layout.STATUS_ANSWERED)
            command.status = layout.STATUS_ANSWERED

    def _write(self, kind: int, flags: int, call_id: int, order: int, payload: bytes) -> bool:
        before = self.writer.tail
        origin = source(3, order % 5)
        method = order * 7 % (1 << 32)
        position = self.writer.write(kind, flags, call_id, method, origin, order, payload)
        if position < 0:
            # Refused, because it is full, and as if nothing had been written.
            length = layout.HEADER_BYTES + (16 if len(payload) >= _LARGE else len(payload))
            assert self.writer.used_bytes + 2 * length + 16 > _LANE_BYTES
            assert self.writer.tail == before
            return False
        self.written.append(Written(position, kind, flags, call_id, method, origin, order, payload))
        return True

    def _executed(self, reading: Reading) -> int:
        """The last order that a reader has come to the end of."""
        if reading.next == len(self.written):
            return self.order
        return self.written[reading.next].order - 1

    @rule(back=st.integers(0, 100))
    def forget(self, back: int) -> None:
        """As far as all have read, or less."""
        orders = [self._executed(reading) for reading in self.readings]
        order = min([self.order, *orders]) - back
        if order < 1:
            return
        self.writer.forget(order)
        self.first = max(self.first, order // _EPOCH * _EPOCH)

    @precondition(lambda self: self.readings)
    @rule(which=st.integers(0, 11), is_cut_short=st.booleans())
    def succeed(self, which: int, is_cut_short: bool) -> None:
        """A reader leads on, from wherever it has come to."""
        tail, used_bytes = self.writer.tail, self.writer.used_bytes
        if is_cut_short:
            # The leader had taken a slab, and died before it wrote the record.
            arena = self.journal.arena
            ArenaWriter(self.journal.segment, arena.start, len(arena)).allocate(_LARGE)
        leader = self.readings.pop(which % len(self.readings))
        self.writer = leader.reader.writer()
        self.leading = leader
        assert self.writer.tail == tail
        assert self.writer.used_bytes == used_bytes
        assert self.writer.last_order == self.order
        # What it has not read yet, it reads before it writes.
        self._read(leader, len(self.written))
        assert leader.reader.position == tail

    # -- the readers -----------------------------------------------------------

    @precondition(lambda self: len(self.readings) < 4)
    @rule()
    def begin_reading(self) -> None:
        """From what is left."""
        retired = self.journal.retired
        number = next(
            (i for i, written in enumerate(self.written) if written.position >= retired),
            len(self.written),
        )
        self.readings.append(Reading(self.journal, number))

    @precondition(lambda self: self.readings)
    @rule(which=st.integers(0, 11), most=st.integers(1, 200), returns=st.booleans())
    def read(self, which: int, most: int, returns: bool) -> None:
        reading = self.readings[which % len(self.readings)]
        record = self._read(reading, most)
        if returns and record is not None:
            reading.reader.unread(record)
            reading.next -= 1
            assert reading.reader.position == record[0]
            assert reading.reader.has_answered() == bool(self.written[reading.next].status)
        reading.reader.trim()

    @precondition(lambda self: self.readings)
    @rule()
    def read_all(self) -> None:
        for reading in self.readings:
            self._read(reading, len(self.written) + 1)
            assert reading.reader.read() is None
            assert not reading.reader.has_answered()

    def _read(self, reading: Reading, most: int) -> Any:
        record = None
        for _ in range(most):
            following = reading.reader.read()
            if following is None:
                assert reading.next == len(self.written)
                break
            record = following
            written = self.written[reading.next]
            assert written.matches(record), (written, record)
            assert reading.reader.status(record[0]) == written.status
            reading.next += 1
        return record

    # -- what holds always -------------------------------------------------------

    @invariant()
    def nothing_is_forgotten_too_early_or_too_late(self) -> None:
        kept = [written for written in self.written if written.order >= self.first]
        retired = self.journal.retired
        assert self.writer.used_bytes == self.writer.tail - retired
        assert 0 <= self.writer.used_bytes <= _LANE_BYTES
        if kept:
            assert retired <= kept[0].position
        if self.first:
            gone = [written for written in self.written if written.order < self.first]
            assert not gone or gone[-1].position < retired
        arena = self.journal.arena
        fresh = ArenaWriter(self.journal.segment, arena.start, len(arena))
        wanted = sum(
            block_bytes(len(written.payload)) for written in kept if len(written.payload) >= _LARGE
        )
        assert fresh.live_bytes == wanted


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


class TestJournal(JournalMachine.TestCase):
    """Any sequence of writing, reading, forgetting and succeeding."""


# -- what follows one thought ---------------------------------------------------------


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.create("test-journal", lane_bytes=_LANE_BYTES)
    yield journal
    journal.close()


def write_all(writer: JournalWriter, orders: Iterable[int], payload: bytes = b"") -> None:
    for order in orders:
        assert writer.write(layout.CALL, 0, order, 0, 0, order, payload) >= 0


def read_all(reader: JournalReader) -> list[tuple[int, bytes]]:
    """The order and the payload of all records that are new."""
    records = []
    while (record := reader.read()) is not None:
        records.append((record[7], record[11]))
    return records


def test_a_successor_does_not_give_away_what_is_still_to_be_read(journal: Journal) -> None:
    """It has come by payloads that are forgotten, whose memory holds others by now."""
    heir, slow = JournalReader(journal), JournalReader(journal)
    writer = JournalReader(journal).writer()
    write_all(writer, range(1, 10))
    write_all(writer, [10], b"a" * _LARGE)
    write_all(writer, range(11, 131))
    read_all(heir)
    read_all(slow)
    writer.forget(130)
    # It takes the memory of the one before.
    write_all(writer, [131], b"b" * _LARGE)
    read_all(heir)
    writer = heir.writer()
    writer.forget(130)
    write_all(writer, [132], b"c" * _LARGE)
    assert read_all(slow) == [(131, b"b" * _LARGE), (132, b"c" * _LARGE)]


def test_a_successor_does_not_unforget(journal: Journal) -> None:
    heir = JournalReader(journal)
    writer = JournalReader(journal).writer()
    write_all(writer, range(1, 200))
    read_all(heir)
    writer.forget(199)
    retired = journal.retired
    assert retired > 0
    heir.writer().forget(70)
    assert journal.retired == retired


def test_what_is_forgotten_makes_room_for_as_much(journal: Journal) -> None:
    """Around the ring many times, with a reader that follows closely."""
    reader = JournalReader(journal)
    writer = JournalReader(journal).writer()
    for epoch in range(50):
        orders = range(epoch * _EPOCH + 1, (epoch + 1) * _EPOCH + 1)
        write_all(writer, orders, bytes(300))
        assert [order for order, _ in read_all(reader)] == list(orders)
        writer.forget(orders[-1])
    assert writer.tail > 10 * _LANE_BYTES
    # All that is left is the last order.
    assert writer.used_bytes == layout.HEADER_BYTES + 304


def test_one_large_epoch_can_be_forgotten() -> None:
    """However much few commands write, when all have read it there is room again."""
    journal = Journal.create("test-journal", lane_bytes=1 << 20)
    reader = JournalReader(journal)
    writer = JournalReader(journal).writer()
    order = 0
    while writer.has_room():
        order += 1
        for _ in range(4):
            assert writer.write(layout.EFFECT, 0, 0, 0, 0, order, bytes(layout.INLINE_BYTES)) >= 0
    assert 1 < order < _EPOCH
    read_all(reader)
    writer.forget(order)
    assert writer.has_room()
    journal.close()


def test_the_memory_of_a_payload_is_used_again(journal: Journal) -> None:
    """The arena does not grow with the number of large payloads."""
    reader = JournalReader(journal)
    writer = JournalReader(journal).writer()
    for epoch in range(20):
        orders = range(epoch * _EPOCH + 1, (epoch + 1) * _EPOCH + 1)
        write_all(writer, orders, bytes(_LARGE))
        read_all(reader)
        writer.forget(orders[-1])
    arena = journal.arena
    fresh = ArenaWriter(journal.segment, arena.start, len(arena))
    assert fresh.live_bytes == block_bytes(_LARGE)
    assert os.fstat(journal.segment.fd).st_blocks * 512 < 3 * _EPOCH * block_bytes(_LARGE)


def test_what_does_not_fit_is_refused_and_nothing_is_taken(journal: Journal) -> None:
    writer = JournalReader(journal).writer()
    order = 0
    for size_bytes in (1000, 100, 0):
        while writer.write(layout.CALL, 0, 0, 0, 0, order + 1, bytes(size_bytes)) >= 0:
            order += 1
    tail = writer.tail
    assert writer.write(layout.CALL, 0, 0, 0, 0, order + 1, bytes(_LARGE)) == -1
    assert writer.tail == tail
    arena = ArenaWriter(journal.segment, journal.arena.start, len(journal.arena))
    assert arena.live_bytes == 0
    assert [number for number, _ in read_all(JournalReader(journal))] == list(range(1, order + 1))


def test_a_journal_is_known_by_its_descriptor(journal: Journal) -> None:
    writer = JournalReader(journal).writer()
    write_all(writer, [1], b"first")
    write_all(writer, [2], b"x" * _LARGE)
    other = Journal(Segment.attach(os.dup(journal.segment.fd)))
    assert read_all(JournalReader(other)) == [(1, b"first"), (2, b"x" * _LARGE)]
    other.close()


def test_what_is_no_journal_is_refused(journal: Journal) -> None:
    segment = Segment.create("test-other", 1 << 16)
    with pytest.raises(ValueError, match="not a journal"):
        Journal(segment)
    segment.words[layout.CH_MAGIC] = layout.JOURNAL_MAGIC
    segment.words[layout.CH_LANE_BYTES] = 1 << 16
    with pytest.raises(ValueError, match="a journal of 65536 bytes is cut off"):
        Journal(segment)
    segment.close()


def test_deaths_and_statuses_stand_in_the_record(journal: Journal) -> None:
    reader = JournalReader(journal)
    writer = JournalReader(journal).writer()
    write_all(writer, [1, 2])
    record = reader.read()
    assert record is not None
    reader.unread(record)
    assert not reader.has_answered()
    assert reader.deaths(record[0]) == 0
    writer.set_deaths(record[0], 2)
    assert reader.deaths(record[0]) == 2
    digest = layout.STATUS_ANSWERED | 0xFFFFFFFF << layout.DIGEST_SHIFT
    writer.set_status(record[0], digest)
    assert reader.status(record[0]) == digest
    assert reader.has_answered()
    assert reader.read() == record
    # The next one was not answered, but it is new.
    assert reader.has_answered()


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_where_a_command_came_from_is_one_word(seat: int, channel: int) -> None:
    word = source(seat, channel)
    assert 0 <= word < 1 << 64
    assert (caller_seat_of(word), channel_of(word)) == (seat, channel)


@settings(deadline=None)
@given(
    begin=st.integers(0, 3 * _LANE_BYTES // 8).map(lambda n: n * 8),
    length=st.integers(0, _LANE_BYTES // 8).map(lambda n: n * 8),
)
def test_what_is_given_back_is_whole_pages_within(begin: int, length: int) -> None:
    journal = Journal.create("test-journal", lane_bytes=_LANE_BYTES)
    first = layout.JOURNAL_HEADER_BYTES
    ring = journal.segment.view[first : first + _LANE_BYTES]
    ring[:] = b"\xff" * _LANE_BYTES
    header = bytes(journal.segment.view[: layout.JOURNAL_HEADER_BYTES])
    journal.give_back(begin, begin + length)
    page = mmap.PAGESIZE
    start, wrapped = begin % _LANE_BYTES, max(0, begin % _LANE_BYTES + length - _LANE_BYTES)
    for at in range(0, _LANE_BYTES, page):
        end = at + page
        is_given_back = (start <= at and end <= start + length) or end <= wrapped
        content = bytes(page) if is_given_back else b"\xff" * page
        assert bytes(ring[at:end]) == content
    assert bytes(journal.segment.view[: layout.JOURNAL_HEADER_BYTES]) == header
    assert bytes(journal.segment.view[journal.arena.start :][:page]) == bytes(page)
    journal.close()


def test_a_large_journal_gives_its_memory_back() -> None:
    journal = Journal.create("test-journal", lane_bytes=1 << 24)
    reader = JournalReader(journal)
    writer = JournalReader(journal).writer()
    order = 0
    for _ in range(20):
        for _ in range(4 * _EPOCH):
            order += 1
            write_all(writer, [order], order.to_bytes(8, "little") * 1000)
        assert read_all(reader)[-1] == (order, order.to_bytes(8, "little") * 1000)
        writer.forget(order)
        # 2 MiB are written in a round; pieces of 4 MiB are given back.
        assert os.fstat(journal.segment.fd).st_blocks * 512 < 8 << 20
    assert writer.tail > 2 << 24
    journal.close()


def test_a_write_that_was_refused_can_be_made_later(journal: Journal) -> None:
    writer = JournalReader(journal).writer()
    write_all(writer, range(1, 128), bytes(400))
    large = bytes(layout.INLINE_BYTES // 2)
    assert writer.write(layout.CALL, 0, 0, 0, 0, 128, large) == -1
    writer.forget(127)
    position = writer.write(layout.CALL, 0, 0, 0, 0, 128, large)
    assert position > 0
    writer.forget(128)
    assert journal.retired == position


def test_what_is_left_survives_the_giving_back() -> None:
    """A little is forgotten, then the ring runs full, then nearly all is forgotten."""
    journal = Journal.create("test-journal", lane_bytes=1 << 23)
    writer = JournalReader(journal).writer()
    orders = range(1, 450)
    write_all(writer, orders, bytes(8000))
    writer.forget(orders[-1])
    order = orders[-1]
    while writer.has_room():
        order += 1
        write_all(writer, [order], order.to_bytes(8, "little") * 1000)
    writer.forget(order)
    rest = read_all(JournalReader(journal))
    first = rest[0][0]
    assert first <= order
    assert rest == [(n, n.to_bytes(8, "little") * 1000) for n in range(first, order + 1)]
    journal.close()
