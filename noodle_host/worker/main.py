"""The life of a worker: load, report, lead, serve, stop."""

from __future__ import annotations

import contextlib
import fcntl
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
from ..router.native import Sleeper
from ..router.packets import PacketSocket
from ..router.route import RouteTable
from ..router.segment import Segment
from . import messages
from .context import MarkedLineHandler, WorkerContext
from .control import Control, HostConnector, attach_channel
from .inlet import Inlet
from .loading import LoadedComponent, load_component
from .server import Server
from .spec import FD_NAMES, WorkerSpec, decode_spec

_LONGEST_SLEEP_S: Final = 1.0

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
    _die_with_host(names["lifeline"])
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


def _die_with_host(lifeline: int) -> None:
    """Be killed by the kernel when the host is gone, whatever the plugin is doing.

    The host holds the other end of this pipe. An end-of-file on the control socket would
    be enough for a worker that looks at it; one that loops in native code does
    not, and a signal that it could block or handle would not do either.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        gone = os.read(lifeline, 1) == b""
    except BlockingIOError:
        gone = False
    if gone:
        # It died before the signal was armed.
        os._exit(0)


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
        self._inlets: list[Inlet] = []

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
        infos = [
            messages.MethodInfo(m.name, m.is_query, m.is_stream, m.at_most_once)
            for m in methods.values()
        ]
        self._control.send(messages.Loaded(infos))
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
                end = attach_channel(fds, caller=False)
                self._server.attach(Inlet(channel, caller, end))
            case messages.Detach(channel):
                self._server.detach(channel)
            case messages.Lead():
                self._lead()
            case messages.CheckHealth():
                self._report_health()
            case messages.Stop():
                self._stopping = True
                self._server.close_tasks()
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
        assert self._component is not None
        try:
            problem: Any = self._component.hooks.health()
        except BaseException as error:
            problem = f"health() raised {type(error).__name__}: {error}"
        self._control.send(messages.Health(None if problem is None else str(problem)))

    def _stop(self) -> None:
        assert self._component is not None
        try:
            self._component.hooks.stop()
        except BaseException as error:
            self._log_lost_error(error)
        self._control.send(messages.Stopped())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

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
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    @staticmethod
    def _log_lost_error(error: BaseException) -> None:
        logging.getLogger("noodle_host.worker").error(
            "nobody to tell: %s: %s", type(error).__name__, error, exc_info=error
        )
