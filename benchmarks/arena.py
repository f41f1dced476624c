"""Each contender in a process of its own, which measures when it is its turn.

So none is disturbed by the threads of another, all have the same surroundings,
and the turns can be interleaved. Between its turns a contender is stopped: some
of them spin while they wait, and would take the cores from the one whose turn it is.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import psutil

from .contenders.protocol import Contender

#: Name -> module, class, arguments, environment.
ROSTER: Final[Mapping[str, tuple[str, str, tuple[Any, ...], dict[str, str]]]] = {
    "call": ("host", "HostEcho", (), {}),
    "zero_copy": ("host", "ZeroCopyEcho", (), {}),
    "call_python_lane": ("host", "HostEcho", (), {"NOODLE_HOST_NATIVE": "0"}),
    "pipe": ("pipe", "PipeEcho", (), {}),
    "queue": ("queue", "QueueEcho", (), {}),
    "process_pool": ("pool", "PoolEcho", (), {}),
    "pyzmq": ("zeromq", "ZeromqEcho", (), {}),
    "faster_fifo": ("fifo", "FifoEcho", (), {}),
    "iceoryx2_polling": ("iceoryx", "IceoryxEcho", (False,), {}),
    "iceoryx2_events": ("iceoryx", "IceoryxEcho", (True,), {}),
    "grpc": ("grpc_unix", "GrpcEcho", (), {}),
    "ray_actor": ("ray_echo", "RayActorEcho", (), {}),
    "ray_graph": ("ray_echo", "RayGraphEcho", (), {}),
    "eventfd": ("floor", "EventfdEcho", (), {}),
    "c_spin": ("floor", "SpinEcho", (), {}),
}


@dataclass(frozen=True)
class Work:
    """One turn: ``count`` round trips of ``size`` bytes, a pause before each.

    With ``in_flight`` they are pipelined, and one time, the mean, is returned. With
    ``busy_thread`` another thread of the caller's process computes meanwhile.
    With ``nap_s``, calls that take that long are made instead, and what is
    returned is how far the busy thread got, in loops a second.
    """

    count: int
    size: int = 64
    pause_s: float = 0.0
    in_flight: int = 0
    busy_thread: bool = False
    nap_s: float | None = None


class _BusyThread:
    """Counts loops of pure Python until it is stopped."""

    def __init__(self) -> None:
        self.loops = 0
        self._stop = False
        self._thread = threading.Thread(target=self._main, daemon=True)

    def _main(self) -> None:
        while not self._stop:
            self.loops += 1

    def __enter__(self) -> _BusyThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()


def _round_trips(contender: Contender, work: Work) -> list[float]:
    data = os.urandom(work.size)
    clock = time.perf_counter
    echo = contender.echo
    times = []
    if work.pause_s:
        for _ in range(work.count):
            time.sleep(work.pause_s)
            began = clock()
            echo(data)
            times.append(clock() - began)
        return times
    for _ in range(work.count):
        began = clock()
        echo(data)
        times.append(clock() - began)
    return times


def _pipelined(contender: Contender, work: Work) -> list[float]:
    data = os.urandom(work.size)
    send, receive = contender.send, contender.receive
    began = time.perf_counter()
    for _ in range(work.in_flight):
        send(data)
    for _ in range(work.count - work.in_flight):
        receive()
        send(data)
    for _ in range(work.in_flight):
        receive()
    return [(time.perf_counter() - began) / work.count]


def _loops_during(wait: Callable[[], object]) -> float:
    with _BusyThread() as busy:
        first, began = busy.loops, time.perf_counter()
        wait()
        return (busy.loops - first) / (time.perf_counter() - began)


def _naps(contender: Contender, count: int, nap_s: float) -> None:
    for _ in range(count):
        contender.nap(nap_s)


def _do(contender: Contender, work: Work) -> list[float]:
    if work.nap_s is not None:
        nap_s = work.nap_s
        alone = _loops_during(lambda: time.sleep(nap_s * work.count))
        during = _loops_during(lambda: _naps(contender, work.count, nap_s))
        return [during / alone]
    if work.busy_thread:
        with _BusyThread():
            return _round_trips(contender, work)
    return _pipelined(contender, work) if work.in_flight else _round_trips(contender, work)


def _serve(name: str, connection: Connection) -> None:
    module, class_name, arguments, environment = ROSTER[name]
    os.environ.update(environment)
    try:
        loaded = importlib.import_module(f"{__package__}.contenders.{module}")
        contender: Contender = getattr(loaded, class_name)(*arguments)
    except ImportError as error:
        connection.send(f"missing: {error}")
        return
    except Exception as error:
        connection.send(f"failed to start: {type(error).__name__}: {error}")
        return
    connection.send(None)
    try:
        while (work := connection.recv()) is not None:
            try:
                connection.send(_do(contender, work))
            except NotImplementedError:
                connection.send("not offered")
            except Exception as error:
                connection.send(f"failed: {type(error).__name__}: {error}")
    finally:
        contender.close()


class Arena:
    """Starts contenders and gives them their turns. A context manager."""

    def __init__(self, names: Iterable[str]) -> None:
        self._connections: dict[str, Connection] = {}
        self._pids: dict[str, int] = {}
        self._processes: list[Any] = []
        #: Why a contender is not there.
        self.missing: dict[str, str] = {}
        context = multiprocessing.get_context("spawn")
        for name in names:
            near, far = context.Pipe()
            process = context.Process(target=_serve, args=(name, far))
            process.start()
            far.close()
            self._processes.append(process)
            try:
                problem = near.recv()
            except EOFError:
                problem = "failed to start: its process ended"
            if problem is None:
                self._connections[name] = near
                assert process.pid is not None
                self._pids[name] = process.pid
                self._signal(name, signal.SIGSTOP)
            else:
                self.missing[name] = problem

    @property
    def names(self) -> list[str]:
        """Those that take part."""
        return list(self._connections)

    def turn(self, name: str, work: Work) -> list[float] | str:
        """Let one contender work: its times in seconds, or why it has none."""
        connection = self._connections[name]
        self._signal(name, signal.SIGCONT)
        connection.send(work)
        answer: list[float] | str = connection.recv()
        self._signal(name, signal.SIGSTOP)
        return answer

    def _signal(self, name: str, number: int) -> None:
        """Signal a contender and all that it has started."""
        process = psutil.Process(self._pids[name])
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def medians_us(
        self, works: Mapping[str, Work], rounds: int, names: Iterable[str] | None = None
    ) -> dict[str, dict[str, float]]:
        """Label -> contender -> median in microseconds, turns interleaved.

        A contender that cannot do a piece of work is left out of its row.
        """
        found: dict[str, dict[str, list[float]]] = {label: {} for label in works}
        order = [name for name in (names or self.names) if name in self._connections]
        for label, work in works.items():
            # Warm up, and leave out who cannot do it.
            able = []
            for name in order:
                small = Work(**{**vars(work), "count": max(work.in_flight, work.count // 10, 1)})
                if isinstance(self.turn(name, small), list):
                    able.append(name)
            for turn in range(rounds):
                shift = turn % max(1, len(able))
                for name in able[shift:] + able[:shift]:
                    times = self.turn(name, work)
                    if isinstance(times, list):
                        found[label].setdefault(name, []).extend(times)
        return {
            label: {name: statistics.median(times) * 1e6 for name, times in row.items()}
            for label, row in found.items()
        }

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        for name, connection in self._connections.items():
            self._signal(name, signal.SIGCONT)
            connection.send(None)
        for process in self._processes:
            process.join()
