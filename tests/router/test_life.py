"""The life word: deaths are noticed, at once, whatever dies and however."""

from __future__ import annotations

import mmap
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import pytest

from noodle_host.router import layout, life
from noodle_host.router.segment import Segment

PATIENCE_S = 20.0


@pytest.fixture
def page() -> Iterator[Segment]:
    segment = Segment.create("test-bell", layout.BELL_BYTES)
    yield segment
    segment.close()


@pytest.fixture
def watch() -> Iterator[life.DeathWatch]:
    watch = life.DeathWatch()
    yield watch
    watch.close()


def living(page: Segment, then: Callable[[], object] = signal.pause) -> int:
    """Fork a process that holds the page's life word, then does ``then``."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The watch has a thread; the child touches nothing of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            life.hold(page)
            os.write(writing, b"x")
            then()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"x", "the child could not hold its life word"
    finally:
        os.close(reading)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_page_that_nobody_held_is_neither_alive_nor_dead(
    page: Segment, watch: life.DeathWatch
) -> None:
    assert not life.is_held(page)
    assert not life.is_dead(page)
    assert not watch.watch(page, lambda: None)


def test_kill_is_noticed_and_the_page_can_be_held_again(
    page: Segment, watch: life.DeathWatch
) -> None:
    deaths: queue.Queue[int] = queue.Queue()
    for generation in range(3):
        pid = living(page)
        assert life.is_held(page)
        assert not life.is_dead(page)
        assert watch.watch(page, lambda generation=generation: deaths.put(generation))
        kill(pid)
        assert deaths.get(timeout=PATIENCE_S) == generation
        assert not life.is_held(page)
        assert life.is_dead(page)
        assert not watch.watch(page, lambda: None)
    assert deaths.empty()


def replace_program() -> None:
    os.execv(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"])


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("then", [lambda: None, kill_self, replace_program])
def test_every_end_is_noticed(
    page: Segment, watch: life.DeathWatch, then: Callable[[], object]
) -> None:
    died = threading.Event()
    reading, writing = os.pipe()

    def wait_then() -> None:
        os.close(writing)
        os.read(reading, 1)
        then()

    pid = living(page, wait_then)
    try:
        assert watch.watch(page, died.set)
        assert not died.is_set()
        os.close(reading)
        os.close(writing)
        assert died.wait(PATIENCE_S)
    finally:
        kill(pid)


def test_death_of_a_fork_of_the_holder_is_not_its_death(
    page: Segment, watch: life.DeathWatch
) -> None:
    reading, writing = os.pipe()

    def fork_and_wait() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        os.write(writing, b"x")
        signal.pause()

    died = threading.Event()
    pid = living(page, fork_and_wait)
    try:
        assert watch.watch(page, died.set)
        assert os.read(reading, 1) == b"x"
        assert life.is_held(page)
        assert not died.is_set()
    finally:
        kill(pid)
        os.close(reading)
        os.close(writing)
    assert died.wait(PATIENCE_S)


def test_forgotten_page_is_not_called_back(page: Segment, watch: life.DeathWatch) -> None:
    other = Segment.create("test-bell", layout.BELL_BYTES)
    deaths: queue.Queue[str] = queue.Queue()
    first, second = living(page), living(other)
    assert watch.watch(page, lambda: deaths.put("first"))
    assert watch.watch(other, lambda: deaths.put("second"))
    watch.forget(page)
    kill(first)
    kill(second)
    assert deaths.get(timeout=PATIENCE_S) == "second"
    assert deaths.empty()
    other.close()


def test_more_processes_than_one_wait_can_hold(watch: life.DeathWatch) -> None:
    pages = [Segment.create("test-bell", layout.BELL_BYTES) for _ in range(140)]
    deaths: queue.Queue[int] = queue.Queue()
    pids = []
    try:
        for number, page in enumerate(pages):
            pids.append(living(page))
            assert watch.watch(page, lambda number=number: deaths.put(number))
        for number in (0, 139, 70):
            kill(pids[number])
            assert deaths.get(timeout=PATIENCE_S) == number
    finally:
        for number, pid in enumerate(pids):
            if number not in (0, 139, 70):
                kill(pid)
    rest = {deaths.get(timeout=PATIENCE_S) for _ in range(len(pages) - 3)}
    assert rest == set(range(140)) - {0, 139, 70}
    for page in pages:
        page.close()


def test_death_is_noticed_within_a_millisecond_at_any_size(
    page: Segment, watch: life.DeathWatch
) -> None:
    """The memory of the dead one is still being torn down, then."""

    def grow() -> None:
        memory = mmap.mmap(-1, 192 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1
        os.write(writing, b"x")
        signal.pause()

    noticed_ms, reaped_ms = [], []
    for _ in range(4):
        reading, writing = os.pipe()
        pid = living(page, grow)
        assert os.read(reading, 1) == b"x"
        times: queue.Queue[float] = queue.Queue()
        assert watch.watch(page, lambda times=times: times.put(time.monotonic()))
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        noticed_ms.append((times.get(timeout=PATIENCE_S) - began) * 1e3)
        os.waitpid(pid, 0)
        reaped_ms.append((time.monotonic() - began) * 1e3)
        os.close(reading)
        os.close(writing)
    # The least of several: others use the machine too.
    assert min(noticed_ms) < 1.0
    assert min(noticed_ms) < min(reaped_ms)


def test_closed_watch_takes_no_more_and_ends_its_threads(page: Segment) -> None:
    watch = life.DeathWatch()
    pid = living(page)
    try:
        assert watch.watch(page, lambda: None)
        watch.close()
        assert not any("death watch" in thread.name for thread in threading.enumerate())
        assert not watch.watch(page, lambda: None)
    finally:
        kill(pid)
