"""The life of a worker: load, report, lead, serve, stop."""

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
from ..router.endpoint import Endpoint
from ..router.lane import CorruptLaneError
from ..router.native import Sleeper
from ..router.packets import PacketSocket
from ..router.route import RouteTable
from ..router.segment import Segment
from . import messages
from .context import MarkedLineHandler, WorkerContext
from .control import Control, HostConnector, attach_channel
from .forked import cut_off, tell_in_child
from .inlet import Inlet
from .lifeline import arm
from .loading import LoadedComponent, load_component
from .server import Server
from .spec import FD_NAMES, WorkerSpec, decode_spec

_LONGEST_SLEEP_S: Final = 1.0
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
    # Where the C library has no such futex, the host goes by the pidfd.
    with contextlib.suppress(OSError):
        life.hold(bell.segment)
    table = RouteTable(Segment.attach(names["routes"], writable=False))
    Worker(spec, control, bell, table).run()


class Worker:
    """One component in one process, holding one seat."""

    def __init__(
        self, spec: WorkerSpec, control: Control, bell: Doorbell, table: RouteTable
    ) -> None:
        self._spec = spec
        self._control = control
        self._bell = bell
        self._endpoint = Endpoint(bell, table, HostConnector(control), salt=spec.salt)
        self._leading = False
        self._stopping = False
        self._control_seen = 0
        self._component: LoadedComponent | None = None
        self._server: Server | None = None

    def run(self) -> None:
        """Load the component, then serve until told to stop."""
        manifest = self._spec.manifest
        handler = MarkedLineHandler(lambda data: os.write(2, data))
        logging.basicConfig(level=logging.DEBUG, handlers=[handler], force=True)
        try:
            component = self._component = load_component(manifest)
        except BaseException as error:
            self._fail(error, "load")
        methods = component.methods
        self._server = Server(manifest.name, manifest.version, methods)
        self._server.on_lost_error = self._log_lost_error  # type: ignore[method-assign]
        self._server.on_corrupt = self._report_corrupt  # type: ignore[method-assign]
        tell_in_child(self)
        infos = [
            messages.MethodInfo(m.name, m.is_query, m.is_stream, m.at_most_once)
            for m in methods.values()
        ]
        try:
            self._control.send(messages.Loaded(infos))
        except ValueError as error:
            # More methods than fit into a message.
            self._fail(error, "load")
        self._serve()

    def _serve(self) -> None:
        server = self._server
        assert server is not None
        words = self._bell.words
        sleeper = Sleeper(self._bell, self._control.socket.fileno())

        def ready() -> bool:
            return (self._leading and server.has_work()) or words[
                layout.BELL_CONTROL
            ] != self._control_seen

        looked = False
        while True:
            if words[layout.BELL_CONTROL] != self._control_seen:
                self._take_orders()
            if self._leading and server.turn():
                looked = False
                continue
            if self._stopping and server.idle:
                self._stop()
            # Mail that cannot be taken, because its caller does not read its
            # replies, must not keep us awake.
            if self._leading and not looked and sleeper.spin(server.watched()):
                looked = True
                continue
            looked = False
            if sleeper.sleep(ready, _LONGEST_SLEEP_S):
                self._take_orders()

    # -- orders ------------------------------------------------------------

    def _take_orders(self) -> None:
        self._control_seen = self._bell.words[layout.BELL_CONTROL]
        while (received := self._control.receive()) is not None:
            message, fds = received
            self._obey(message, fds)

    def _obey(self, message: messages.Message, fds: list[int]) -> None:
        assert self._server is not None
        match message:
            case messages.Attach(channel, caller):
                try:
                    end = attach_channel(fds, caller=False)
                except (ValueError, CorruptLaneError) as error:
                    self._report_corrupt(channel, str(error))
                    return
                self._server.attach(Inlet(channel, caller, end))
            case messages.Detach(channel):
                self._server.detach(channel)
            case messages.Lead():
                self._lead()
            case messages.CheckHealth():
                self._report_health()
            case messages.Stop():
                self._stopping = True
                self._server.suspend_tasks()
            case _:
                os.write(2, f"unexpected control message: {message!r}\n".encode())

    def _lead(self) -> None:
        assert self._component is not None
        assert self._server is not None
        manifest = self._spec.manifest
        server = self._server
        context = WorkerContext(
            manifest.name,
            manifest.version,
            frozenset(manifest.requires),
            self._endpoint,
            lambda: server.deadline_ns,
            self._spec.salt,
        )
        try:
            self._component.hooks.start(context=context)
        except BaseException as error:
            self._fail(error, "start")
        self._leading = True
        self._control.send(messages.Leading())

    def _report_health(self) -> None:
        problem: Any = None
        if self._leading:
            assert self._component is not None
            self._forget_deadline()
            try:
                problem = self._component.hooks.health()
            except BaseException as error:
                problem = f"health() raised {type(error).__name__}: {error}"
        self._control.send(messages.Health(None if problem is None else _clipped(problem)))

    def _report_corrupt(self, channel: int, what: str) -> None:
        self._control.send(messages.CorruptCaller(channel, what))

    def _stop(self) -> None:
        if self._leading:
            # What has not started has nothing to stop.
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
        assert self._server is not None
        self._server.deadline_ns = 0

    @staticmethod
    def _leave(status: int) -> NoReturn:
        for output in (sys.stdout, sys.stderr):
            # The plugin may have closed or replaced them.
            with contextlib.suppress(Exception):
                output.flush()
        os._exit(status)

    def on_forked(self) -> None:
        """The component has forked: this child is not the worker, whatever it returns to."""
        assert self._server is not None
        self._server.disown()
        leave: Any = self._server.leave
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
