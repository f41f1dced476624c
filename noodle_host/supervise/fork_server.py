"""The host's end of the fork server, and the seam behind which workers are made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from typing import Final, Protocol

from ..errors import StartError
from ..router.packets import PacketSocket
from . import zygote

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]); "
    "from noodle_host.supervise.zygote import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
# It imports for a tenth of a second and forks in milliseconds: one that takes so
# long is stopped, or broken.
_ANSWERS_WITHIN_S: Final = 30.0
_ENDS_WITHIN_S: Final = 5.0


class Child:
    """A process of ours: its pid, its pidfd, and how it ended once that is known."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        #: Negative for a signal; None until the fork server has reaped it.
        self.exit_code: int | None = None
        self.reaped = asyncio.Event()

    def kill(self) -> None:
        """SIGKILL; without effect on one that is dead."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the pidfd."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class Spawner(Protocol):
    """Makes worker processes."""

    async def spawn(self, name: str, spec: bytes, fds: list[int]) -> Child:
        """Start a worker; raises StartError. The descriptors stay the caller's."""

    def release_inherited(self) -> None:
        """In a forked child of the host: let go of what keeps workers alive."""

    def close(self) -> None:
        """End all workers that are left."""


class ForkServer:
    """Spawns by asking the fork server; used on the supervisor's event loop.

    One hash seed for all workers: sets and hashes are the same in each of them.
    """

    def __init__(self, hash_seed: int, *, answers_within_s: float = _ANSWERS_WITHIN_S) -> None:
        self._hash_seed = hash_seed
        self._answers_within_s = answers_within_s
        self._requests = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Child]] = {}
        self._children: dict[int, Child] = {}
        self._socket: PacketSocket | None = None
        self._lifeline = -1
        self._watched = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the fork server; None if there is none now."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process; it imports while the host goes on."""
        with contextlib.ExitStack() as undo:
            ours, theirs = PacketSocket.pair()
            undo.callback(ours.close)
            undo.callback(theirs.close)
            theirs_fd = theirs.fileno()
            lifeline_r, lifeline_w = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, lifeline_w)
            try:
                environment = dict(os.environ, PYTHONHASHSEED=str(self._hash_seed))
                path = json.dumps([entry for entry in sys.path if entry])
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _BOOT, str(theirs_fd), str(lifeline_r), path],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=environment,
                    pass_fds=[theirs_fd, lifeline_r],
                    # Out of the terminal's foreground group: Ctrl-C is the host's.
                    start_new_session=True,
                )
            finally:
                os.close(lifeline_r)
            # A fork server that is stopped must not stop the event loop.
            ours.setblocking(False)
            self._socket = PacketSocket(ours, zygote.reports)
            self._lifeline = lifeline_w
            undo.pop_all()
        theirs.close()

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
            try:
                sock.send(zygote.Spawn(request, name, spec), fds)
            except OSError as error:
                self._lost(f"the fork server is gone: {error}")
            async with asyncio.timeout(self._answers_within_s):
                return await answer
        except TimeoutError:
            self._lost("the fork server does not answer and was killed")
            return await answer
        except BaseException:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                # Nobody takes the child that has come at this very moment.
                self._disown(answer.result())
            raise
        finally:
            del self._waiting[request]

    def _on_report(self) -> None:
        assert self._socket is not None
        try:
            received = self._socket.receive()
        except BlockingIOError:
            return
        except ValueError as error:
            # Where no descriptor is left, none can be received.
            self._lost(f"what the fork server said was lost, has the host no means left? {error}")
            return
        except OSError:
            received = None
        if received is None:
            self._lost("the fork server died")
            return
        report, fds = received
        match report:
            case zygote.Spawned(request, pid):
                child = Child(pid, fds[0])
                self._children[pid] = child
                answer = self._waiting.get(request)
                if answer is None or answer.done():
                    self._disown(child)
                else:
                    answer.set_result(child)
            case zygote.SpawnFailed(request, reason):
                self._refuse(request, f"the process could not be started: {reason}")
            case zygote.Exited(pid, exit_code):
                gone = self._children.pop(pid, None)
                if gone is not None:
                    gone.exit_code = exit_code
                    gone.reaped.set()

    def _disown(self, child: Child) -> None:
        """Nobody waits for it any more."""
        child.kill()
        child.close()

    def _refuse(self, request: int, reason: str) -> None:
        answer = self._waiting.get(request)
        if answer is not None and not answer.done():
            answer.set_exception(
                StartError(reason, phase="spawn", hint="the next start may succeed")
            )

    def _lost(self, reason: str) -> None:
        """The fork server is no more: its workers live on; the next spawn starts another."""
        if self._watched and self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._watched = False
        if self._process is not None:
            # Before the socket is closed, or it would end its workers.
            self._process.kill()
        self._let_go()
        if self._process is not None:
            self._process.wait()
            self._process = None
        for request in self._waiting:
            self._refuse(request, reason)
        for child in self._children.values():
            # Nobody reaps them now but init: how they end stays unknown.
            child.reaped.set()
        self._children.clear()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def release_inherited(self) -> None:
        self._let_go()

    def close(self) -> None:
        """Let the fork server end; it kills the workers that are left."""
        self._let_go()
        if self._process is None:
            return
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
