"""The host's end of the fork server, and the seam behind which workers are made."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from typing import Protocol

from ..errors import StartError
from ..router.packets import PacketSocket
from . import zygote

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[2]); "
    "from noodle_host.supervise.zygote import main; main(int(sys.argv[1]))"
)


class Child:
    """A process of ours: its pid, its pidfd, and how it ended once that is known."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        #: Negative for a signal; None until the fork server has reaped it.
        self.exit_code: int | None = None
        self.reaped = asyncio.Event()


class Spawner(Protocol):
    """Makes worker processes."""

    async def spawn(self, name: str, spec: bytes, fds: list[int]) -> Child:
        """Start a worker; raises StartError. The descriptors stay the caller's."""

    def close(self) -> None:
        """End all workers that are left."""


class ForkServer:
    """Spawns by asking the fork server; used on the supervisor's event loop.

    One hash seed for all workers: sets and hashes are the same in each of them.
    """

    def __init__(self, hash_seed: int) -> None:
        self._hash_seed = hash_seed
        self._requests = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Child]] = {}
        self._children: dict[int, Child] = {}
        self._socket: PacketSocket | None = None
        self._watched = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; it imports while the host goes on."""
        ours, theirs = PacketSocket.pair()
        with theirs:
            environment = dict(os.environ, PYTHONHASHSEED=str(self._hash_seed))
            path = [entry for entry in sys.path if entry]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), json.dumps(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                # Out of the terminal's foreground group: Ctrl-C is the host's.
                start_new_session=True,
            )
        self._socket = PacketSocket(ours, zygote.reports)

    async def spawn(self, name: str, spec: bytes, fds: list[int]) -> Child:
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self.start()
        sock = self._socket
        assert sock is not None
        if not self._watched:
            loop.add_reader(sock.fileno(), self._on_report)
            self._watched = True
        request = next(self._requests)
        answer: asyncio.Future[Child] = loop.create_future()
        self._waiting[request] = answer
        try:
            sock.send(zygote.Spawn(request, name, spec), fds)
        except OSError as error:
            self._lost()
            raise StartError(f"the fork server is gone: {error}", phase="spawn") from error
        try:
            return await answer
        finally:
            self._waiting.pop(request, None)

    def _on_report(self) -> None:
        assert self._socket is not None
        try:
            received = self._socket.receive()
        except OSError:
            received = None
        if received is None:
            self._lost()
            return
        report, fds = received
        match report:
            case zygote.Spawned(request, pid):
                child = Child(pid, fds[0])
                self._children[pid] = child
                answer = self._waiting.get(request)
                if answer is not None and not answer.done():
                    answer.set_result(child)
            case zygote.SpawnFailed(request, reason):
                answer = self._waiting.get(request)
                if answer is not None and not answer.done():
                    answer.set_exception(
                        StartError(f"the process could not be started: {reason}", phase="spawn")
                    )
            case zygote.Exited(pid, exit_code):
                child = self._children.pop(pid)
                child.exit_code = exit_code
                child.reaped.set()

    def _lost(self) -> None:
        """The fork server died: its workers live on; the next spawn starts another."""
        if self._socket is None:
            return
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._watched = False
        self._socket.close()
        self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(
                    StartError(
                        "the fork server died",
                        phase="spawn",
                        hint="it is started again at the next start",
                    )
                )
        for child in self._children.values():
            # Nobody reaps them now but init: how they end stays unknown.
            child.reaped.set()
        self._children.clear()

    def close(self) -> None:
        """Let the fork server end; it kills the workers that are left."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait()
            self._process = None
