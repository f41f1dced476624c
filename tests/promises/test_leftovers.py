"""Whatever way a host under load ends, nothing is left of it; and what is left is seen."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _pids(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        pytest.fail(f"the host did not come up: {process.communicate()[1]}")
    pids: dict[str, int] = json.loads(line)
    return pids


def test_a_host_that_is_closed_under_load_leaves_nothing(
    leftovers: Any, new_promise_host: Callable[..., Any], new_load: Callable[..., Any]
) -> None:
    host = new_promise_host()
    # Its workers are found by what they have inherited.
    assert {seat.worker.pid for info in host.components() for seat in info.seats} <= {
        process.pid for process in leftovers.processes()
    }
    load = new_load(host)
    with load.running():
        load.wait_for(200)
        host.close()
    assert any(operation.error for operation in load.stop())
    # What this process has is looked at once nobody refers to the host any more.
    assert leftovers.processes() == []


def test_a_host_that_ends_by_itself_leaves_nothing(leftovers: Any, new_hosting: Any) -> None:
    process = new_hosting()
    assert _pids(process)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(out) == []
    leftovers.check()


@pytest.mark.parametrize("stopped", [(), ("kv", "journal", "counter", "adder", "teller", "ticker")])
def test_a_host_that_is_killed_under_load_leaves_nothing(
    leftovers: Any, new_hosting: Any, stopped: tuple[str, ...]
) -> None:
    process = new_hosting()
    pids = _pids(process)
    assert len(leftovers.processes()) > len(pids)
    for name in stopped:
        os.kill(pids[name], signal.SIGSTOP)
    process.kill()
    process.communicate()
    leftovers.check()


# -- what is left is seen -------------------------------------------------------------------


def test_a_process_is_seen(leftovers: Any) -> None:
    code = "import os, sys\nif os.fork():\n    os._exit(0)\nprint(os.getpid(), flush=True)\n"
    code += "sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    orphan = int(parent.stdout.readline())
    assert parent.wait() == 0
    with pytest.raises(AssertionError, match=f"process {orphan} is left"):
        leftovers.check(within_s=0.1)
    parent.communicate()
    leftovers.check()


def test_a_descriptor_and_a_mapping_of_a_memfd_are_seen(leftovers: Any) -> None:
    memfd = os.memfd_create("left-behind")
    os.truncate(memfd, 4096)
    with pytest.raises(AssertionError, match=r"1 descriptors are left.*memfd:left-behind"):
        leftovers.check(within_s=0.1)
    memory = mmap.mmap(memfd, 4096)
    os.close(memfd)
    with pytest.raises(AssertionError, match=r"1 mappings of memfds are left"):
        leftovers.check(within_s=0.1)
    memory.close()
    leftovers.check()


def test_files_are_seen(leftovers: Any) -> None:
    shared = Path("/dev/shm") / f"left-{os.getpid()}"
    temporary = Path(leftovers.environment["TMPDIR"]) / "left"
    for path in (shared, temporary):
        path.touch()
        try:
            with pytest.raises(AssertionError, match=f"{path} is left"):
                leftovers.check(within_s=0.1)
        finally:
            path.unlink()
    leftovers.check()


def test_a_thread_is_seen(leftovers: Any) -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="left over")
    thread.start()
    with pytest.raises(AssertionError, match=r"1 threads are left.*left over"):
        leftovers.check(within_s=0.1)
    ended.set()
    leftovers.check()
