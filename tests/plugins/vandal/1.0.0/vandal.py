"""Everything that a plugin can do to its own process."""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator


class Vandal:
    def pid(self) -> int:
        return os.getpid()

    def exit(self, status: int) -> None:
        os._exit(status)

    def kill(self, number: int) -> None:
        os.kill(os.getpid(), number)

    def read_null(self) -> None:
        ctypes.string_at(0)

    def loop_in_c(self, fifo: str) -> None:
        with open(fifo, "w") as out:
            out.write(f"{os.getpid()}\n")
        collections.deque(itertools.repeat(0), maxlen=0)

    def ignore_signals(self) -> None:
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                # SIGKILL and SIGSTOP, and those that the C library keeps.
                continue

    def close_descriptors(self) -> str:
        os.closerange(0, 4096)
        return "closed"

    def close_sockets(self) -> int:
        """Close the control socket alone."""
        closed = 0
        for name in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                    os.close(int(name))
                    closed += 1
            except OSError:
                continue
        return closed

    def start_child(self) -> int:
        return subprocess.Popen(["sleep", "1000"]).pid

    def fork_sleeper(self) -> int:
        """A child that keeps all descriptors and never ends by itself."""
        child = os.fork()
        if not child:
            while True:
                time.sleep(1000)
        return child

    def fork_and_return(self) -> str:
        """Both return; only one of them is the worker."""
        child = os.fork()
        return "parent" if child else "child"

    def fork_in_message(self) -> None:
        os.fork()

    def fork_in_task(self, items: int) -> Iterator[int]:
        os.fork()
        yield from range(items)

    def write_stderr(self, size: int, newlines: bool) -> None:
        unit = b"x\n" if newlines else b"x"
        left = unit * (size // len(unit))
        while left:
            left = left[os.write(2, left) :]

    def write_bytes(self, data: bytes) -> None:
        os.write(2, data)

    def write_both(self) -> None:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        os.system("echo from a child")

    def read_stdin(self) -> str:
        return sys.stdin.read()

    def talk_nonsense(self) -> None:
        """Send what is no message over the control socket."""
        for name in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                    with socket.socket(fileno=os.dup(int(name))) as sock:
                        sock.send(b"\xc1nonsense")
            except OSError:
                continue

    def recurse(self) -> None:
        def deeper(n: int) -> int:
            return deeper(n + 1) + 1

        deeper(0)

    def raise_odd(self) -> None:
        raise OddError

    def change_alarm(self) -> str:
        """A signal handler that raises, and a signal."""

        def on_alarm(*_: object) -> None:
            raise RuntimeError("interrupted by itself")

        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while True:
            time.sleep(1)


class OddError(Exception):
    def __str__(self) -> str:
        raise ValueError("cannot be shown")
