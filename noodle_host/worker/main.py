"""The life of a worker: load, prepare, stand by, lead, yield, stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import traceback
from typing import Any, Final, NoReturn

from ..errors import HostError, StartError
from ..router import codec, layout, life
from ..router.bell import Doorbell
from ..router.buffer import Buffers
from ..router.endpoint import Endpoint
from ..router.lane import CorruptLaneError
from ..router.native import Sleeper
from ..router.packets import PacketSocket
from ..router.route import RouteTable
from ..router.segment import Segment
from . import messages
from .context import MarkedLineHandler, WorkerContext
from .control import Control, HostBuffers, HostConnector
from .forked import cut_off, tell_in_child
from .lifeline import arm
from .loading import LoadedComponent, load_component
from .moment import Moment
from .spec import FD_NAMES, WorkerSpec, decode_spec
from .steps import Step, Steps
from .tenure import Tenure

# Received buffers that stay mapped, in case they come again.
_REMEMBERED_BUFFERS: Final = 8
# While a caller has not read yet what buffers were sent in that are dropped here.
_TIDY_EVERY_S: Final = 0.05
_LONGEST_PROBLEM_CHARS: Final = 8_000

#: Syntax trees are deep, and decoding one takes several levels for each of its own.
_RECURSION_LIMIT: Final = 10_000


def run_worker(spec_body: bytes, fds: list[int]) -> None:
    """Be a worker until told to stop; the fork server's child calls this."""
    names = dict(zip(FD_NAMES, fds, strict=True))
    sys.setrecursionlimit(_RECURSION_LIMIT)
    os.dup2(names["stdout"], 1)
    os.dup2(names["stderr"], 2)
    os.close(names["stdout"])
    os.close(names["stderr"])
    # The whole group, with what the plugin starts, by a signal that it cannot keep off.
    if not arm(names["lifeline"], signal.SIGKILL, -os.getpgrp()):
        os._exit(0)
    # What a plugin prints is text for people, line by line.
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sock = PacketSocket(socket.socket(fileno=names["control"]), messages.decoder)
    control = Control(sock)
    sock.socket.setblocking(False)
    spec = decode_spec(spec_body)
    bell = Doorbell.attach(names["bell_page"], names["bell"])
    seat_bell = Doorbell.attach(names["seat_page"], names["seat_bell"])
    # Where the C library has no such futex, the host goes by the pidfd.
    with contextlib.suppress(OSError):
        life.hold(bell.segment)
    table = RouteTable(Segment.attach(names["routes"], writable=False))
    Worker(spec, control, bell, seat_bell, table).run()


class Worker:
    """One component in one process, for one seat."""

    def __init__(
        self,
        spec: WorkerSpec,
        control: Control,
        bell: Doorbell,
        seat_bell: Doorbell,
        table: RouteTable,
    ) -> None:
        self._spec = spec
        self._control = control
        self._bell = bell
        self._seat_bell = seat_bell
        self._buffers = Buffers(HostBuffers(control), remembered=_REMEMBERED_BUFFERS)
        self._buffers_seen = 0
        self._endpoint = Endpoint(
            bell,
            table,
            HostConnector(control),
            salt=spec.salt,
            first_id=layout.FIRST_PLAIN_ID,
            buffers=self._buffers,
        )
        self._moment = Moment()
        self._steps = Steps(spec.traps)
        self._stopping = False
        self._control_seen = 0
        self._component: LoadedComponent | None = None
        self._tenure: Tenure | None = None

    def run(self) -> None:
        """Load the component, then serve until told to stop."""
        manifest = self._spec.manifest
        handler = MarkedLineHandler(lambda data: os.write(2, data))
        logging.basicConfig(level=logging.DEBUG, handlers=[handler], force=True)
        self._steps.reach(Step.SPAWNED)
        try:
            component = self._component = load_component(manifest)
        except BaseException as error:
            self._fail(error, "load")
        self._tenure = Tenure(
            component,
            self._moment,
            self._control,
            self._bell,
            self._seat_bell,
            self._steps,
            self._buffers,
            self._log_lost_error,
        )
        tell_in_child(self)
        infos = [
            messages.MethodInfo(m.name, m.is_query, m.is_stream, m.at_most_once)
            for m in component.methods.values()
        ]
        self._steps.reach(Step.LOADED)
        try:
            self._control.send(messages.Loaded(infos))
        except ValueError as error:
            # More methods than fit into a message.
            self._fail(error, "load")
        self._serve(self._tenure)

    def _serve(self, tenure: Tenure) -> None:
        words = self._bell.words
        control = self._control.socket.fileno()
        # A leader sleeps on its seat's bell, which callers ring.
        sleepers = {
            True: Sleeper(self._seat_bell, control, self._bell.fd),
            False: Sleeper(self._bell, control),
        }

        def ready() -> bool:
            return (
                tenure.has_work()
                or words[layout.BELL_CONTROL] != self._control_seen
                or words[layout.BELL_BATON] != tenure.baton_seen
            )

        departing = self._buffers.departures.waiting
        looked = False
        while True:
            if departing or words[layout.BELL_BUFFERS] != self._buffers_seen:
                self._tidy()
            if words[layout.BELL_CONTROL] != self._control_seen:
                self._take_orders()
            if words[layout.BELL_BATON] != tenure.baton_seen:
                self._lead(None)
            if tenure.turn():
                looked = False
                continue
            if self._stopping and tenure.idle:
                self._stop()
            leads = tenure.leads
            # Mail that cannot be taken, because its caller does not read its
            # replies, must not keep us awake.
            if leads and not looked and sleepers[True].spin(tenure.server.watched()):
                looked = True
                continue
            looked = False
            tenure.rest()
            longest_s = tenure.longest_sleep_s
            if self._tidy():
                longest_s = min(longest_s, _TIDY_EVERY_S)
            if sleepers[leads].sleep(ready, longest_s):
                self._bell.drain()
                self._take_orders()

    def _tidy(self) -> bool:
        """Give up buffers; True if some are dropped here and still on their way."""
        dropped = self._bell.words[layout.BELL_BUFFERS]
        if dropped != self._buffers_seen:
            self._buffers_seen = dropped
            self._buffers.forget_received()
        return self._buffers.departures.settle()

    # -- orders ------------------------------------------------------------

    def _take_orders(self) -> None:
        self._control_seen = self._bell.words[layout.BELL_CONTROL]
        while (received := self._control.receive()) is not None:
            message, fds = received
            self._obey(message, fds)

    def _obey(self, message: messages.Message, fds: list[int]) -> None:
        assert self._tenure is not None
        tenure = self._tenure
        match message:
            case messages.Attach(channel, caller, caller_seat):
                try:
                    tenure.attach(channel, caller, caller_seat, fds)
                except (ValueError, CorruptLaneError) as error:
                    tenure.report_corrupt(channel, str(error))
            case messages.Detach(channel):
                tenure.detach(channel)
            case messages.Prepare():
                try:
                    tenure.prepare(message, fds, self._context())
                except BaseException as error:
                    self._fail(error, "start")
                self._control.send(messages.Ready())
            case messages.Lead():
                self._lead(message)
            case messages.Yield():
                tenure.yield_seat(message, fds)
            case messages.Snapshot():
                tenure.snapshot(message, fds)
            case messages.Follow(number):
                tenure.follow(number, fds)
            case messages.Unfollow(number):
                tenure.unfollow(number)
            case messages.Checkpointed(order):
                tenure.checkpointed(order)
            case messages.Share(number, basis_points):
                tenure.set_share(number, basis_points)
            case messages.Relay():
                tenure.relay(fds)
            case messages.CheckHealth():
                self._report_health()
            case messages.Stop():
                self._stopping = True
                tenure.server.tasks.end()
            case _:
                os.write(2, f"unexpected control message: {message!r}\n".encode())

    def _lead(self, order: messages.Lead | None) -> None:
        """Lead, by the host's order or with the baton of the last leader."""
        assert self._tenure is not None
        self._tenure.baton_seen = self._bell.words[layout.BELL_BATON]
        try:
            self._tenure.lead(dead=order)
        except BaseException as error:
            self._fail(error, "lead")

    def _context(self) -> WorkerContext:
        manifest = self._spec.manifest
        return WorkerContext(
            manifest.name,
            manifest.version,
            frozenset(manifest.requires),
            self._endpoint,
            self._moment,
            self._spec.salt,
        )

    def _report_health(self) -> None:
        problem: Any = None
        assert self._tenure is not None
        if self._tenure.leads:
            assert self._component is not None
            self._forget_deadline()
            try:
                problem = self._component.hooks.health()
            except BaseException as error:
                problem = f"health() raised {type(error).__name__}: {error}"
        self._control.send(messages.Health(None if problem is None else _clipped(problem)))

    def _stop(self) -> None:
        # What is told to stop has started.
        assert self._component is not None
        self._forget_deadline()
        try:
            self._component.hooks.stop()
        except BaseException as error:
            self._log_lost_error(error)
        self._control.send(messages.Stopped())
        self._leave(0)

    def _forget_deadline(self) -> None:
        """A hook's calls have no deadline, whatever that of the last call was."""
        self._moment.deadline_ns = 0

    @staticmethod
    def _leave(status: int) -> NoReturn:
        for output in (sys.stdout, sys.stderr):
            # The plugin may have closed or replaced them.
            with contextlib.suppress(Exception):
                output.flush()
        os._exit(status)

    def on_forked(self) -> None:
        """The component has forked: this child is not the worker, whatever it returns to."""
        assert self._tenure is not None
        server = self._tenure.server
        server.disown()
        leave: Any = server.leave
        self._control.receive = self._control.send = leave  # type: ignore[method-assign]
        manifest = self._spec.manifest
        error = HostError(
            "it calls another component from a child that it has forked",
            component=manifest.name,
            version=manifest.version,
            phase="call",
            hint="call other components from the method itself",
        )
        cut_off(self._endpoint, error)

    def _fail(self, error: BaseException, phase: str) -> NoReturn:
        """Tell the host why this worker cannot be, and exit."""
        manifest = self._spec.manifest
        if isinstance(error, HostError):
            failure = error
        else:
            failure = StartError(
                f"{phase} raised {type(error).__name__}: {error}",
                component=manifest.name,
                version=manifest.version,
                worker=os.getpid(),
                phase=phase,
            )
        trace = "".join(traceback.format_exception(error))
        wire = codec.to_wire(failure, trace)
        self._control.send(messages.Failed(wire))
        self._leave(1)

    @staticmethod
    def _log_lost_error(error: BaseException) -> None:
        logging.getLogger("noodle_host.worker").error(
            "nobody to tell: %s: %s", type(error).__name__, error, exc_info=error
        )


def _clipped(problem: object) -> str:
    try:
        return str(problem)[:_LONGEST_PROBLEM_CHARS]
    except Exception as error:
        return f"health() returned what cannot be shown: {type(error).__name__}"
