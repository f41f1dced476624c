"""``scale``: what the number of workers on one host changes for one caller."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from noodle_host import Host

COUNTS: Final = (1, 8, 64, 256)
_IDLE_S: Final = 3.0
_CALLS: Final = 500
_ECHO: Final = Path(__file__).parent / "plugins" / "echo" / "1.0.0"


class _Fleet:
    """A host with a number of components that do the same, each in its worker."""

    def __init__(self, folder: Path, count: int) -> None:
        names = [f"echo_{number}" for number in range(count)]
        for name in names:
            _make_plugin(folder / name / "1.0.0", name)
        began = time.perf_counter()
        self.host = Host(folder)
        try:
            self.host.start_all(dict.fromkeys(names))
        except BaseException:
            self.host.close()
            raise
        self.start_s = time.perf_counter() - began
        self.host.call(names[0], "echo", b"")
        self._name = names[0]

    def calls_s(self) -> list[float]:
        data = bytes(64)
        clock = time.perf_counter
        times = []
        for _ in range(_CALLS):
            began = clock()
            self.host.call(self._name, "echo", data)
            times.append(clock() - began)
        return times

    def worker_bytes(self) -> float:
        """The mean memory of a worker: its own, and its part of what it shares."""
        pids = [
            seat.worker.pid
            for info in self.host.components()
            for seat in info.seats
            if seat.worker is not None
        ]
        return statistics.mean(float(psutil.Process(pid).memory_full_info().pss) for pid in pids)

    def idle_cpu(self) -> float:
        """The share of one core that the host and all its workers use while nothing happens."""
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        before = _cpu_s(processes)
        time.sleep(_IDLE_S)
        return float(_cpu_s(processes) - before) / _IDLE_S


def _make_plugin(folder: Path, name: str) -> None:
    shutil.copytree(_ECHO, folder, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = folder / "component.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('name = "echo"', f'name = "{name}"'), encoding="utf-8")


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def run(rounds: int = 9) -> dict[str, Any]:
    """Return the medians, memory, start-up times and idle CPU by number of workers."""
    medians: dict[str, float] = {}
    start_s: dict[str, float] = {}
    memory: dict[str, float] = {}
    idle: dict[str, float] = {}
    times: dict[int, list[float]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory() as folder:
        fleets: dict[int, _Fleet] = {}
        try:
            for count in COUNTS:
                fleet = fleets[count] = _Fleet(Path(folder) / str(count), count)
                start_s[str(count)] = fleet.start_s
                memory[str(count)] = fleet.worker_bytes()
            for turn in range(rounds):
                for count in COUNTS[turn % 4 :] + COUNTS[: turn % 4]:
                    fleets[count].calls_s()
                    times[count] += fleets[count].calls_s()
        finally:
            for fleet in fleets.values():
                fleet.host.close()
        for count in COUNTS:
            fleet = _Fleet(Path(folder) / f"idle_{count}", count)
            try:
                idle[str(count)] = fleet.idle_cpu()
            finally:
                fleet.host.close()
    for count, found in times.items():
        medians[f"call_{count}_workers"] = statistics.median(found) * 1e6
    return {
        "name": "scale",
        "medians_us": medians,
        "start_s": start_s,
        "worker_bytes": memory,
        "idle_cores": idle,
        "ratios": {
            "scale_256_vs_1": medians["call_256_workers"] / medians["call_1_workers"],
            "idle_cpu_8_workers": idle["8"],
        },
    }
