"""Sees which processes of a host are stopped, and lets them go on a while later."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

# Stopped processes have no way to say so to anyone but their parent: they are looked for
# this often.
_LOOK_S = 0.005


class Warden:
    """A thread that sends SIGCONT to what has been stopped for ``hold_s`` seconds.

    Args:
        processes: tells which processes it looks after.
        hold_s: how long it leaves one stopped.

    ``stopped`` has the process ids that it has seen stopped, in that order.
    """

    def __init__(
        self, processes: Callable[[], Iterable[psutil.Process]], hold_s: float = 1.0
    ) -> None:
        self.stopped: list[int] = []
        self._processes = processes
        self._hold_s = hold_s
        self._since_s: dict[int, float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="warden")

    def __enter__(self) -> Warden:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everything, after its time."""
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_S) or self._since_s:
            self._look()
            if self._ending.is_set():
                # Those that are held must still have their time.
                threading.Event().wait(_LOOK_S)

    def _look(self) -> None:
        now = time.monotonic()
        stopped = {pid for pid in psutil.pids() if _is_stopped(pid)}
        if fresh := stopped - self._since_s.keys():
            for pid in sorted(fresh & {process.pid for process in self._processes()}):
                self.stopped.append(pid)
                self._since_s[pid] = now
        for pid, since_s in list(self._since_s.items()):
            if pid not in stopped:
                del self._since_s[pid]
            elif now - since_s >= self._hold_s:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                del self._since_s[pid]


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] == b"T"
    return False
