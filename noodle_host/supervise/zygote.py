"""The fork server: a small process that has imported what workers need.

Forking it takes a few milliseconds, starting an interpreter and importing the
same takes a hundred. It has one thread and no state of the host's, so a fork of it is
safe. It is the parent of the workers: it reaps them and says how they ended.

It is a program of its own rather than multiprocess's fork server because that
one imports the embedder's main module into every worker and keeps a socket in
the file system, which a killed host would leave behind.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from typing import Any, Final

import msgspec

from ..router.packets import PacketSocket

#: Imported before the first fork; everything a worker of any kind needs.
PRELOAD: Final = (
    "multiprocess",
    "multiprocess.context",
    "multiprocess.popen_fork",
    "cloudpickle",
    "noodle_host.worker.main",
    "hookspecs.ast",
    "hookspecs.bytecode",
)


class Spawn(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Fork a worker. Comes with the descriptors of ``worker.main.FD_NAMES``."""

    request: int
    name: str
    spec: bytes


class Spawned(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """It runs. Comes with its pidfd, taken before it could be reaped."""

    request: int
    pid: int


class SpawnFailed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    request: int
    reason: str


class Exited(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A worker was reaped; ``exit_code`` is negative for a signal."""

    pid: int
    exit_code: int


requests: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Spawn)
reports: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(
    Spawned | SpawnFailed | Exited
)


class Zygote:
    """The loop of the fork server."""

    def __init__(self, sock: PacketSocket) -> None:
        import multiprocess
        import multiprocess.process

        # Whoever is in there is reaped at any start, unseen.
        self._reaped_unseen: set[Any] = multiprocess.process._children
        self._socket = sock
        self._context = multiprocess.get_context("fork")
        self._children: dict[int, Any] = {}
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Fork on request until the host is gone, then end all workers."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_w)
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        poll.register(self._wake_r, select.POLLIN)
        # The host may be gone at any send, too.
        with contextlib.suppress(ConnectionError):
            while self._turn({fd for fd, _ in poll.poll()}):
                pass
        for pid in self._children:
            _kill_family(pid)

    def _turn(self, ready: set[int]) -> bool:
        """Reap and fork; False once the host is gone."""
        if self._wake_r in ready:
            os.read(self._wake_r, 512)
            self._reap()
        if self._socket.fileno() in ready:
            received = self._socket.receive()
            if received is None:
                return False
            request, fds = received
            try:
                self._spawn(request, fds)
            finally:
                for fd in fds:
                    os.close(fd)
        return True

    def _spawn(self, request: Spawn, fds: list[int]) -> None:
        process = self._context.Process(
            target=self._child, args=(request.spec, fds), name=request.name
        )
        try:
            process.start()
        except OSError as error:
            self._socket.send(SpawnFailed(request.request, str(error)))
            return
        pid = process.pid
        self._children[pid] = process
        self._reaped_unseen.discard(process)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            _kill_family(pid)
            self._socket.send(SpawnFailed(request.request, str(error)))
            return
        try:
            self._socket.send(Spawned(request.request, pid), [pidfd])
        finally:
            os.close(pidfd)

    def _child(self, spec: bytes, fds: list[int]) -> None:
        # A group of its own, with which what it starts is ended too.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._socket.close()
        os.close(self._wake_r)
        os.close(self._wake_w)
        gc.enable()
        from ..worker.main import run_worker

        run_worker(spec, fds)

    def _reap(self) -> None:
        for pid, process in list(self._children.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # Not reaped yet, so the number is still its own, and its group's.
            _kill_family(pid)
            exit_code = process.exitcode
            del self._children[pid]
            process.close()
            self._socket.send(Exited(pid, exit_code))


def _kill_family(pid: int) -> None:
    """Kill a child that is not reaped yet, and what it has started."""
    for kill in (os.killpg, os.kill):
        # The child may not have made its group yet.
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)


def main(fd: int, lifeline: int) -> None:
    """Run the fork server on the socket ``fd``; ``lifeline`` is a pipe of the host's."""
    # Ctrl-C is for the host, which stops its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in PRELOAD:
        importlib.import_module(name)
    from ..worker.lifeline import arm

    # One that was stopped goes on to end its workers.
    arm(lifeline, signal.SIGCONT, os.getpid())
    # What is here now is never freed; counting it would copy its pages in
    # every worker.
    gc.collect()
    gc.freeze()
    Zygote(PacketSocket(socket.socket(fileno=fd), requests)).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
