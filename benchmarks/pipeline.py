"""``pipeline``: whole programs, isolated against in one process."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from hookspecs.contracts.vm import Output
from noodle_host import Host
from noodle_host.programs import Programs

from .in_one_process import OneProcess

PROGRAMS = Path(__file__).parent.parent / "tests" / "programs"


def larger_programs() -> list[str]:
    """The programs that run long enough to be measured."""
    listed = (PROGRAMS / "larger.txt").read_text(encoding="utf-8").split()
    return [str(PROGRAMS / f"{name.removesuffix('.noodle')}.noodle") for name in listed]


def run(rounds: int = 5) -> dict[str, Any]:
    """Return the median seconds a program, and the median over programs of the ratios."""
    one_process = OneProcess()
    try:
        with Host() as host:
            programs = Programs(host)
            programs.start()
            found = {
                file: _measure(programs, one_process, file, rounds) for file in larger_programs()
            }
    finally:
        one_process.close()
    ratios = {Path(file).stem: isolated / single for file, (isolated, single) in found.items()}
    return {
        "name": "pipeline",
        "medians_s": {
            Path(file).stem: {"isolated": isolated, "in_process": single}
            for file, (isolated, single) in found.items()
        },
        "programs": ratios,
        "ratios": {"isolated_vs_in_process": statistics.median(ratios.values())},
    }


def _measure(
    programs: Programs, one_process: OneProcess, file: str, rounds: int
) -> tuple[float, float]:
    isolated, single = [], []
    # The first round warms both and is not counted.
    for turn in range(rounds + 1):
        seconds, printed = _run_isolated(programs, file)
        seconds_single, printed_single = one_process.run(file)
        if printed != printed_single:
            raise AssertionError(f"{file} prints something else in one process")
        if turn:
            isolated.append(seconds)
            single.append(seconds_single)
    return statistics.median(isolated), statistics.median(single)


def _run_isolated(programs: Programs, file: str) -> tuple[float, str]:
    began = time.perf_counter()
    program = programs.compile(Path(file)).program
    assert program is not None
    printed = "".join(e.text for e in programs.run(program) if isinstance(e, Output))
    return time.perf_counter() - began, printed
