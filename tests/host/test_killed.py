"""SIGKILL, of workers and of the host: who learns of it, how soon, and what is left."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from noodle_host import (
    CallTimeout,
    Host,
    HostClosedError,
    HostError,
    PoisonCall,
    StartError,
    WorkerDied,
)

#: What the issue of this feature allows from the kill to the caller's error.
_NOTICE_S = 0.05


def _wait_until_asked(path: Path) -> None:
    """Return when the worker has begun the call that says so on a FIFO."""
    with path.open() as fifo:
        assert fifo.readline()


def test_a_kill_holds_waiting_callers_up_for_50_ms_at_most(
    host: Host, fifo: Callable[[str], Path], pid_of: Any
) -> None:
    host.start("desk", "<2")
    took: list[float] = []
    for number in range(11):
        path = fifo(f"waiting{number}")
        first = host.submit("desk", "wait_for_ever", str(path))
        _wait_until_asked(path)
        others = [host.submit("desk", "echo", n) for n in range(5)]
        told: list[float] = []

        def fail(first: Any = first, told: list[float] = told) -> None:
            with pytest.raises(WorkerDied, match="killed by SIGKILL"):
                first.result()
            told.append(time.monotonic())

        def wait(call: Any, n: int, told: list[float] = told) -> None:
            # It had not begun: the next worker answers it.
            assert call.result() == n
            told.append(time.monotonic())

        threads = [threading.Thread(target=fail)]
        threads += [threading.Thread(target=wait, args=(call, n)) for n, call in enumerate(others)]
        for thread in threads:
            thread.start()
        pid = pid_of(host, "desk")
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert len(told) == len(threads)
        took.append(max(told) - killed)
        # Started again: the same seat answers.
        assert host.call("desk", "pid", timeout=20) != pid
    assert statistics.median(took) < _NOTICE_S


def test_a_worker_with_much_memory_is_mourned_as_soon(
    host: Host, fifo: Callable[[str], Path], pid_of: Any
) -> None:
    host.start("desk", "<2")
    took = []
    for number in range(5):
        # Tearing this down takes the kernel longer than the notice may.
        host.call("desk", "hoard", 256 << 20)
        path = fifo(f"waiting{number}")
        call = host.submit("desk", "wait_for_ever", str(path))
        _wait_until_asked(path)
        killed = time.monotonic()
        os.kill(pid_of(host, "desk"), signal.SIGKILL)
        with pytest.raises(WorkerDied):
            call.result()
        took.append(time.monotonic() - killed)
        assert host.call("desk", "echo", 1, timeout=20) == 1
    assert statistics.median(took) < _NOTICE_S


@pytest.mark.parametrize(
    ("method", "arguments", "how"),
    [
        ("exit", (3,), "exit status 3"),
        ("exit", (0,), "exit status 0"),
        ("kill", (signal.SIGSEGV,), "SIGSEGV"),
        ("kill", (signal.SIGTERM,), "SIGTERM"),
        ("read_null", (), "SIGSEGV"),
    ],
)
def test_a_worker_that_ends_itself_is_told_apart(
    host: Host, method: str, arguments: tuple[int, ...], how: str
) -> None:
    host.start("vandal")
    pid = host.call("vandal", "pid")
    # It is stateless, so another worker tries it again, and dies of it too.
    with pytest.raises(PoisonCall, match=f"2 workers died .*{how}") as caught:
        host.call("vandal", method, *arguments)
    assert (caught.value.component, caught.value.version) == ("vandal", "1.0.0")
    assert caught.value.worker not in (None, pid)
    assert host.call("vandal", "pid", timeout=20) != pid


def test_a_worker_that_never_answers_does_not_hold_up_the_caller(
    host: Host, fifo: Callable[[str], Path]
) -> None:
    host.start("desk", "<2")
    began = time.monotonic()
    with pytest.raises(CallTimeout, match="wait_for_ever"):
        host.call("desk", "wait_for_ever", str(fifo("never")), timeout=0.2)
    assert time.monotonic() - began < 5


def test_a_stream_of_a_stateless_component_goes_on_in_the_next_worker(
    host: Host, pid_of: Any
) -> None:
    host.start("desk", "<2")
    items = host.stream("desk", "count", 20_000)
    assert next(items) == 0
    os.kill(pid_of(host, "desk"), signal.SIGKILL)
    assert list(items) == list(range(1, 20_000))
    assert host.call("desk", "echo", 1, timeout=20) == 1


def test_a_component_that_cannot_stay_up_is_quarantined_with_the_reason(
    new_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noodle_host import RestartPolicy

    lives = tmp_path / "lives"
    lives.write_text("1")
    monkeypatch.setenv("LIVES", str(lives))
    host = new_host(restart=RestartPolicy(first_delay_s=0.0, quarantine_after=3))
    host.start("fragile")
    with pytest.raises(HostClosedError, match="no life is left"):
        host.call("fragile", "die")
    deadline = time.monotonic() + 20
    while (info := host.components()[0]).state != "quarantined":
        assert time.monotonic() < deadline, info
    assert "no life is left" in info.reason
    with pytest.raises(Exception, match=r"quarantined|not running"):
        host.call("fragile", "pid", timeout=5)
    # By hand it can be tried again.
    host.stop("fragile")
    lives.write_text("1")
    host.start("fragile")
    assert host.call("fragile", "pid") > 0


_HOST = """
import sys, threading
from noodle_host import Host
host = Host(sys.argv[1])
host.start("desk", "<2")
host.start("vandal")
for mode in sys.argv[2].split(","):
    if mode == "loop":
        host.submit("vandal", "loop_in_c", sys.argv[3])
    elif mode == "load":
        def call():
            while True:
                host.call("desk", "echo", b"x" * 100_000)
        threading.Thread(target=call, daemon=True).start()
    elif mode == "ignore":
        host.call("vandal", "ignore_signals")
print(*(info.seats[0].worker.pid for info in host.components()), flush=True)
threading.Event().wait()
"""


def _shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


@pytest.mark.parametrize("mode", ["idle", "load", "loop", "ignore", "stopped"])
def test_a_host_that_is_killed_leaves_nothing(
    mode: str,
    run_script: Any,
    plugins: Path,
    fifo: Callable[[str], Path],
    wait_gone: Callable[..., None],
    tmp_path: Path,
) -> None:
    before = _shared_memory()
    looping = fifo("looping")
    process = run_script(_HOST, plugins, mode, looping)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2
    if mode == "loop":
        _wait_until_asked(looping)
    family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert set(pids) <= set(family)
    if mode == "stopped":
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    process.kill()
    wait_gone(process.pid, *family)
    assert _shared_memory() == before
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_host_that_is_killed_while_it_starts_leaves_nothing(
    run_script: Any, plugins: Path, fifo: Callable[[str], Path], wait_gone: Callable[..., None]
) -> None:
    started = fifo("started")
    process = run_script(
        "import sys\nfrom noodle_host import Host\nHost(sys.argv[1]).start('start_hangs')",
        plugins,
        STARTED_FIFO=str(started),
    )
    with started.open() as pipe:
        pid = int(pipe.readline())
    family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert pid in family
    process.kill()
    wait_gone(process.pid, *family)


def test_a_worker_that_ends_while_it_starts_fails_the_start(host: Host) -> None:
    with pytest.raises(StartError, match="exit status 9"):
        host.start("start_dies")
    assert host.components() == []


def test_a_stop_that_hangs_is_cut_short(host: Host, wait_gone: Callable[..., None]) -> None:
    host.start("stop_hangs")
    pid = host.call("stop_hangs", "pid")
    host.stop("stop_hangs")
    wait_gone(pid)


def _close_under_load(plugins: Path) -> None:
    host = Host(plugins)
    host.start("desk", "<2")
    ended = []

    def call() -> None:
        try:
            while True:
                host.call("desk", "echo", b"x" * 1000)
        except Exception as error:
            # Its traceback would hold on to what the call was using.
            ended.append(type(error))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    host.close()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert len(ended) == 4
    assert all(issubclass(kind, HostError) for kind in ended)


def test_closing_under_load_leaves_nothing_and_hangs_nobody(
    plugins: Path, leaves_nothing: Any
) -> None:
    with leaves_nothing():
        _close_under_load(plugins)
