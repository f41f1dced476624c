"""A worker as the host sees it: its process, its control socket, its state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import HostError, StartError
from ..model import Role, WorkerInfo
from ..registry.manifest import Manifest
from ..router import layout
from ..router.bell import Doorbell
from ..router.codec import from_wire
from ..router.life import DeathWatch
from ..router.packets import PacketSocket
from ..worker import messages
from .fork_server import Child, Spawner
from .lifecycle import WorkerEvent, WorkerState, next_state
from .orders import Orders
from .output import OutputReader

if TYPE_CHECKING:
    from .seat import Channel, Seat

_LOG: Final = logging.getLogger("noodle_host.supervise")
# The fork server reaps at once; its report is only a little behind the pidfd.
_REAPED_WITHIN_S: Final = 0.01
# From the end of its control socket to the death of a worker that is exiting.
_EXITS_WITHIN_S: Final = 1.0
_MESSAGES_A_TURN: Final = 64
# A child of a dead worker may still hold the socket and send without end.
_TURNS_AFTER_DEATH: Final = 64


class WorkerProcess:
    """One worker. Everything here runs on the supervisor's event loop."""

    def __init__(
        self,
        manifest: Manifest,
        number: int,
        seat: Seat,
        on_request: Callable[[WorkerProcess, messages.Message], None],
        deaths: DeathWatch,
    ) -> None:
        self.manifest = manifest
        #: What tells the workers of a host apart.
        self.number = number
        self.seat = seat
        #: Rung when it has orders, or replies to its own calls.
        self.bell = Doorbell.create(f"noodle-worker-{manifest.name}")
        self._deaths = deaths
        self._is_dead = False
        self.state = WorkerState.SPAWNING
        self.child: Child | None = None
        self.methods: list[messages.MethodInfo] = []
        self.started_at_s = time.time()
        self._failed: messages.Failed | None = None
        #: What it said last about leading, yielding and following.
        self.led: messages.Leading | None = None
        self.yielded: messages.Yielded | None = None
        self.kept = ""
        self.has_caught_up = False
        #: What it follows for.
        self.role = Role.CANDIDATE
        #: Whether it hands replies to the leader.
        self.relays = False
        #: Why it follows no more.
        self.dropped = ""
        self.gone = asyncio.Event()
        self._changed = asyncio.Event()
        self._on_request = on_request
        self._control: PacketSocket | None = None
        self._orders: Orders | None = None
        self._outputs: list[OutputReader] = []
        self._health: asyncio.Future[str | None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        return None if self.child is None else self.child.pid

    @property
    def label(self) -> str:
        return f"{self.manifest.name} {self.manifest.version}"

    def info(self) -> WorkerInfo:
        """A picture of now."""
        return WorkerInfo(self.pid, self.manifest.version, str(self.state), self.started_at_s)

    @property
    def failure(self) -> HostError | None:
        """Why it could not be, if it said so; another object each time.

        One that was raised holds the frames that it passed, and they hold this worker.
        """
        return None if self._failed is None else from_wire(self._failed.error, StartError)

    @property
    def order(self) -> int:
        """The last command that it has executed; a leader tells it when it rests."""
        return self.bell.words[layout.BELL_ORDER]

    # -- life --------------------------------------------------------------

    async def spawn(self, spawner: Spawner, spec: bytes, lifeline: int, routes_fd: int) -> None:
        """Start the process; raises StartError."""
        name, version = self.manifest.name, self.manifest.version
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            try:
                ours, control = PacketSocket.pair()
                undo.callback(ours.close)
                theirs.callback(control.close)
                fds = [control.fileno()]
                for level in (logging.INFO, logging.WARNING):
                    ours_fd, theirs_fd = os.pipe2(os.O_CLOEXEC)
                    theirs.callback(os.close, theirs_fd)
                    fds.append(theirs_fd)
                    reader = OutputReader(ours_fd, level, name, version)
                    undo.callback(reader.close)
                    self._outputs.append(reader)
                # As in worker.main.FD_NAMES.
                fds += [lifeline, *self.bell.fds(), *self.seat.bell.fds(), routes_fd]
                self.child = await spawner.spawn(f"{name} {version}", spec, fds)
            except OSError as error:
                raise self._start_error(f"the host has no means left: {error}", "spawn") from error
            except StartError as error:
                error.component, error.version = name, version
                raise
            undo.pop_all()
        self._step(WorkerEvent.SPAWNED)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._control = PacketSocket(ours, messages.decoder)
        self._orders = Orders(self._control, self.bell, self._on_deaf)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours.fileno(), self._on_message)
        loop.add_reader(self.child.pidfd, self._on_exit)
        for reader in self._outputs:
            reader.start(self.child.pid)

    def tell(self) -> None:
        """Have whoever waits in :meth:`until` look again."""
        self._changed.set()

    async def until(self, done: Callable[[], object]) -> None:
        """Wait until ``done()``, which is looked at whenever the worker says something."""
        while not done():
            self._changed.clear()
            await self._changed.wait()

    async def until_caught_up(self) -> None:
        """Wait until it has followed to the end once, or never will: dropped, or dead."""
        await self.until(
            lambda: self.has_caught_up or self.dropped or self.state is WorkerState.GONE
        )

    async def reach(self, wanted: WorkerState, timeout_s: float, phase: str) -> None:
        """Wait until the state is reached; on failure or time-out, kill and raise."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.until(lambda: self.state in (wanted, WorkerState.GONE))
                if self.state is not wanted:
                    raise self.failure or self._start_error(
                        f"the worker died during {phase}: {self.how_it_ended()}", phase
                    )
        except TimeoutError:
            await self.kill()
            raise self._start_error(
                f"it was not ready within {timeout_s:g} s ({phase}) and was killed", phase
            ) from None

    def _start_error(self, message: str, phase: str) -> StartError:
        return StartError(
            message,
            component=self.manifest.name,
            version=self.manifest.version,
            worker=self.pid,
            phase=phase,
            hint="what it printed is in the log",
        )

    def how_it_ended(self) -> str:
        """In words: killed by a signal, exit status, or not known."""
        code = None if self.child is None else self.child.exit_code
        if code is None:
            return "how it ended is not known"
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"killed by {name}"
        return f"exit status {code}"

    async def kill(self) -> None:
        """SIGKILL, and wait until the death is proved."""
        if self.child is not None and self.state is not WorkerState.GONE:
            self.child.kill()
            await self.gone.wait()

    def _watch_life(self) -> None:
        """Learn of a sudden death before the memory of the dead one is torn down."""
        loop = asyncio.get_running_loop()

        def lost() -> None:
            # A loop that is closed has no use for it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_life_lost)

        self._deaths.watch(self.bell.segment, lost)

    def _on_life_lost(self) -> None:
        """The main thread is dead, the only one that touches lanes: a proof too."""
        # A stop waits for the pidfd, after which nothing is left of the process.
        if self._is_dead or self.state is WorkerState.STOPPING:
            return
        assert self.child is not None
        # Native code may have ended the main thread alone.
        self.child.kill()
        if self.child.exit_code is None:
            self.child.exit_code = _exit_code(self.child.pid)
        self._on_exit()

    def _on_exit(self) -> None:
        """The pidfd is readable, or the life word is given up: the death is proved."""
        assert self.child is not None
        self._is_dead = True
        self._deaths.forget(self.bell.segment)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.child.pidfd)
        # What it said before it died still counts.
        for _ in range(_TURNS_AFTER_DEATH):
            if not self._hear_some():
                break
        if self._control is not None:
            loop.remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        self._later(self._bury())

    async def _bury(self) -> None:
        assert self.child is not None
        if self.child.exit_code is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REAPED_WITHIN_S):
                    await self.child.reaped.wait()
        self.child.close()
        for output in self._outputs:
            if not output.close():
                self._later(output.log_rest())
        if self._health is not None and not self._health.done():
            self._health.set_result("the worker died")
        self.bell.close()
        self._step(WorkerEvent.EXITED)
        self.gone.set()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        # The event loop itself holds its tasks only weakly.
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _step(self, event: WorkerEvent) -> None:
        self.state = next_state(self.state, event)
        self._changed.set()

    # -- orders ------------------------------------------------------------

    def send(self, message: messages.Message, fds: Sequence[int] = ()) -> None:
        """Send an order and see that it is looked at, also by a busy worker."""
        if self._orders is not None:
            self._orders.send(message, fds)

    def _on_deaf(self) -> None:
        _LOG.error("%s does not take its orders and is killed", self.label)
        assert self.child is not None
        self.child.kill()

    def attach(self, channel: Channel) -> None:
        """Give the worker the seat's end of a channel."""
        fds = [channel.segment.fd, *channel.caller_bell.fds()]
        seat = 0 if channel.caller is None else channel.caller.seat.number
        self.send(messages.Attach(channel.number, channel.caller_name, seat), fds)

    def prepare(self, message: messages.Prepare, fds: Sequence[int] = ()) -> None:
        """Have it start, or take over a state; raises StartError if it is dead."""
        if self.state is WorkerState.GONE:
            raise self.failure or self._start_error(
                f"the worker died before it was started: {self.how_it_ended()}", "start"
            )
        self._step(WorkerEvent.PREPARE)
        self.send(message, fds)

    def lead(self, dead: WorkerProcess | None) -> None:
        """Have it serve its seat; ``dead`` was the last leader, None if it has yielded."""
        if dead is None:
            self.send(messages.Lead())
        else:
            version = dead.manifest.version
            self.send(messages.Lead(dead.how_it_ended(), version, dead.pid or 0))

    def stop(self) -> None:
        """Have it finish what is in its lanes and exit; it must have started."""
        self._step(WorkerEvent.STOP)
        self.send(messages.Stop())

    async def check_health(self, timeout_s: float) -> str | None:
        """Ask the health hook; None: healthy."""
        if self.state is not WorkerState.SERVING:
            return f"the worker is {self.state}"
        if self._health is None or self._health.done():
            self._health = asyncio.get_running_loop().create_future()
            self.send(messages.CheckHealth())
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._health)
        except TimeoutError:
            return f"it did not answer within {timeout_s:g} s"

    # -- messages ----------------------------------------------------------

    def _on_message(self) -> None:
        # Not all that there is: a worker that floods must not stop the event loop.
        self._hear_some()

    def _hear_some(self) -> bool:
        """Hear a few messages; True if there may be more."""
        for _ in range(_MESSAGES_A_TURN):
            if self._control is None:
                return False
            try:
                received: tuple[Any, list[int]] | None = self._control.receive()
            except BlockingIOError:
                return False
            except ValueError as error:
                self._on_nonsense(str(error))
                continue
            except OSError:
                received = None
            if received is None:
                if not self._is_dead:
                    # End-of-file is no proof of death: a plugin may have closed
                    # the descriptor. But it takes no more orders.
                    asyncio.get_running_loop().remove_reader(self._control.fileno())
                    self._later(self._reap_deaf())
                return False
            message, fds = received
            for fd in fds:
                os.close(fd)
            try:
                self._hear(message)
            except ValueError as error:
                self._on_nonsense(str(error))
        return True

    def _on_nonsense(self, what: str) -> None:
        if not self._is_dead:
            _LOG.error("%s sent nonsense and is killed: %s", self.label, what)
            assert self.child is not None
            self.child.kill()

    async def _reap_deaf(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXITS_WITHIN_S):
                await self.gone.wait()
                return
        _LOG.error("%s closed its control socket and is killed", self.label)
        await self.kill()

    def _hear(self, message: messages.Message) -> None:
        match message:
            case messages.Loaded(methods):
                self._step(WorkerEvent.LOADED)
                self.methods = methods
                self._watch_life()
            case messages.Ready():
                self._step(WorkerEvent.READY)
            case messages.Leading():
                self.led = message
                self._step(WorkerEvent.LEADING)
            case messages.Yielded():
                self.yielded = message
                self._step(WorkerEvent.YIELDED)
            case messages.Kept(why):
                self.kept = why
                self._changed.set()
            case messages.CaughtUp():
                self.has_caught_up = True
                self._changed.set()
            case messages.Failed():
                self._failed = message
            case messages.Health(problem):
                if self._health is not None and not self._health.done():
                    self._health.set_result(problem)
            case messages.Stopped():
                pass
            case _:
                self._on_request(self, message)


def _exit_code(pid: int) -> int | None:
    """How a process ends that is dying but not reaped; None if it cannot be known."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            status = int(stat.read().rpartition(")")[2].split()[-1])
    except (OSError, ValueError, IndexError):
        return None
    return os.waitstatus_to_exitcode(status)
