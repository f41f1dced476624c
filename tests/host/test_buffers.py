"""Buffers: the same memory on both sides, for as long as anybody has it and no longer."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import numpy
import pytest

from noodle_host import (
    ArgumentError,
    Buffer,
    CallTimeout,
    Host,
    HostClosedError,
    InvalidBuffer,
    RemoteError,
    WorkerDied,
)

MIB = 1 << 20
_LONG_S = 20.0


@pytest.fixture
def depot(host: Host) -> Host:
    """A host in which the depot runs."""
    host.start("depot")
    return host


def filled(host: Host, size: int, value: int = 1) -> Buffer:
    made = host.buffer(size)
    memoryview(made)[:] = bytes([value]) * size
    return made


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _LONG_S
    while not is_so():
        assert time.monotonic() < deadline, what


def wait_for_count(host: Host, count: int) -> None:
    gc.collect()
    wait_until(lambda: host.buffers().count == count, f"{host.buffers()}, not {count}")


def memory_of(*pids: int) -> set[str]:
    """The buffers, by inode, that any of the processes has mapped or a descriptor of."""
    found = set()
    for pid in pids:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if "memfd:noodle-buffer" in line:
                found.add(line.split()[4])
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if "memfd:noodle-buffer" in str(fd.readlink()):
                    found.add(str(fd.stat().st_ino))
    return found


@contextlib.contextmanager
def held_call(path: Path, held: Callable[[], Any]) -> Iterator[Any]:
    """Within it a call that reads a FIFO is under way; after it that call may end."""
    call = held()
    with path.open("w") as fifo:
        yield call
        fifo.write("go on\n")


# -- one memory -----------------------------------------------------------------------


def test_a_component_reads_what_the_caller_wrote(depot: Host) -> None:
    made = depot.buffer(1000)
    assert len(made) == 1000
    assert bytes(made) == bytes(1000)
    numpy.frombuffer(made, dtype=numpy.uint8)[:] = 3
    assert depot.call("depot", "total", made) == 3000
    assert depot.call("depot", "total", data=made) == 3000
    assert depot.call("depot", "total_of", made) == 3000
    assert depot.call("depot", "total_of_all", made, made, more=made) == 9000


def test_it_is_the_same_memory_on_both_sides(depot: Host) -> None:
    made = filled(depot, 1000, 1)
    depot.call("depot", "keep", made)
    made[0:10] = bytes([11]) * 10
    assert depot.call("depot", "kept_total") == 1100


def test_what_comes_back_is_the_object_that_went(depot: Host) -> None:
    one, two = filled(depot, 10, 1), filled(depot, 20, 2)
    back = depot.call("depot", "mirror", {"a": [one, two], "b": {"c": one}, "d": b"x" * 100_000})
    assert back["a"][0] is one
    assert back["a"][1] is two
    assert back["b"]["c"] is one
    assert back["d"] == b"x" * 100_000


def test_a_component_returns_its_own(depot: Host) -> None:
    made = depot.call("depot", "make", 5000, 7)
    array = numpy.frombuffer(made, dtype=numpy.uint8)
    assert array.sum() == 35_000
    assert not array.flags.writeable
    with pytest.raises(TypeError, match="readonly"):
        made[0] = 1


def test_an_array_keeps_the_memory(depot: Host) -> None:
    array = numpy.ndarray((50, 100), numpy.uint8, buffer=depot.call("depot", "make", 5000, 7))
    wait_for_count(depot, 1)
    depot.stop("depot")
    assert array.sum() == 35_000
    del array
    wait_for_count(depot, 0)


def test_a_received_one_cannot_be_written(depot: Host) -> None:
    made = filled(depot, 10)
    with pytest.raises(RemoteError, match="readonly"):
        depot.call("depot", "write", made, 0, 9)
    assert bytes(made) == b"\1" * 10


def test_items_of_a_stream(depot: Host) -> None:
    # Many more than a task may be ahead.
    parts = [bytes(part) for part in depot.stream("depot", "stream", 200, 64)]
    assert parts == [bytes([i]) * 64 for i in range(200)]
    wait_for_count(depot, 0)


def test_many_in_one_result(depot: Host) -> None:
    parts = depot.call("depot", "make_many", 60, 100)
    assert [part[99] for part in parts] == list(range(60))
    assert depot.buffers().count == 60
    assert depot.buffers().size_bytes == 6000
    del parts
    wait_for_count(depot, 0)


async def _acall(host: Host, *arguments: Any) -> Any:
    return await host.acall(*arguments)


def test_from_an_event_loop(depot: Host) -> None:
    import asyncio

    made = filled(depot, 100)
    assert asyncio.run(_acall(depot, "depot", "total", made)) == 100
    assert asyncio.run(_acall(depot, "depot", "mirror", [made]))[0] is made


def test_the_same_one_again_is_not_mapped_again(depot: Host) -> None:
    made = filled(depot, 100)
    depot.call("depot", "is_what_came_before", made)
    assert all(depot.call("depot", "is_what_came_before", made) for _ in range(10))


def test_extensions_of_others_stay_what_they_are(depot: Host) -> None:
    made = filled(depot, 10)
    own = [msgspec.msgpack.Ext(0x42, bytes(8)), msgspec.msgpack.Ext(5, b"x")]
    assert depot.call("depot", "mirror", own) == own
    assert depot.call("depot", "mirror", [made, *own]) == [made, *own]


# -- giving away ----------------------------------------------------------------------


def test_a_gift_is_the_receivers_to_write(depot: Host) -> None:
    made = filled(depot, 10, 1)
    back = depot.call("depot", "write_and_return", made.give(), 9)
    assert bytes(back) == b"\x09" + b"\1" * 9
    # And it was given back.
    back[1] = 8
    assert depot.call("depot", "total", back) == 9 + 8 + 8
    del back, made
    wait_for_count(depot, 0)


def test_what_was_given_refuses_use(depot: Host) -> None:
    made = filled(depot, 10)
    gift = made.give()
    with pytest.raises(ValueError, match="closed"):
        made[0] = 1
    with pytest.raises(ValueError, match="closed"):
        memoryview(made)
    with pytest.raises(InvalidBuffer, match="given away already"):
        made.give()
    assert depot.call("depot", "keep", gift) == 1
    with pytest.raises(InvalidBuffer, match="given away"):
        depot.call("depot", "keep", gift)
    assert depot.call("depot", "kept_total") == 10


def test_nothing_may_lie_on_a_gift(depot: Host) -> None:
    made = filled(depot, 10)
    array = numpy.frombuffer(made, dtype=numpy.uint8)
    with pytest.raises(InvalidBuffer, match="arrays or memoryviews"):
        made.give()
    array[0] = 2
    del array
    assert depot.call("depot", "total", made.give()) == 11


def test_only_who_may_write_gives(depot: Host) -> None:
    made = depot.call("depot", "make", 10, 1)
    with pytest.raises(InvalidBuffer, match="was received"):
        made.give()
    given = depot.call("depot", "make_gift", 10, 1)
    given[0] = 5
    assert depot.call("depot", "total", given.give()) == 14


def test_a_gift_that_nobody_takes_is_freed(depot: Host) -> None:
    with pytest.raises(AttributeError):
        depot.call("depot", "no_such_method", filled(depot, 10).give())
    with pytest.raises(ArgumentError):
        depot.call("depot", "total", filled(depot, 10).give(), 2, 3)
    filled(depot, 10).give()
    wait_for_count(depot, 0)


def test_what_a_component_cannot_return_does_not_harm_it(depot: Host) -> None:
    with pytest.raises(InvalidBuffer, match="closed"):
        depot.call("depot", "return_closed")
    assert len(depot.call("depot", "return_twice")) == 10
    with pytest.raises(InvalidBuffer, match="given away"):
        depot.call("depot", "return_twice")
    assert depot.call("depot", "total", filled(depot, 10)) == 10
    depot.call("depot", "drop_kept")
    wait_for_count(depot, 0)


def test_a_gift_that_is_sent_is_not_held(depot: Host) -> None:
    made = filled(depot, 10)
    depot.call("depot", "total", made.give())
    wait_for_count(depot, 0)
    assert made.closed


def test_a_gift_comes_back_as_another_object(depot: Host) -> None:
    made = filled(depot, 10)
    depot.call("depot", "keep", made.give())
    back = depot.call("depot", "return_kept")
    assert back is not made
    assert bytes(back) == b"\1" * 10
    assert depot.buffers().count == 1


# -- no longer than anybody has it ------------------------------------------------------


def test_dropping_frees_and_closing_too(depot: Host, pid_of: Any) -> None:
    pids = os.getpid(), pid_of(depot, "depot")
    one, two = filled(depot, MIB), filled(depot, 2 * MIB)
    depot.call("depot", "mirror", [one, two])
    assert depot.buffers().count == 2
    assert depot.buffers().size_bytes == 3 * MIB
    assert len(memory_of(*pids)) == 2
    del one
    wait_for_count(depot, 1)
    assert len(memory_of(*pids)) == 1
    two.close()
    wait_for_count(depot, 0)
    # The kernel frees what nobody has mapped, nor a descriptor of.
    assert memory_of(*pids) == set()
    with pytest.raises(InvalidBuffer, match="closed"):
        depot.call("depot", "total", two)
    with filled(depot, 10) as third:
        assert depot.call("depot", "total", third) == 10
    assert third.closed
    wait_for_count(depot, 0)


def test_the_receiver_keeps_what_the_sender_drops(depot: Host) -> None:
    depot.call("depot", "keep", filled(depot, 1000))
    wait_for_count(depot, 1)
    assert depot.call("depot", "kept_total") == 1000
    back = depot.call("depot", "return_kept")
    depot.call("depot", "drop_kept")
    assert sum(bytes(back)) == 1000
    del back
    wait_for_count(depot, 0)


def test_a_component_that_makes_and_drops_many_holds_few(depot: Host) -> None:
    call = depot.submit("depot", "make_and_drop", 300, MIB)
    most = 0
    while not call.done():
        most = max(most, depot.buffers().count)
    assert 0 < most < 20
    wait_for_count(depot, 0)


def test_nothing_is_left_of_thousands(
    depot: Host, leaves_nothing: Callable[[], contextlib.AbstractContextManager[None]]
) -> None:
    def use() -> int:
        for i in range(300):
            made = filled(depot, 100, i % 256)
            assert sum(bytes(depot.call("depot", "mirror", made))) == 100 * (i % 256)
            depot.call("depot", "make", 100, 1)
        del made
        wait_for_count(depot, 0)
        return int(depot.call("depot", "descriptors"))

    before = use()
    with leaves_nothing():
        assert use() <= before


def test_from_many_threads(depot: Host) -> None:
    shared = filled(depot, 100, 1)
    wrong: list[object] = []

    def use(number: int) -> None:
        for _ in range(30):
            own = filled(depot, 100, number)
            totals = depot.call("depot", "total_of_all", own, shared)
            if totals != 100 * number + 100 or sum(depot.call("depot", "make", 9, number)) != (
                9 * number
            ):
                wrong.append(totals)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    wait_for_count(depot, 1)


def test_a_reply_that_nobody_fetches(depot: Host) -> None:
    call = depot.submit("depot", "make", 1000, 1)
    other = depot.submit("depot", "make", 1000, 1)
    assert depot.call("depot", "kept_total") == 0
    assert depot.buffers().count == 2
    del call
    other.cancel()
    del other
    wait_for_count(depot, 0)


def test_a_stream_that_is_dropped(depot: Host) -> None:
    stream = depot.stream("depot", "stream", 1000, 100)
    assert bytes(next(stream)) == bytes(100)
    stream.close()
    assert depot.call("depot", "kept_total") == 0
    wait_for_count(depot, 0)


# -- on its way --------------------------------------------------------------------------


def test_the_sender_may_drop_it_at_once(depot: Host, fifo: Callable[[str], Path]) -> None:
    path = fifo("hold")
    with held_call(path, lambda: depot.submit("depot", "make_when_told", str(path), 1)):
        calls = [depot.submit("depot", "total", filled(depot, 1000, i)) for i in range(20)]
        gift = depot.submit("depot", "write_and_return", filled(depot, 1000, 1).give(), 5)
        wait_for_count(depot, 21)
    assert [call.result() for call in calls] == [1000 * i for i in range(20)]
    assert sum(bytes(gift.result())) == 1004
    del gift
    wait_for_count(depot, 0)


def test_a_call_that_times_out_before_it_begins(depot: Host, fifo: Callable[[str], Path]) -> None:
    path = fifo("hold")
    with held_call(path, lambda: depot.submit("depot", "make_when_told", str(path), 1)):
        with pytest.raises(CallTimeout):
            depot.call("depot", "total", filled(depot, 1000), timeout=0.05)
        with pytest.raises(CallTimeout):
            depot.call("depot", "total", filled(depot, 1000).give(), timeout=0.05)
        # The record still stands in the lane.
        assert depot.buffers().count == 2
    wait_for_count(depot, 0)


def test_a_call_that_times_out_while_it_runs(depot: Host, fifo: Callable[[str], Path]) -> None:
    path = fifo("hold")
    with pytest.raises(CallTimeout):
        depot.call("depot", "total_when_told", str(path), filled(depot, 1000), timeout=0.2)
    path.write_text("go on\n")
    wait_for_count(depot, 0)
    # And one whose result comes too late.
    with pytest.raises(CallTimeout):
        depot.call("depot", "make_when_told", str(path), 1000, timeout=0.2)
    path.write_text("go on\n")
    wait_for_count(depot, 0)


def test_forwarded_by_a_component(depot: Host) -> None:
    depot.start("courier")
    made = filled(depot, 1000)
    assert depot.call("courier", "forward", "total", made) == 1000
    assert depot.call("courier", "forward", "mirror", made) is made
    depot.call("courier", "forward", "keep", made)
    del made
    # Neither who made it nor who carried it has it any more.
    depot.call("courier", "pid")
    depot.stop("courier")
    assert depot.buffers().count == 1
    assert depot.call("depot", "kept_total") == 1000
    depot.call("depot", "drop_kept")
    wait_for_count(depot, 0)


# -- death -------------------------------------------------------------------------------


def test_a_worker_that_dies_gives_back_what_it_had(depot: Host, pid_of: Any, log: Any) -> None:
    depot.call("depot", "hoard", 8, MIB)
    depot.call("depot", "keep", filled(depot, 1000))
    kept = filled(depot, 1000)
    depot.call("depot", "keep", kept)
    wait_for_count(depot, 10)
    assert len(memory_of(os.getpid())) == 10
    os.kill(pid_of(depot, "depot"), signal.SIGKILL)
    wait_for_count(depot, 1)
    assert len(memory_of(os.getpid())) == 1
    # What the host has is as it was, also for the next worker.
    assert depot.call("depot", "total", kept, timeout=_LONG_S) == 1000


def test_the_last_replies_of_a_dead_worker_arrive(
    depot: Host, pid_of: Any, log: Any, fifo: Callable[[str], Path]
) -> None:
    pid, path = pid_of(depot, "depot"), fifo("done")
    replies = [depot.submit("depot", "make", 1000, i) for i in range(5)]
    gift = depot.submit("depot", "make_gift", 1000, 1)
    depot.submit("depot", "announce", str(path))
    assert path.read_text()
    # Nobody in this process has looked at the replies yet.
    os.kill(pid, signal.SIGKILL)
    log.wait_for("died")
    assert depot.buffers().count == 6
    assert [sum(bytes(reply.result())) for reply in replies] == [1000 * i for i in range(5)]
    given = gift.result()
    given[0] = 3
    assert sum(bytes(given)) == 1002
    del replies, gift, given
    wait_for_count(depot, 0)


def test_unread_replies_of_a_dead_worker_are_freed_with_the_component(
    depot: Host, pid_of: Any, log: Any, fifo: Callable[[str], Path]
) -> None:
    pid, path = pid_of(depot, "depot"), fifo("done")
    depot.submit("depot", "make", 1000, 1)
    depot.submit("depot", "announce", str(path))
    assert path.read_text()
    os.kill(pid, signal.SIGKILL)
    log.wait_for("died")
    depot.stop("depot")
    wait_for_count(depot, 0)


def test_what_was_sent_to_a_dead_worker_is_the_next_ones(
    depot: Host, pid_of: Any, fifo: Callable[[str], Path]
) -> None:
    path = fifo("hold")
    running = depot.submit("depot", "total_when_told", str(path), filled(depot, 10))
    with path.open("w"):
        waiting = [depot.submit("depot", "total", filled(depot, 10)) for _ in range(5)]
        waiting.append(depot.submit("depot", "total", filled(depot, 10).give()))
        os.kill(pid_of(depot, "depot"), signal.SIGKILL)
        with pytest.raises(WorkerDied):
            running.result(_LONG_S)
    assert [call.result(_LONG_S) for call in waiting] == [10] * 6
    del running, waiting
    wait_for_count(depot, 0)


def test_a_successor_reads_what_was_sent_to_its_predecessor(
    depot: Host, pid_of: Any, fifo: Callable[[str], Path]
) -> None:
    path = fifo("hold")
    for _ in range(3):
        running = depot.submit("depot", "make_when_told", str(path), 1)
        with path.open("w"):
            os.kill(pid_of(depot, "depot"), signal.SIGKILL)
            with pytest.raises(WorkerDied):
                running.result()
        # Its calls are answered; whoever comes next takes these.
        calls = [depot.submit("depot", "total", filled(depot, 100)) for _ in range(3)]
        gift = depot.submit("depot", "write_and_return", filled(depot, 100).give(), 2)
        assert [call.result(_LONG_S) for call in calls] == [100] * 3
        assert sum(bytes(gift.result(_LONG_S))) == 101
    del gift
    wait_for_count(depot, 0)


def test_a_caller_that_dies_while_one_is_on_its_way(
    depot: Host, pid_of: Any, fifo: Callable[[str], Path], log: Any
) -> None:
    depot.start("courier")
    path = fifo("hold")
    call = depot.submit("courier", "deliver_when_told", str(path), 1000)
    with path.open("w") as hold:
        assert depot.buffers().count == 1
        os.kill(pid_of(depot, "courier"), signal.SIGKILL)
        with pytest.raises(WorkerDied):
            call.result()
        hold.write("go on\n")
    wait_for_count(depot, 0)
    assert depot.call("courier", "forward", "total", filled(depot, 10), timeout=_LONG_S) == 10


def test_a_callee_that_dies_with_the_buffer_of_a_component(
    depot: Host, pid_of: Any, fifo: Callable[[str], Path]
) -> None:
    depot.start("courier")
    path = fifo("hold")
    call = depot.submit("courier", "deliver_when_told", str(path), 1000)
    with path.open("w"):
        os.kill(pid_of(depot, "depot"), signal.SIGKILL)
        with pytest.raises(WorkerDied):
            call.result()
    wait_for_count(depot, 0)


def test_a_task_does_not_go_on_without_its_buffer(depot: Host, pid_of: Any) -> None:
    stream = depot.stream("depot", "bytes_of", filled(depot, 1000, 3))
    assert next(stream) == 3
    os.kill(pid_of(depot, "depot"), signal.SIGKILL)
    with pytest.raises(InvalidBuffer, match="buffers, and cannot go on"):
        list(stream)
    wait_for_count(depot, 0)


# -- a state that is followed ----------------------------------------------------------------


def test_a_command_that_others_repeat_has_no_buffers(host: Host) -> None:
    host.start("archive")
    host.add_follower("archive")
    with pytest.raises(ArgumentError, match="neither take nor return buffers"):
        host.call("archive", "file", filled(host, 10))
    with pytest.raises(ArgumentError, match="neither take nor return buffers"):
        host.call("archive", "file", data=filled(host, 10).give())
    with pytest.raises(ArgumentError, match="neither take nor return buffers"):
        host.call("archive", "draw", 10)
    with pytest.raises(ArgumentError, match="neither take nor return buffers"):
        list(host.stream("archive", "file_each", filled(host, 10)))
    # Queries are not repeated.
    assert host.call("archive", "total", filled(host, 20)) == 20
    assert list(host.stream("archive", "bytes_of", filled(host, 3))) == [1, 1, 1]
    wait_for_count(host, 0)


# -- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1, "10", 1.5, None, True, b"x"])
def test_no_size(depot: Host, size: Any) -> None:
    with pytest.raises(InvalidBuffer, match="1 or more"):
        depot.buffer(size)


def test_more_than_the_machine_has(depot: Host) -> None:
    for size in (1 << 50, 1 << 63, 1 << 70):
        with pytest.raises(InvalidBuffer, match="larger than the memory"):
            depot.buffer(size)
    with pytest.raises(InvalidBuffer, match="larger than the memory"):
        depot.call("depot", "make", 1 << 50, 1)
    with pytest.raises(InvalidBuffer, match="1 or more"):
        depot.call("depot", "make", 0, 1)
    assert depot.buffers().count == 0
    # Whatever counts as a whole number.
    assert len(depot.buffer(numpy.int64(3))) == 3


def test_one_of_another_host(depot: Host, new_host: Callable[..., Host]) -> None:
    other = new_host()
    with pytest.raises(InvalidBuffer, match="another host"):
        depot.call("depot", "total", filled(other, 10))
    with pytest.raises(InvalidBuffer, match="another host"):
        depot.stream("depot", "stream", filled(other, 10), 1)
    with pytest.raises(InvalidBuffer, match="another host"):
        depot.notify("depot", "keep", filled(other, 10))
    wait_for_count(depot, 0)
    wait_for_count(other, 0)


@pytest.mark.parametrize("save", [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy])
def test_no_part_of_a_pickle(depot: Host, save: Callable[[object], object]) -> None:
    with pytest.raises(InvalidBuffer, match="pickle"):
        save(depot.buffer(10))


def test_its_size_stays(depot: Host) -> None:
    made = filled(depot, 10)
    with pytest.raises(InvalidBuffer, match="keeps its size"):
        made.resize(20)
    view = memoryview(made)
    with pytest.raises(BufferError):
        made.close()
    assert sum(view) == 10


def test_where_something_else_is_expected(depot: Host) -> None:
    made = filled(depot, 10)
    with pytest.raises(ArgumentError, match="expected bytes"):
        depot.call("depot", "takes_bytes", made)
    with pytest.raises(ArgumentError, match="expected Buffer"):
        depot.call("depot", "total", b"bytes")
    with pytest.raises(ArgumentError, match="expected Buffer"):
        depot.call("depot", "total", data=3)
    with pytest.raises(TypeError, match="argument 2"):
        depot.call("depot", "total_of_all", made, object())
    del made
    wait_for_count(depot, 0)


def test_in_a_thread_of_a_component(depot: Host) -> None:
    assert "makes a buffer from a thread" in depot.call("depot", "make_in_thread")


def test_after_the_host(depot: Host) -> None:
    made = filled(depot, 10)
    received = depot.call("depot", "make", 10, 2)
    depot.close()
    assert sum(bytes(made)) == 10
    assert sum(bytes(received)) == 20
    made.close()
    with pytest.raises(HostClosedError):
        depot.buffer(10)
    with pytest.raises(HostClosedError):
        depot.buffers()


_NO_MEANS = """
import resource, sys
from noodle_host import Host, InvalidBuffer
with Host(sys.argv[1]) as host:
    host.start("depot")
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    made = []
    try:
        while True:
            made.append(host.buffer(10))
    except InvalidBuffer as error:
        print(error)
    made.clear()
    while host.buffers().count:
        pass
    print(sum(bytes(host.call("depot", "make", 10, 1))))
"""


def test_no_descriptor_left(run_script: Any, plugins: Path) -> None:
    process = run_script(_NO_MEANS, plugins)
    stdout, stderr = process.communicate(timeout=60)
    said, total = stdout.splitlines()
    assert "buffer" in said
    assert "drop" in said
    assert total == "10"
    assert "Traceback" not in stderr


_INTERRUPTED = """
import gc, os, random, signal, sys
from noodle_host import Host

class Interrupt(Exception):
    pass

def interrupt(*_):
    raise Interrupt

def use(host):
    made = host.buffer(100)
    made[0] = 1
    assert host.call("depot", "total", made) == 1
    assert host.call("depot", "make", 100, 1)[99] == 1
    assert host.call("depot", "write_and_return", made.give(), 2)[0] == 2

def settle(host):
    gc.collect()
    while host.buffers().count:
        pass

with Host(sys.argv[1]) as host:
    host.start("depot")
    use(host)
    settle(host)
    before = len(os.listdir("/proc/self/fd"))
    signal.signal(signal.SIGALRM, interrupt)
    random.seed(7)
    count = 0
    while count < 500:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3))
            use(host)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupt:
            count += 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    use(host)
    settle(host)
    print(len(os.listdir("/proc/self/fd")) - before)
"""


def test_an_interrupt_at_any_moment_leaves_nothing(run_script: Any, plugins: Path) -> None:
    process = run_script(_INTERRUPTED, plugins)
    stdout, _ = process.communicate(timeout=60)
    assert stdout.strip() == "0"


_FORKED = """
import os, sys
from noodle_host import Host, HostError
with Host(sys.argv[1]) as host:
    host.start("depot")
    made = host.buffer(10)
    made[0] = 1
    child = os.fork()
    if not child:
        try:
            host.buffer(10)
        except HostError as error:
            print(error, flush=True)
        print(made[0], flush=True)
        del made
        os._exit(0)
    os.waitpid(child, 0)
    print(host.call("depot", "total", made), host.buffers().count)
"""


def test_a_forked_child_gives_up_nothing(run_script: Any, plugins: Path) -> None:
    process = run_script(_FORKED, plugins)
    stdout, stderr = process.communicate(timeout=60)
    refused, seen, parent = stdout.splitlines()
    assert "forked child" in refused
    assert seen == "1"
    assert parent == "1 1"
    assert "Traceback" not in stderr
