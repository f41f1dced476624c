"""What tests of more than one folder use: plugins, hosts, processes, the log."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings

from noodle_host import Host, HostConfig, RestartPolicy

# Every run by hand looks for new examples. What decides whether a change is good
# enough must say the same of the same change twice.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_PLUGINS = Path(__file__).parent / "plugins"
#: Nothing here takes so long on a machine that is not wedged.
_LONG_S = 20.0


@pytest.fixture(scope="session")
def plugins() -> Path:
    """The folder of the plugins that tests start, good and hostile ones."""
    return _PLUGINS


@pytest.fixture
def new_host() -> Iterator[Callable[..., Host]]:
    """``new_host(**settings)``: a host for the plugins of the tests, closed at the end."""
    hosts: list[Host] = []

    def make(**settings: Any) -> Host:
        settings.setdefault("stop_timeout_s", 2.0)
        hosts.append(Host(_PLUGINS, config=HostConfig(**settings)))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host: Callable[..., Host]) -> Host:
    """A host in which a worker that dies is started again at once, every time."""
    return new_host(restart=RestartPolicy(first_delay_s=0.0, quarantine_after=1000))


@pytest.fixture
def pid_of() -> Callable[..., int]:
    """``pid_of(host, name)``: the process id of a component's (first) worker."""

    def pid_of(host: Host, name: str, index: int = 0) -> int:
        info = next(info for info in host.components() if info.name == name)
        worker = info.seats[index].worker
        assert worker is not None
        assert worker.pid is not None
        return worker.pid

    return pid_of


# -- processes ----------------------------------------------------------------------


@pytest.fixture
def wait_gone() -> Callable[..., None]:
    """``wait_gone(*pids)``: return when none of the processes lives any more."""

    def wait_gone(*pids: int, within_s: float = _LONG_S) -> None:
        deadline = time.monotonic() + within_s
        for pid in pids:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            gone = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            os.close(pidfd)
            assert gone, f"process {pid} is still there: {_shown(pid)}"

    return wait_gone


def _shown(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"{process.status()} {process.cmdline()}"
    except psutil.Error as error:
        return str(error)


@pytest.fixture
def run_script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``run_script(source, *arguments)``: Python in a process with an empty TMPDIR of its own."""
    processes: list[subprocess.Popen[str]] = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(source: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        root = str(_PLUGINS.parent.parent)
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", source, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": root, "TMPDIR": str(temporary), **environment},
            cwd=temporary,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def fifo(tmp_path: Path) -> Callable[[str], Path]:
    """``fifo(name)``: a new FIFO."""

    def make(name: str) -> Path:
        path = tmp_path / name
        os.mkfifo(path)
        return path

    return make


@pytest.fixture
def read_fifo() -> Callable[[Path], str]:
    """``read_fifo(path)``: what a process writes into it, as soon as it has."""

    def read(path: Path) -> str:
        # Without blocking, so that a writer that never comes fails the test.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        try:
            assert poll.poll(_LONG_S * 1000), f"nobody has written into {path}"
            return os.read(fd, 65536).decode()
        finally:
            os.close(fd)

    return read


# -- the log ------------------------------------------------------------------------


class Log(logging.Handler):
    """The records of noodle_host as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._fresh: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self._fresh.put(record)

    def wait_for(self, text: str, within_s: float = _LONG_S) -> logging.LogRecord:
        """The first record not seen yet whose message holds ``text``."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                record = self._fresh.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                said = [record.getMessage()[:200] for record in self.records]
                raise AssertionError(f"nobody has said {text!r} but {said}") from None
            if text in record.getMessage():
                return record

    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def log() -> Iterator[Log]:
    """What the host and its workers log."""
    logger = logging.getLogger("noodle_host")
    handler = Log()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


# -- what a host may leave behind -----------------------------------------------------


def _held() -> tuple[int, set[str], set[int]]:
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))
    threads = {thread.name for thread in threading.enumerate()}
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    return descriptors, threads, children


@pytest.fixture
def leaves_nothing() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """``with leaves_nothing():`` no descriptor, thread or process more at its end."""

    @contextlib.contextmanager
    def check() -> Iterator[None]:
        before = _held()
        yield
        # Processes that were killed take a moment to be gone. Those that were put in
        # their place count as the same.
        deadline = time.monotonic() + _LONG_S
        while len(_held()[2]) > len(before[2]) and time.monotonic() < deadline:
            fresh = _held()[2] - before[2]
            psutil.wait_procs([psutil.Process(p) for p in fresh if psutil.pid_exists(p)], timeout=1)
        after = _held()
        assert len(after[2]) <= len(before[2]), f"processes are left: {after[2] - before[2]}"
        assert after[1] <= before[1], f"threads are left: {after[1] - before[1]}"
        assert after[0] <= before[0], f"{after[0] - before[0]} descriptors are left"

    return check
