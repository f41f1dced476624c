"""The lane between processes: order under stress, and ends that are killed.

``NOODLE_HOST_TEST_FULL=1`` kills ten thousand times instead of a few hundred.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

from noodle_host.router import layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.channel import create_segment

FULL = os.environ.get("NOODLE_HOST_TEST_FULL") == "1"
#: Under sanitizers a fork takes a hundred times as long.
QUICK = "NOODLE_HOST_TEST_EXTENSION" in os.environ
KILLS = 10_000 if FULL else 10 if QUICK else 60
RECORDS = 400_000 if FULL else 4_000 if QUICK else 40_000
ROUNDS = 3_000 if FULL else 300
RING_BYTES = 4096
#: Far beyond what anything here takes; a hang fails instead of hanging.
PATIENCE_S = 30.0


def payload_of(number: int) -> bytes:
    """What record ``number`` carries: its size and its bytes follow from the number."""
    return number.to_bytes(8, "little") * (number * 2654435761 % 40)


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        _child(work)
    return pid


def _child(work: Callable[[], None]) -> NoReturn:
    try:
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


def write_for_ever(lanes: Any, memory: Any, first: int) -> None:
    writer = lanes.LaneWriter(memory)
    number = first
    while True:
        if writer.publish(2, 0, number, 7, 0, 0, payload_of(number)) >= 0:
            number += 1


class Checker:
    """Reads records that must be whole and numbered without a gap."""

    def __init__(self, lanes: Any, memory: Any) -> None:
        self.lanes, self.memory = lanes, memory
        self.next = 1
        self.reader = lanes.LaneReader(memory)
        #: Positions where retiring may end, the number of the record there.
        self.read: list[tuple[int, int]] = []

    def take(self) -> bool:
        record = self.reader.read()
        if record is None:
            return False
        assert record[4] == self.next
        assert record[11] == payload_of(self.next)
        assert record[5] == 7
        self.next += 1
        self.read.append((self.reader.position, self.next))
        return True

    def retire_some(self, rng: random.Random) -> None:
        """Retire up to somewhere: the next writer has to walk over the rest."""
        if self.read:
            index = rng.randrange(len(self.read))
            self.reader.retire(self.read[index][0])
            del self.read[: index + 1]


def test_killed_writer_leaves_a_lane_that_goes_on(pair: tuple[Any, Any], memory_in: Any) -> None:
    producer, consumer = pair
    rng = random.Random(1)
    memory = memory_in(producer, RING_BYTES)
    checker = Checker(consumer, memory_in(consumer, RING_BYTES))
    published = 0
    for _ in range(KILLS):
        pid = fork(lambda: write_for_ever(producer, memory, checker.next))
        try:
            # Some are killed while they wait for room, some while they write.
            limit = time.monotonic() + PATIENCE_S
            for _ in range(rng.randrange(1, 60)):
                while not checker.take():
                    # It may wait for what is read but not retired.
                    checker.retire_some(rng)
                    assert time.monotonic() < limit, "the writer writes nothing"
                if rng.random() < 0.7:
                    checker.retire_some(rng)
            until = time.perf_counter_ns() + rng.randrange(100_000)
            while time.perf_counter_ns() < until:
                if checker.take():
                    checker.retire_some(rng)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        while checker.take():
            pass
        published = checker.next - 1
        checker.retire_some(rng)
    assert published >= KILLS


def test_killed_reader_is_succeeded_from_what_it_retired(
    pair: tuple[Any, Any], memory_in: Any
) -> None:
    producer, consumer = pair
    rng = random.Random(2)
    writer = producer.LaneWriter(memory_in(producer, RING_BYTES))
    theirs, ours = memory_in(consumer, RING_BYTES), memory_in(consumer, RING_BYTES)
    next_number, next_retired = 1, 1

    def read_for_ever() -> None:
        reader = consumer.LaneReader(theirs)
        while True:
            record = reader.read()
            if record is not None:
                assert record[11] == payload_of(record[4])
                theirs.stamp(record[0], layout.WORD_STATUS, record[4])
                reader.retire(reader.position)

    for _ in range(KILLS):
        pid = fork(read_for_ever)
        try:
            limit = time.monotonic() + PATIENCE_S
            for _ in range(rng.randrange(1, 60)):
                while writer.publish(2, 0, next_number, 7, 0, 0, payload_of(next_number)) < 0:
                    assert time.monotonic() < limit, "the reader makes no room"
                next_number += 1
        finally:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        # The successor reads the rest, and only the first may bear its stamp.
        successor = consumer.LaneReader(ours)
        records = iter(successor.read, None)
        for index, record in enumerate(records):
            if index == 0:
                assert next_retired <= record[4]
                next_retired = record[4]
            assert record[4] == next_retired + index
            assert record[11] == payload_of(record[4])
            assert record[9] in ((0, record[4]) if index == 0 else (0,))
        next_retired = next_number
        successor.retire(successor.position)
    assert next_number > KILLS


def test_order_and_contents_survive_two_processes_at_full_speed(
    pair: tuple[Any, Any], memory_in: Any
) -> None:
    """The producer sleeps when the ring is full, the consumer when it is empty."""
    producer, consumer = pair
    reader_bell, writer_bell = Doorbell.create("reader"), Doorbell.create("writer")
    theirs = memory_in(producer, RING_BYTES)

    def produce() -> None:
        writer = producer.LaneWriter(theirs, reader_bell)
        sleeper = producer.Sleeper(writer_bell)
        for number in range(1, RECORDS + 1):
            body = payload_of(number)
            while writer.publish(2, 0, number, 7, number, 0, body) < 0:
                writer.set_waiting(True)
                sleeper.sleep(lambda body=body: writer.has_room(len(body)), PATIENCE_S)
                writer.set_waiting(False)

    rng = random.Random(3)
    reader = consumer.LaneReader(memory_in(consumer, RING_BYTES), None, writer_bell)
    sleeper = consumer.Sleeper(reader_bell)
    pid = fork(produce)
    try:
        expected = 1
        slept = 0
        while expected <= RECORDS:
            record = reader.read()
            if record is None:
                if rng.random() < 0.5 or not sleeper.spin([reader]):
                    began = time.monotonic()
                    sleeper.sleep(reader.has_record, PATIENCE_S)
                    slept += 1
                    assert time.monotonic() - began < PATIENCE_S, "nobody rang"
                continue
            assert (record[4], record[6]) == (expected, expected)
            assert record[11] == payload_of(expected)
            # In batches, so that the producer meets a full ring too.
            if expected % 8 == 0 or not reader.has_record():
                reader.retire(reader.position)
            expected += 1
        assert slept, "the consumer never found the lane empty"
    finally:
        if expected <= RECORDS:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        reader_bell.close()
        writer_bell.close()
    assert status == 0


def test_two_sleepers_wake_each_other(pair: tuple[Any, Any]) -> None:
    """Each blocks until the other publishes: a lost ring would be a time-out.

    Half of the time they look before they block, and may part when they are on one core.
    """
    here, there = pair
    segment = create_segment("test")
    bells = [Doorbell.create("here"), Doorbell.create("there")]
    first, size = layout.CHANNEL_HEADER_BYTES, layout.LANE_BYTES

    def end(lanes: Any, index: int) -> tuple[Any, Any, Any]:
        rings = [segment.view[first + i * size :][:size] for i in (0, 1)]
        memories = [
            lanes.LaneMemory(segment.words, ring, base)
            for ring, base in zip(rings, (layout.CH_REQUESTS, layout.CH_REPLIES), strict=True)
        ]
        peer = bells[1 - index]
        writer = lanes.LaneWriter(memories[index], peer)
        reader = lanes.LaneReader(memories[1 - index], None, peer)
        return writer, reader, lanes.Sleeper(bells[index])

    def take(reader: Any, sleeper: Any) -> int:
        while (record := reader.read()) is None:
            if reader.position % 128 and sleeper.spin([reader]):
                continue
            began = time.monotonic()
            sleeper.sleep(reader.has_record, PATIENCE_S)
            assert time.monotonic() - began < PATIENCE_S, "nobody rang"
        reader.retire(reader.position)
        number: int = record[4]
        return number

    def echo() -> None:
        writer, reader, sleeper = end(there, 1)
        for _ in range(ROUNDS):
            writer.publish(3, 0, take(reader, sleeper), 0, 0, 0, b"")
        assert os.sched_getaffinity(0) == allowed

    allowed = os.sched_getaffinity(0)
    pid = fork(echo)
    try:
        writer, reader, sleeper = end(here, 0)
        answers = []
        for number in range(ROUNDS):
            writer.publish(3, 0, number, 0, 0, 0, b"")
            answers.append(take(reader, sleeper))
        assert answers == list(range(ROUNDS))
        assert os.sched_getaffinity(0) == allowed
        _, status = os.waitpid(pid, 0)
        pid = 0
        assert status == 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for bell in bells:
            bell.close()
        segment.close()
