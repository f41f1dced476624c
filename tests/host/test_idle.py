"""A host that has nothing to do does nothing."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from noodle_host import Host, Programs

_WATCHED_S = 3.0


def _cpu_ns(pids: list[int]) -> int:
    """Processor time of all threads; the kernel counts it in nanoseconds."""
    return sum(
        int(file.read_text().split()[0])
        for pid in pids
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def test_a_host_with_five_workers_uses_less_than_a_hundredth_of_a_core() -> None:
    with Host() as host:
        assert len(Programs(host).start()) == 5
        host.call("lexer", "tokenize", "print(1)", "p")
        me = psutil.Process()
        pids = [me.pid, *(child.pid for child in me.children(recursive=True))]
        assert len(pids) == 7
        before = _cpu_ns(pids)
        # This is what is measured, not a wait for something.
        time.sleep(_WATCHED_S)
        used_s = (_cpu_ns(pids) - before) / 1e9
    assert used_s < 0.01 * _WATCHED_S
