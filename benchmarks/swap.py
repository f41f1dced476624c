"""``swap``: what callers wait while a component is replaced, and what readiness for it costs.

A thread calls in a closed loop and measures each call; another swaps there and back.
A window without a swap comes before each window with one.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import shutil
import signal
import statistics
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Protocol

from noodle_host import Host, HostConfig, RestartPolicy

ENTRIES: Final = {"10": 10, "10k": 10_000, "1M": 1_000_000}
ARRAY_BYTES: Final = 1 << 30
VERSIONS: Final = ("1.0.0", "2.0.0")

_PLUGINS: Final = Path(__file__).parent / "plugins"
#: Of a window without a swap, and of what follows a swap and still is of its window.
_WINDOW_S: Final = 0.1
_TURN_CALLS: Final = 10_000
#: Of a stretch of a turn that has a median of its own.
_STRETCH_CALLS: Final = 500
#: A call that takes longer is not waited for.
_LONGEST_S: Final = 30.0
_PADDING: Final = bytes(56)


class Caller:
    """Calls in a closed loop, until it is closed. A context manager.

    ``put`` gets 64 bytes, the number of the call in the first 8, and answers with
    the number of commands executed so far.
    """

    def __init__(self, put: Callable[[bytes], int]) -> None:
        self.began_s = array("d")
        self.times_s = array("d")
        #: Commands of which the effect is missing, and which were executed once more.
        self.lost = 0
        self.duplicated = 0
        self._put = put
        self._called = 0
        self._expected = 0
        self._stop = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main)

    def _main(self) -> None:
        try:
            while not self._stop:
                self.call()
        except BaseException as error:
            self._failure = error

    def call(self) -> None:
        """Make one call, measure and check it."""
        self._called += 1
        data = self._called.to_bytes(8, "big") + _PADDING
        began = time.perf_counter()
        answer = self._put(data)
        self.began_s.append(began)
        self.times_s.append(time.perf_counter() - began)
        self._expected += 1
        if answer != self._expected:
            self.lost += max(0, self._expected - answer)
            self.duplicated += max(0, answer - self._expected)
            self._expected = answer

    def window(self, work: Callable[[], object]) -> slice:
        """The calls that were made while ``work`` was done, until the last has its answer."""
        # What came before may have held up the one that is under way.
        first = self._next()
        work()
        return slice(first, self._next())

    def longest_s(self, calls: slice, began_s: float, ended_s: float) -> float | None:
        """How long the longest of these calls took that were under way in that time."""
        times = zip(self.began_s[calls], self.times_s[calls], strict=True)
        return max(
            (took_s for at_s, took_s in times if at_s < ended_s and at_s + took_s > began_s),
            default=None,
        )

    def _next(self) -> int:
        """The number of the first call that begins after now."""
        number = len(self.times_s) + 1
        while len(self.times_s) < number:
            if self._failure is not None:
                raise self._failure
            time.sleep(0.001)
        return number

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()


class Subject(Protocol):
    """What is swapped."""

    def put(self, data: bytes) -> int: ...

    def check(self) -> None:
        """Raise AssertionError unless the whole state is there."""
        ...


@dataclass
class Happening:
    """What was done to a subject while it was called, and when, on the clock of the calls.

    ``pause_s`` and ``total_s`` are as the subject itself gives them. The steps are
    of a swap, each from its beginning to its end.
    """

    pause_s: float | None = None
    total_s: float | None = None
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)


class HostSubject:
    """A component of a host, with two versions that do the same."""

    def __init__(self, host: Host, name: str, size: int = 10) -> None:
        self._host = host
        self._name = name
        self._versions = list(VERSIONS)
        self._is_stateless = host.start(name, VERSIONS[0]).state_model == "stateless"
        self._size = size
        host.call(name, "fill", size, timeout=None)

    def put(self, data: bytes) -> int:
        count: int = self._host.call(self._name, "put", data)
        return count

    def swap(self, *, bake: bool = False) -> Happening:
        """Swap to the other version."""
        self._versions.reverse()
        events: list[tuple[str, float]] = []
        report = self._host.swap(
            self._name,
            self._versions[0],
            bake=bake,
            on_event=lambda event: events.append((event.step, time.perf_counter())),
        )
        steps = {
            step: (began_s, ended_s) for (step, began_s), (_, ended_s) in itertools.pairwise(events)
        }
        return Happening(report.pause_s, report.total_s, steps)

    def kill(self) -> Happening:
        """Kill the leader; return when the follower, of the other version, answers."""
        (info,) = [info for info in self._host.components() if info.name == self._name]
        worker = info.seats[0].worker
        pid = None if worker is None else worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._host.call(self._name, "size")
        self._versions.reverse()
        return Happening()

    def check(self) -> None:
        size = self._host.call(self._name, "size", timeout=None)
        if not self._is_stateless and size != self._size:
            raise AssertionError(f"{self._name} has {size} entries, not {self._size}")


def _serve(connection: Connection, restores: bool, entries: int) -> None:
    """The process of :class:`ByHand`."""
    if restores:
        connection.send("ready")
        count, stored = connection.recv()
    else:
        count, stored = 0, {f"key {number}": number for number in range(entries)}
    connection.send("serves")
    while True:
        match connection.recv():
            case "give":
                connection.send((count, stored))
                return
            case "size":
                connection.send(len(stored))
            case _:
                count += 1
                stored[f"key {count % 10}"] = count
                connection.send(count)


class ByHand:
    """The same without a host: a process, a pipe, and a lock that callers wait for.

    The next process is started before they have to wait.
    """

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._context = multiprocessing.get_context("spawn")
        self._connection, self._process = self._start(restores=False)
        self._connection.recv()
        # A caller has it for a moment only, so that whoever swaps gets it soon.
        self._turnstile = threading.Lock()
        self._lock = threading.Lock()

    def _start(self, *, restores: bool) -> tuple[Connection, Any]:
        near, far = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(far, restores, self._entries))
        process.start()
        far.close()
        return near, process

    def put(self, data: bytes) -> int:
        with self._turnstile:
            pass
        with self._lock:
            self._connection.send(data)
            count: int = self._connection.recv()
            return count

    def swap(self) -> Happening:
        began = time.perf_counter()
        connection, process = self._start(restores=True)
        connection.recv()
        with self._turnstile, self._lock:
            stopped = time.perf_counter()
            self._connection.send("give")
            # As bytes: there is no need to unpickle it here.
            connection.send_bytes(self._connection.recv_bytes())
            connection.recv()
            old, old_connection = self._process, self._connection
            self._process, self._connection = process, connection
            pause_s = time.perf_counter() - stopped
        old.join()
        old_connection.close()
        return Happening(pause_s, time.perf_counter() - began)

    def check(self) -> None:
        with self._turnstile, self._lock:
            self._connection.send("size")
            if (size := self._connection.recv()) != self._entries:
                raise AssertionError(f"{size} entries, not {self._entries}")

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()


class Figures:
    """Collects what was measured."""

    def __init__(self) -> None:
        #: Label -> what -> milliseconds.
        self.medians: dict[str, dict[str, float]] = {}
        #: Label -> step -> how long it and the longest call during a part of it took.
        self.steps: dict[str, dict[str, dict[str, float]]] = {}
        self.lost = 0
        self.duplicated = 0

    def measure(
        self,
        label: str,
        subject: Subject,
        event: Callable[[], Happening],
        rounds: int,
        before: Callable[[], object] | None = None,
    ) -> None:
        """Measure each of the events beside a window in which nothing happens."""
        found: dict[str, list[float]] = {}
        steps: dict[str, dict[str, list[float]]] = {}

        def note(where: dict[str, list[float]], **values_s: float | None) -> None:
            for name, value_s in values_s.items():
                if value_s is not None:
                    where.setdefault(name, []).append(value_s * 1e3)

        happenings: list[Happening] = []

        def happen() -> None:
            happenings.append(event())
            time.sleep(_WINDOW_S / 5)

        with Caller(subject.put) as caller:
            for _ in range(rounds):
                if before is not None:
                    before()
                    time.sleep(_WINDOW_S)
                quiet = caller.window(lambda: time.sleep(_WINDOW_S))
                note(found, **_spread("baseline_", caller.times_s[quiet]))
                calls = caller.window(happen)
                times_s = caller.times_s[calls]
                note(found, **_spread("", times_s))
                happening = happenings[-1]
                note(found, pause=happening.pause_s, total=happening.total_s)
                for step, (began_s, ended_s) in happening.steps.items():
                    note(
                        steps.setdefault(step, {}),
                        took=ended_s - began_s,
                        longest=caller.longest_s(calls, began_s, ended_s),
                    )
                subject.check()
        self.count(caller)
        self.medians[label] = _medians(found)
        if steps:
            self.steps[label] = {step: _medians(row) for step, row in steps.items()}

    def count(self, caller: Caller) -> None:
        self.lost += caller.lost
        self.duplicated += caller.duplicated


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in found.items()}


def _spread(prefix: str, times_s: array[float]) -> dict[str, float]:
    ordered = sorted(times_s)
    return {
        f"{prefix}p50": statistics.median(ordered),
        f"{prefix}p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        f"{prefix}longest": ordered[-1],
    }


#: Name -> plugin, class, state model.
_COMPONENTS: Final = {
    "live": ("store", "Store", "replicated"),
    "followed": ("store", "Store", "replicated"),
    "copied": ("store", "Store", "snapshot"),
    "stateless": ("store", "Forgetful", "stateless"),
    "adopted": ("grid", "Grid", "snapshot"),
}


@contextlib.contextmanager
def _host() -> Iterator[Host]:
    """A host that has the components in two versions."""
    with tempfile.TemporaryDirectory() as folder:
        for name in _COMPONENTS:
            for version in VERSIONS:
                _make_plugin(Path(folder) / name / version, name, version)
        # Killing leaders is what is measured here.
        config = HostConfig(
            restart=RestartPolicy(quarantine_after=1_000_000), call_timeout_s=_LONGEST_S
        )
        with Host(folder, config=config) as host:
            yield host


def _make_plugin(folder: Path, name: str, version: str) -> None:
    plugin, class_name, model = _COMPONENTS[name]
    source = _PLUGINS / plugin / "1.0.0"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "component.toml").write_text(
        f'[component]\nname = "{name}"\nversion = "{version}"\n'
        f'entry_point = "{plugin}:{class_name}"\n[state]\nmodel = "{model}"\n',
        encoding="utf-8",
    )


def _measure_swaps(host: Host, figures: Figures, rounds: int) -> None:
    subject = HostSubject(host, "stateless")
    # The first swap of a host warms its fork server, and is not counted.
    subject.swap()
    figures.measure("stateless", subject, subject.swap, rounds)
    host.stop("stateless")
    for name in ("live", "copied"):
        for label, entries in ENTRIES.items():
            subject = HostSubject(host, name, entries)
            figures.measure(f"{name}_{label}", subject, subject.swap, rounds)
            host.stop(name)
    subject = HostSubject(host, "adopted", ARRAY_BYTES)
    figures.measure("adopted_1GiB", subject, subject.swap, rounds)
    host.stop("adopted")
    subject = HostSubject(host, "followed")
    figures.measure(
        "takeover", subject, subject.kill, rounds, before=lambda: subject.swap(bake=True)
    )
    host.stop("followed")


def _measure_by_hand(figures: Figures, rounds: int) -> None:
    for size, entries in ENTRIES.items():
        by_hand = ByHand(entries)
        try:
            figures.measure(f"by_hand_{size}", by_hand, by_hand.swap, rounds)
        finally:
            by_hand.close()


def _measure_journal(host: Host, figures: Figures, rounds: int) -> dict[str, dict[str, float]]:
    """The median call of each in microseconds, of all stretches and of the quickest.

    Where the kernel puts caller and worker on one core for a while, a call takes
    several times as long as where each has its own; that is chance, and the same for
    all. The quickest stretches of all three are of one kind.
    """
    subjects = {
        "stateless": HostSubject(host, "stateless"),
        "journal": HostSubject(host, "live"),
        "follower": HostSubject(host, "followed"),
    }
    subjects["follower"].swap(bake=True)
    callers = {name: Caller(subject.put) for name, subject in subjects.items()}
    stretches_us: dict[str, list[float]] = {name: [] for name in callers}
    order = list(callers)
    for turn in range(rounds + 1):
        shift = turn % len(order)
        for name in order[shift:] + order[:shift]:
            caller = callers[name]
            for _ in range(_TURN_CALLS // _STRETCH_CALLS):
                for _ in range(_STRETCH_CALLS):
                    caller.call()
                # The first turn warms them up.
                if turn:
                    times_s = caller.times_s[-_STRETCH_CALLS:]
                    stretches_us[name].append(statistics.median(times_s) * 1e6)
    for caller in callers.values():
        figures.count(caller)
    return {
        name: {"median": statistics.median(values), "quickest": min(values)}
        for name, values in stretches_us.items()
    }


def run(rounds: int = 8) -> dict[str, Any]:
    """Return medians over that many swaps of each kind, there and back, and ratios.

    ``longest``, ``p50`` and ``p99`` are of the calls during a swap; ``pause`` and
    ``total`` are what the swap itself reports. By hand, ``pause`` is without the
    start of the next process, and ``total`` with it.
    """
    figures = Figures()
    with _host() as host:
        calls_us = _measure_journal(host, figures, 3 * rounds)
        for name in ("stateless", "live", "followed"):
            host.stop(name)
        _measure_swaps(host, figures, rounds)
    _measure_by_hand(figures, rounds)
    medians = figures.medians
    longest = {label: row["longest"] for label, row in medians.items()}
    quickest = {label: row["quickest"] for label, row in calls_us.items()}
    return {
        "name": "swap",
        "ratios": {
            "pause_live_1M_vs_10": longest["live_1M"] / longest["live_10"],
            "pause_by_hand_1M_vs_live_1M": longest["by_hand_1M"] / longest["live_1M"],
            "journal_vs_stateless": quickest["journal"] / quickest["stateless"],
            "follower_vs_stateless": quickest["follower"] / quickest["stateless"],
        },
        "medians_ms": medians,
        "calls_us": calls_us,
        "steps_ms": figures.steps,
        "lost": figures.lost,
        "duplicated": figures.duplicated,
    }
