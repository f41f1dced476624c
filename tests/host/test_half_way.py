"""Starts and stops that are cut short, meet each other, or fail half-way."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from noodle_host import (
    ConfigError,
    Host,
    HostClosedError,
    HostError,
    PluginError,
    RequirementError,
    RestartPolicy,
    StartError,
)


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the components base, middle and top have written so far; before the host."""
    file = tmp_path / "order"
    monkeypatch.setenv("ORDER_FILE", str(file))
    return lambda: file.read_text().splitlines()


@pytest.fixture
def started_fifo(fifo: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where import_hangs and start_hangs write their process id; before the host."""
    path = fifo("started")
    monkeypatch.setenv("STARTED_FIFO", str(path))
    return path


def states(host: Host) -> dict[str, str]:
    return {info.name: info.state for info in host.components()}


# -- starts that fail -------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [0, -1, 64, 1.5, "2", True])
def test_a_number_of_replicas_that_cannot_be_is_refused(host: Host, replicas: Any) -> None:
    with pytest.raises(ConfigError, match="replicas must be a number from 1 to 63"):
        host.start("desk", replicas=replicas)
    assert host.components() == []


def test_an_error_at_import_names_the_line(host: Host, plugins: Path) -> None:
    with pytest.raises(PluginError) as caught:
        host.start("import_raises")
    file = plugins / "import_raises" / "1.0.0" / "broken.py"
    assert f"{file}:2" in str(caught.value)


@pytest.mark.parametrize(("name", "phase"), [("import_hangs", "load"), ("start_hangs", "start")])
def test_a_plugin_that_is_not_ready_in_time_is_killed(
    new_host: Callable[..., Host],
    started_fifo: Path,
    read_fifo: Callable[[Path], str],
    wait_gone: Callable[..., None],
    name: str,
    phase: str,
) -> None:
    host = new_host(startup_timeout_s=0.3)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(host.start, name)
        pid = int(read_fifo(started_fifo))
        with pytest.raises(StartError, match=r"not ready within 0\.3 s .* was killed") as caught:
            starting.result(20)
    assert caught.value.phase == phase
    wait_gone(pid)
    assert host.components() == []


def test_a_start_that_fails_stops_what_it_has_started(
    order: Callable[[], list[str]], new_host: Callable[..., Host], log: Any
) -> None:
    host = new_host()
    with pytest.raises(StartError, match="port 80 is taken"):
        host.start("needs_broken")
    assert host.components() == []
    assert order() == ["start base", "stop base"]
    # What never started is not stopped either.
    host.close()
    assert "stopped without a start" not in log.messages()


def test_what_ran_before_a_start_that_fails_goes_on(
    order: Callable[[], list[str]], new_host: Callable[..., Host]
) -> None:
    host = new_host()
    host.start("base")
    with pytest.raises(StartError):
        host.start("needs_broken")
    assert states(host) == {"base": "running"}
    assert host.call("base", "ping") == "base"


def test_a_failure_is_said_at_once_whatever_else_is_loading(new_host: Callable[..., Host]) -> None:
    host = new_host(startup_timeout_s=300.0)
    with pytest.raises(PluginError, match="no such table"):
        host.start_all({"import_hangs": None, "import_raises": None})
    assert host.components() == []


def test_failing_starts_leave_nothing(new_host: Callable[..., Host], leaves_nothing: Any) -> None:
    host = new_host()
    host.start("desk", "<2")
    names = ("import_raises", "import_exits", "start_raises", "start_dies")

    def fail() -> None:
        for name in names:
            with pytest.raises(HostError):
                host.start(name)

    fail()
    with leaves_nothing():
        for _ in range(10):
            fail()


def test_a_start_without_descriptors_left_says_so_and_leaves_nothing(
    run_script: Any, plugins: Path
) -> None:
    process = run_script(
        """
import gc, os, resource, sys
from noodle_host import Host, StartError

def held():
    # Without a descriptor of its own; a mapping has one until it is collected.
    gc.collect()
    count = 0
    for fd in range(limit):
        try:
            os.fstat(fd)
        except OSError:
            continue
        count += 1
    return count

with Host(sys.argv[1]) as host:
    host.start("desk", "<2")
    host.call("desk", "version")
    host.start("vandal")
    host.stop("vandal")
    limit = 4096
    at_first = held()
    taken = [os.dup(0) for _ in range(32)]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, most))
    failed = 0
    while taken:
        try:
            host.start("vandal")
        except StartError as error:
            assert "no means left" in str(error), error
            failed += 1
        else:
            host.stop("vandal")
        os.close(taken.pop())
    assert 5 < failed < 32, failed
    host.start("vandal")
    host.stop("vandal")
    assert held() == at_first, (at_first, held())
    assert host.call("desk", "version") == "1.0.0"
""",
        plugins,
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


# -- starts that meet ---------------------------------------------------------------------


def test_many_threads_start_the_same_component_once(
    order: Callable[[], list[str]], new_host: Callable[..., Host]
) -> None:
    host = new_host()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        infos = list(pool.map(host.start, ["top", "middle", "base"] * 4))
    assert {info.name for info in infos} == {"top", "middle", "base"}
    assert sorted(order()) == ["start base", "start middle", "start top"]


def test_a_second_start_tries_for_itself_when_the_first_has_failed(
    new_host: Callable[..., Host],
) -> None:
    host = new_host()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        starts = [pool.submit(host.start, "start_raises") for _ in range(4)]
        for start in starts:
            with pytest.raises(StartError, match="port 80 is taken"):
                start.result(30)
    assert host.components() == []


def test_a_requirement_cannot_be_stopped_between_plan_and_start(
    order: Callable[[], list[str]], new_host: Callable[..., Host]
) -> None:
    host = new_host()

    def stop() -> None:
        for name in ("top", "middle", "base"):
            try:
                host.stop(name)
            except HostError:
                continue

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(15):
            host.start("base")
            starting = pool.submit(host.start, "middle")
            stopping = pool.submit(stop)
            starting.result(30)
            stopping.result(30)
            running = states(host)
            # Either both are here, or the middle one was stopped too, or it came last.
            assert "middle" not in running or running.get("base") == "running"
            stop()


# -- stops ------------------------------------------------------------------------------------


def test_calls_that_were_sent_are_answered_before_the_stop(
    new_host: Callable[..., Host], fifo: Callable[[str], Path]
) -> None:
    host = new_host(stop_timeout_s=20.0)
    host.start("desk", "<2")
    path = fifo("answer")
    first = host.submit("desk", "wait_for", str(path))
    others = [host.submit("desk", "note", i) for i in range(20)]
    # Can be opened once the worker is busy.
    with path.open("w") as answer:
        stopping = threading.Thread(target=host.stop, args=("desk",))
        stopping.start()
        while states(host) != {"desk": "stopping"}:
            pass
        with pytest.raises(HostClosedError):
            host.call("desk", "version")
        answer.write("done")
    assert first.result(20) == "done"
    assert [call.result(20) for call in others] == list(range(1, 21))
    stopping.join(20)
    assert host.components() == []


def test_no_replica_takes_calls_on_while_another_one_stops(
    new_host: Callable[..., Host], fifo: Callable[[str], Path]
) -> None:
    host = new_host(stop_timeout_s=20.0)
    host.start("desk", "<2", replicas=2)
    path = fifo("answer")
    busy = host.submit("desk", "wait_for", str(path))
    with path.open("w") as answer:
        stopping = threading.Thread(target=host.stop, args=("desk",))
        stopping.start()
        # The idle replica is gone, the other one still works.
        deadline = time.monotonic() + 20
        while len(host.components()[0].seats) == 2:
            assert time.monotonic() < deadline
        with pytest.raises(HostClosedError):
            host.call("desk", "version", timeout=5)
        answer.write("done")
    stopping.join(20)
    assert busy.result(20) == "done"


def test_a_worker_that_does_not_stop_in_time_is_killed(
    new_host: Callable[..., Host], wait_gone: Callable[..., None]
) -> None:
    host = new_host(stop_timeout_s=0.2)
    host.start("stop_hangs")
    pid = host.call("stop_hangs", "pid")
    began = time.monotonic()
    host.stop("stop_hangs")
    assert 0.2 <= time.monotonic() - began < 5
    wait_gone(pid)


def test_a_stop_hook_that_raises_is_in_the_log_and_stops_all_the_same(host: Host, log: Any) -> None:
    host.start("stop_raises")
    assert host.call("stop_raises", "ping") == "pong"
    host.stop("stop_raises")
    assert host.components() == []
    log.wait_for("cannot let go")


def test_stopping_while_it_is_being_restarted_kills_the_half_started_worker(
    new_host: Callable[..., Host],
    wait_gone: Callable[..., None],
    pid_of: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lives = tmp_path / "lives"
    monkeypatch.setenv("LIVES", str(lives))
    lives.write_text("1")
    host = new_host(
        startup_timeout_s=300.0,
        stop_timeout_s=300.0,
        restart=RestartPolicy(first_delay_s=0.0),
    )
    host.start("fragile")
    # Reading its lives blocks from now on: the successor hangs in its start hook.
    lives.unlink()
    os.mkfifo(lives)
    os.kill(pid_of(host, "fragile"), signal.SIGKILL)
    with lives.open("w"):
        # Opened: the successor is reading.
        (seat,) = host.components()[0].seats
        assert seat.worker is not None
        assert seat.worker.state == "preparing"
        assert states(host) == {"fragile": "restarting"}
        began = time.monotonic()
        host.stop("fragile")
        assert time.monotonic() - began < 5
        assert seat.worker.pid is not None
        wait_gone(seat.worker.pid)
    assert host.components() == []


def test_stopping_during_the_pause_before_a_restart_is_prompt(
    new_host: Callable[..., Host], log: Any
) -> None:
    host = new_host(restart=RestartPolicy(first_delay_s=300.0, longest_delay_s=300.0))
    host.start("vandal")
    # It is executed twice; the second death is followed by the pause.
    waiting = [host.submit("vandal", "exit", 1), host.submit("vandal", "pid")]
    for _ in range(2):
        log.wait_for("died: exit status 1")
    assert states(host) == {"vandal": "restarting"}
    began = time.monotonic()
    host.stop("vandal")
    assert time.monotonic() - began < 5
    for call in waiting:
        with pytest.raises(HostClosedError):
            call.result(20)


def test_closing_while_a_component_starts_refuses_the_start(
    new_host: Callable[..., Host],
    started_fifo: Path,
    read_fifo: Callable[[Path], str],
    wait_gone: Callable[..., None],
) -> None:
    host = new_host(startup_timeout_s=300.0)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(host.start, "start_hangs")
        pid = int(read_fifo(started_fifo))
        began = time.monotonic()
        host.close()
        assert time.monotonic() - began < 5
        with pytest.raises(HostClosedError, match="the host is closed"):
            starting.result(20)
    wait_gone(pid)


# -- replicas that fail -------------------------------------------------------------------------


def test_a_replica_that_is_given_up_leaves_the_others_running(
    new_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = tmp_path / "lives"
    monkeypatch.setenv("LIVES", str(lives))
    lives.write_text("5")
    host = new_host(restart=RestartPolicy(first_delay_s=0.0, quarantine_after=2))
    # One after the other, because each reads and writes what is left.
    host.start("fragile", replicas=3)
    lives.write_text("0")
    dead = host.components()[0].seats[0].worker
    assert dead is not None
    assert dead.pid is not None
    os.kill(dead.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len((info := host.components()[0]).seats) == 3:
        assert time.monotonic() < deadline
    assert info.state == "running"
    assert "1 of its seats quarantined" in info.reason
    assert "no life is left" in info.reason
    assert [seat.weight for seat in info.seats] == [5000, 5000]
    pids = {host.call("fragile", "pid", timeout=20) for _ in range(10)}
    assert pids == {seat.worker.pid for seat in info.seats if seat.worker}


def test_what_is_quarantined_says_so_to_all_who_ask(
    new_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = tmp_path / "lives"
    monkeypatch.setenv("LIVES", str(lives))
    lives.write_text("1")
    host = new_host(restart=RestartPolicy(first_delay_s=0.0, quarantine_after=1))
    host.start("fragile")
    with pytest.raises(HostError):
        host.call("fragile", "die")
    deadline = time.monotonic() + 20
    while states(host) != {"fragile": "quarantined"}:
        assert time.monotonic() < deadline
    for act in (lambda: host.call("fragile", "pid"), lambda: host.start("fragile")):
        with pytest.raises(HostClosedError, match=r"is quarantined: .* exit status 7.*stop it"):
            act()
    with pytest.raises(RequirementError, match="replicas"):
        host.start("desk", "<2") and host.start("desk", replicas=3)


def test_restarts_leave_nothing(host: Host, leaves_nothing: Any, pid_of: Any) -> None:
    host.start("clerk")
    host.start("vandal")

    def kill(name: str) -> None:
        pid = pid_of(host, name)
        os.kill(pid, signal.SIGKILL)
        while True:
            try:
                if name == "clerk":
                    assert host.call("clerk", "ask", "desk", "pid", [], timeout=20) > 0
                else:
                    assert host.call(name, "pid", timeout=20) != pid
                return
            except HostError:
                # It was answered for the dead one.
                continue

    for name in ("desk", "clerk", "vandal"):
        kill(name)
    with leaves_nothing():
        for _ in range(20):
            for name in ("desk", "clerk", "vandal"):
                kill(name)
