"""The lane, whichever implementation writes and whichever reads."""

from __future__ import annotations

import contextlib
import os
import struct
from collections import deque
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from noodle_host.router import layout
from noodle_host.router.lane import CorruptLaneError
from noodle_host.router.segment import Segment

RING_BYTES = 1024
U64 = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))
STAMPED = (layout.WORD_ORDER, layout.WORD_STATUS, layout.WORD_MARK)


class CountingBell:
    """A bell that counts how often it is rung."""

    def __init__(self) -> None:
        self.words = memoryview(bytearray(layout.BELL_BYTES)).cast("Q")
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rings = 0

    def ring(self) -> None:
        os.eventfd_write(self.fd, 1)

    @property
    def rings(self) -> int:
        with contextlib.suppress(BlockingIOError):
            self._rings += os.eventfd_read(self.fd)
        return self._rings


class Taker:
    """Takes replies until one of an odd kind."""

    def __init__(self, call_id: int, taken: list[tuple[int, int, int, bytes]]) -> None:
        self.call_id, self.taken = call_id, taken

    def on_record(self, position: int, kind: int, payload: bytes) -> bool:
        self.taken.append((self.call_id, position, kind, payload))
        return bool(kind % 2)


def padding(tail: int, need: int) -> int:
    at = tail % RING_BYTES
    return RING_BYTES - at if at + need > RING_BYTES else 0


class LaneMachine(RuleBasedStateMachine):
    """A lane beside a list of what must be in it."""

    def __init__(self, producer: Any, consumer: Any) -> None:
        super().__init__()
        self.segment = Segment.create("test", layout.CHANNEL_HEADER_BYTES + RING_BYTES)
        self.producer, self.consumer = producer, consumer
        self.reader_bell, self.writer_bell = CountingBell(), CountingBell()
        self.writer = producer.LaneWriter(self.memory(producer), self.reader_bell)
        self.reader = consumer.LaneReader(self.memory(consumer), None, self.writer_bell)
        # Records that are not retired: (position, fields without stamps, stamps).
        self.expected: deque[tuple[int, tuple[Any, ...], list[int]]] = deque()
        self.tail = self.retired = 0
        self.unread = 0

    def memory(self, implementation: Any) -> Any:
        ring = self.segment.view[layout.CHANNEL_HEADER_BYTES :]
        return implementation.LaneMemory(self.segment.words, ring, layout.CH_REPLIES)

    def fits(self, total: int) -> bool:
        return self.tail + total + 8 - self.retired <= RING_BYTES

    @rule(
        kind=st.integers(2, 255),
        flags=st.integers(0, 255),
        method=st.integers(0, 2**32 - 1),
        numbers=st.tuples(U64, U64, U64),
        payload=st.one_of(st.binary(max_size=40), st.binary(max_size=RING_BYTES)),
        asleep=st.booleans(),
    )
    def publish(
        self,
        kind: int,
        flags: int,
        method: int,
        numbers: tuple[int, int, int],
        payload: bytes,
        asleep: bool,
    ) -> None:
        call_id, key, deadline = numbers
        self.reader_bell.words[layout.BELL_SLEEPING] = asleep
        rings = self.reader_bell.rings
        position = self.writer.publish(kind, flags, call_id, method, key, deadline, payload)
        need = (layout.HEADER_BYTES + len(payload) + 7) & -8
        pad = padding(self.tail, need)
        if not self.fits(pad + need):
            assert position == -1
            assert self.reader_bell.rings == rings
            return
        assert position == self.tail + pad
        assert self.reader_bell.rings == rings + asleep
        fields = (kind, flags, call_id, method, key, deadline, payload)
        self.expected.append((position, fields, [0, 0, 0]))
        self.unread += 1
        self.tail = position + need

    @rule(payload_bytes=st.integers(0, RING_BYTES))
    def ask_for_room(self, payload_bytes: int) -> None:
        need = (layout.HEADER_BYTES + payload_bytes + 7) & -8
        has_room = self.writer.has_room(payload_bytes)
        assert has_room == self.fits(2 * need)
        if has_room:
            assert self.writer.publish(2, 0, 1, 1, 0, 0, bytes(payload_bytes)) >= 0
            pad = padding(self.tail, need)
            fields = (2, 0, 1, 1, 0, 0, bytes(payload_bytes))
            self.expected.append((self.tail + pad, fields, [0, 0, 0]))
            self.unread += 1
            self.tail += pad + need

    @rule()
    def read(self) -> None:
        assert self.reader.has_record() == (self.unread > 0)
        record = self.reader.read()
        if not self.unread:
            assert record is None
            return
        self.check(record, self.expected[-self.unread])
        self.unread -= 1

    def check(self, record: Any, expected: tuple[int, tuple[Any, ...], list[int]]) -> None:
        position, kind, flags, _core, call_id, method, key, deadline, *stamps, payload = record
        assert type(payload) is bytes
        fields = (kind, flags, call_id, method, key, deadline, payload)
        assert (position, fields, stamps) == expected

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), word=st.sampled_from(STAMPED), value=U64, by_writer=st.booleans())
    def stamp(self, data: st.DataObject, word: int, value: int, by_writer: bool) -> None:
        position, _, stamps = data.draw(st.sampled_from(list(self.expected)))
        end = self.writer if by_writer else self.reader
        end.memory.stamp(position, word, value)
        stamps[STAMPED.index(word)] = value
        assert self.reader.memory.peek(position, word) == value

    @rule(position=st.integers(0, 3 * RING_BYTES // 8), data=st.data())
    def take_back(self, position: int, data: st.DataObject) -> None:
        standing = {record[0]: record for record in self.expected}
        if standing and data.draw(st.booleans()):
            position = data.draw(st.sampled_from(sorted(standing)))
            assert self.writer.take_back(position)
            standing[position][2][STAMPED.index(layout.WORD_MARK)] = layout.MARK_CANCELLED
        elif self.retired:
            assert not self.writer.take_back(position * 8 % self.retired)
        assert not self.writer.take_back(self.tail)

    @rule(some=st.integers(0, 5))
    def dispatch(self, some: int) -> None:
        """All that is unread goes to its takers, and is retired."""
        taken: list[tuple[int, int, int, bytes]] = []
        slabs: list[Any] = []
        unread = list(self.expected)[len(self.expected) - self.unread :]
        takers = {fields[2]: Taker(fields[2], taken) for _, fields, _ in unread if fields[2] % 3}
        wanted = [
            (fields[2], position, fields[0], fields[6])
            for position, fields, _ in unread
            if fields[2] in takers and not fields[1] & layout.SLAB
        ]
        # A taker that is done takes no more.
        ended: set[int] = set()
        expected = []
        for call_id, position, kind, payload in wanted:
            if call_id not in ended:
                expected.append((call_id, position, kind, payload))
                if kind % 2:
                    ended.add(call_id)
        before = set(takers)
        first = min(some, len(unread))
        assert self.reader.dispatch(takers, slabs.append, some) == first
        assert self.reader.dispatch(takers, slabs.append, 1 << 40) == len(unread) - first
        assert taken == expected
        assert set(takers) == before - ended
        assert [r[0] for r in slabs] == [p for p, f, _ in unread if f[1] & layout.SLAB]
        for record, item in zip(
            slabs, [item for item in unread if item[1][1] & layout.SLAB], strict=True
        ):
            self.check(record, item)
        assert self.reader.position == self.tail
        if unread:
            self.expected.clear()
            self.unread = 0
            self.retired = self.tail

    @precondition(lambda self: len(self.expected) > self.unread)
    @rule(data=st.data(), waiting=st.booleans(), asleep=st.booleans())
    def retire(self, data: st.DataObject, waiting: bool, asleep: bool) -> None:
        count = data.draw(st.integers(1, len(self.expected) - self.unread))
        gone = [self.expected.popleft() for _ in range(count)]
        end = self.expected[0][0] if len(self.expected) > self.unread else self.reader.position
        self.writer.set_waiting(waiting)
        self.writer_bell.words[layout.BELL_SLEEPING] = asleep
        rings = self.writer_bell.rings
        self.reader.retire(end)
        assert self.writer_bell.rings == rings + (waiting and asleep)
        self.retired = end
        assert not self.writer.is_unretired(gone[-1][0])

    @rule(other=st.booleans())
    def succeed_reader(self, other: bool) -> None:
        """The next holder reads again what its predecessor did not retire."""
        consumer = self.producer if other else self.consumer
        self.reader = consumer.LaneReader(self.memory(consumer), None, self.writer_bell)
        self.unread = len(self.expected)

    @precondition(lambda self: self.unread)
    @rule()
    def take_over(self) -> None:
        """A reader goes on in the middle, where another one says that it stopped."""
        self.reader = self.consumer.LaneReader(
            self.memory(self.consumer), self.reader.position, self.writer_bell
        )

    @rule(other=st.booleans())
    def succeed_writer(self, other: bool) -> None:
        """The next writer finds the end by itself."""
        producer = self.consumer if other else self.producer
        self.writer = producer.LaneWriter(self.memory(producer), self.reader_bell)

    @rule()
    def follow(self) -> None:
        """A follower reads everything that is not retired, and moves nothing."""
        follower = self.consumer.LaneReader(self.memory(self.consumer))
        for expected in self.expected:
            self.check(follower.read(), expected)
        assert follower.read() is None
        assert follower.position == follower.skip_all() == self.tail

    @invariant()
    def positions_agree(self) -> None:
        assert self.writer.tail == self.tail
        assert self.writer.memory.retired == self.retired
        assert all(self.writer.is_unretired(position) for position, _, _ in self.expected)

    def teardown(self) -> None:
        self.segment.close()
        os.close(self.reader_bell.fd)
        os.close(self.writer_bell.fd)


def test_lane_holds_what_the_model_holds(pair: tuple[Any, Any]) -> None:
    producer, consumer = pair
    run_state_machine_as_test(
        lambda: LaneMachine(producer, consumer),
        settings=settings(
            max_examples=60 if "NOODLE_HOST_TEST_EXTENSION" not in os.environ else 15,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_lane_wraps_many_times(pair: tuple[Any, Any], memory_in: Any) -> None:
    producer, consumer = pair
    writer = producer.LaneWriter(memory_in(producer, RING_BYTES))
    reader = consumer.LaneReader(memory_in(consumer, RING_BYTES))
    for number in range(2000):
        payload = bytes([number & 0xFF]) * (number * 7 % 300)
        assert writer.publish(2, 0, number, 5, 0, 0, payload) >= 0
        record = reader.read()
        assert (record[4], record[11]) == (number, payload)
        reader.retire(reader.position)
    assert writer.tail > 100 * RING_BYTES


def test_largest_record_fills_the_ring_but_for_one_word(
    pair: tuple[Any, Any], memory_in: Any
) -> None:
    producer, consumer = pair
    writer = producer.LaneWriter(memory_in(producer, RING_BYTES))
    reader = consumer.LaneReader(memory_in(consumer, RING_BYTES))
    largest = RING_BYTES - layout.HEADER_BYTES - 8
    assert writer.publish(2, 0, 1, 1, 0, 0, bytes(largest + 1)) == -1
    assert writer.publish(2, 0, 1, 1, 0, 0, b"\xff" * largest) == 0
    assert writer.publish(2, 0, 1, 1, 0, 0, b"") == -1
    assert reader.read()[11] == b"\xff" * largest


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_payloads_of_any_bytes_type(lanes: Any, memory_in: Any, kind: Any) -> None:
    memory = memory_in(lanes, RING_BYTES)
    lanes.LaneWriter(memory).publish(2, 0, 1, 1, 0, 0, kind(b"payload"))
    assert lanes.LaneReader(memory).read()[11] == b"payload"


def test_retired_position_beyond_the_tail_is_no_room(lanes: Any, memory_in: Any) -> None:
    memory = memory_in(lanes, RING_BYTES)
    writer = lanes.LaneWriter(memory)
    # Fill it, so that the writer has to look at the retired position again.
    while writer.publish(2, 0, 1, 1, 0, 0, b"") >= 0:
        pass
    lanes.LaneReader(memory).retire(1 << 40)
    assert writer.publish(2, 0, 1, 1, 0, 0, b"") == -1


def head(length: int, kind: int = 2) -> int:
    return length | kind << 32


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({0: head(8)}, "does not fit"),
        ({0: head(68)}, "does not fit"),
        ({0: head(RING_BYTES + 8)}, "does not fit"),
        ({0: head(64), 2: 1 << 32}, "holds 1"),
        ({0: head(72), 2: 9 << 32}, "holds 9"),
        ({0: head(RING_BYTES, layout.PAD)}, "does not reach the end"),
    ],
)
def test_nonsense_at_the_start_is_reported(
    lanes: Any, memory_in: Any, words: dict[int, int], what: str
) -> None:
    memory = memory_in(lanes, RING_BYTES)
    # The words of a ring at its start are those of a record at 0.
    for index, value in words.items():
        memory.stamp(0, index, value)
    reader = lanes.LaneReader(memory)
    with pytest.raises(CorruptLaneError, match=what) as caught:
        reader.read()
    assert caught.value.position == 0
    assert reader.position == 0


def test_pads_must_lead_to_a_record(lanes: Any, memory_in: Any) -> None:
    memory = memory_in(lanes, RING_BYTES)
    at = RING_BYTES - layout.HEADER_BYTES
    reader = lanes.LaneReader(memory, at)
    memory.stamp(at, 0, head(layout.HEADER_BYTES - 8, layout.PAD))
    with pytest.raises(CorruptLaneError, match="does not reach the end"):
        reader.read()
    memory.stamp(at, 0, head(layout.HEADER_BYTES, layout.PAD))
    with pytest.raises(CorruptLaneError, match="leads to no record"):
        reader.read()


def _outcome(lanes: Any, segment: Segment, position: int) -> list[Any]:
    ring = segment.view[layout.CHANNEL_HEADER_BYTES :]
    reader = lanes.LaneReader(lanes.LaneMemory(segment.words, ring, 16), position)
    seen: list[Any] = []
    try:
        while (record := reader.read()) is not None and len(seen) < 100:
            seen.append(record)
    except CorruptLaneError as error:
        seen.append(str(error))
    return [*seen, reader.position]


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_read_the_same_from_a_scribbled_ring(
    python: Any, native: Any, data: st.DataObject
) -> None:
    segment = Segment.create("test", layout.CHANNEL_HEADER_BYTES + 256)
    try:
        # Lengths and kinds that are nearly right find more than random bytes.
        word = st.one_of(
            st.builds(head, st.sampled_from([0, 8, 64, 72, 128, 192, 256]), st.integers(0, 3)),
            st.builds(lambda n: n << 32, st.integers(0, 200)),
            U64,
        )
        words = data.draw(st.lists(word, min_size=32, max_size=32))
        segment.view[layout.CHANNEL_HEADER_BYTES :] = struct.pack("<32Q", *words)
        position = 8 * data.draw(st.integers(0, 64))
        assert _outcome(native, segment, position) == _outcome(python, segment, position)
    finally:
        segment.close()


def test_dispatch_stops_at_an_error_and_says_it(lanes: Any, memory_in: Any) -> None:
    class Broken:
        def on_record(self, position: int, kind: int, payload: bytes) -> bool:
            raise KeyError(payload)

    memory = memory_in(lanes, RING_BYTES)
    writer, reader = lanes.LaneWriter(memory), lanes.LaneReader(memory)
    for number in range(3):
        writer.publish(2, 0, number, 1, 0, 0, bytes([number]))
    takers = {1: Broken()}
    for _ in range(2):
        with pytest.raises(KeyError):
            reader.dispatch(takers, list, 10)
        # It is not lost.
        assert list(takers) == [1]
    assert reader.read()[11] == b"\x01"


def test_dispatch_does_not_go_back_behind_a_taker_that_read_on(lanes: Any, memory_in: Any) -> None:
    memory = memory_in(lanes, RING_BYTES)
    writer, reader = lanes.LaneWriter(memory), lanes.LaneReader(memory)
    for number in range(3):
        writer.publish(2, 0, number, 1, 0, 0, b"")

    class ReadsOn:
        def on_record(self, position: int, kind: int, payload: bytes) -> bool:
            assert reader.dispatch({}, list, 1) == 1
            raise KeyError(payload)

    with pytest.raises(KeyError):
        reader.dispatch({0: ReadsOn()}, list, 10)
    assert reader.read()[4] == 2


def test_record_outside_the_lane_is_given_again_after_an_error(lanes: Any, memory_in: Any) -> None:
    memory = memory_in(lanes, RING_BYTES)
    writer, reader = lanes.LaneWriter(memory), lanes.LaneReader(memory)
    writer.publish(2, layout.SLAB, 7, 1, 0, 0, b"where")
    seen = []

    def other(record: Any) -> None:
        seen.append(record[4])
        if len(seen) < 3:
            raise KeyError(record[4])

    for _ in range(2):
        with pytest.raises(KeyError):
            reader.dispatch({}, other, 10)
    assert reader.dispatch({}, other, 10) == 1
    assert seen == [7, 7, 7]


def test_dispatch_lets_a_taker_remove_itself(lanes: Any, memory_in: Any) -> None:
    takers: dict[int, Any] = {}

    class Leaving:
        def on_record(self, position: int, kind: int, payload: bytes) -> bool:
            takers.clear()
            return True

    memory = memory_in(lanes, RING_BYTES)
    lanes.LaneWriter(memory).publish(2, 0, 1, 1, 0, 0, b"")
    takers[1] = Leaving()
    assert lanes.LaneReader(memory).dispatch(takers, list, 10) == 1
    assert takers == {}


def test_ring_that_is_full_of_records_has_no_end(lanes: Any, memory_in: Any) -> None:
    memory = memory_in(lanes, RING_BYTES)
    for at in range(0, RING_BYTES, layout.HEADER_BYTES):
        memory.stamp(at, 0, head(layout.HEADER_BYTES))
    with pytest.raises(CorruptLaneError, match="full of records"):
        lanes.LaneReader(memory).skip_all()
    with pytest.raises(CorruptLaneError, match="full of records"):
        lanes.LaneWriter(memory)


def test_numbers_that_do_not_fit_are_refused_and_leave_the_lane_as_it_was(
    lanes: Any, memory_in: Any
) -> None:
    memory = memory_in(lanes, RING_BYTES)
    writer = lanes.LaneWriter(memory)
    for position in (2, 4, 5):
        numbers: list[Any] = [2, 0, 1, 1, 0, 0, b""]
        numbers[position] = 1 << 64
        with pytest.raises((OverflowError, struct.error)):
            writer.publish(*numbers)
    assert writer.tail == 0
    assert not lanes.LaneReader(memory).has_record()


def test_native_lanes_refuse_memory_that_does_not_fit(native: Any, memory_in: Any) -> None:
    words = memoryview(bytearray(4096)).cast("Q")
    ring = memoryview(bytearray(2048))
    aligned = native.LaneMemory(words, ring[:1024], 16)
    assert aligned.size_bytes == 1024
    for bad_words, bad_ring, base in [
        (words, ring[4:1028], 16),
        (words, ring[:1000], 16),
        (words, ring[:64], 16),
        (words, ring[:1024], 512 - 15),
        (words, ring[:1024], -1),
    ]:
        with pytest.raises(ValueError, match=r"not|no control words"):
            native.LaneMemory(bad_words, bad_ring, base)
    with pytest.raises((TypeError, BufferError)):
        native.LaneMemory(bytes(4096), ring[:1024], 16)


def test_native_ends_refuse_what_is_not_theirs(native: Any, python: Any, memory_in: Any) -> None:
    memory = memory_in(native, RING_BYTES)
    for end in (native.LaneReader, native.LaneWriter):
        with pytest.raises(TypeError, match="native LaneMemory"):
            end(memory_in(python, RING_BYTES))
        with pytest.raises(AttributeError):
            end(memory, peer=object())
    reader, writer = native.LaneReader(memory), native.LaneWriter(memory)
    for position in (3, -8, 1 << 64):
        with pytest.raises((ValueError, OverflowError)):
            reader.position = position
    with pytest.raises(AttributeError):
        del reader.position
    for position, word in [(0, 8), (0, -1), (RING_BYTES - 8, 1), (4, 0)]:
        with pytest.raises((IndexError, ValueError, OverflowError)):
            memory.stamp(position, word, 1)
        with pytest.raises((IndexError, ValueError, OverflowError)):
            memory.peek(position, word)
    for arguments in [(2, 0, 1, 1, 0, 0, "text"), (2, 0, 1), (256, 0, 1, 1, 0, 0, b"")]:
        with pytest.raises((TypeError, OverflowError)):
            writer.publish(*arguments)
    assert not reader.has_record()
