"""``peers``: side by side with everything else that a Python user could pick."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .arena import ROSTER, Arena, Work
from .contenders.floor import SPIN_ROUNDS

SIZES: Final = {
    "64B": Work(400, 64),
    "4KiB": Work(400, 4 << 10),
    "64KiB": Work(200, 64 << 10),
    "1MiB": Work(40, 1 << 20),
    "16MiB": Work(5, 16 << 20),
}
PIPELINED: Final = Work(2000, 64, in_flight=64)
#: Both sides have gone to sleep when the call comes.
COLD: Final = Work(40, 64, pause_s=0.02)
PACED: Final = Work(100, 64, pause_s=0.002)
BUSY_THREAD: Final = Work(100, 64, busy_thread=True)
#: The host holds on to the interpreter while it looks for a reply, so it needs
#: more calls to be measured in the same time.
SLOW_CALLS: Final = Work(20, nap_s=0.02)

_TABLE_COLUMNS: Final = (*SIZES, "pipelined")


def run(rounds: int = 9, output: Path | None = None) -> dict[str, Any]:
    """Return medians in microseconds by size and contender, and the ratios.

    Writes ``peers.svg`` and ``peers.md`` into ``output``, if it is given.
    """
    with Arena(ROSTER) as arena:
        # The small ones last: what has just been started is still busy with itself.
        works = {"pipelined": PIPELINED, **dict(reversed(SIZES.items()))}
        rows = arena.medians_us(works, rounds)
        rows |= arena.medians_us({"cold": COLD}, rounds, ["call", "pipe", "eventfd"])
        with _BusyProcess():
            rows |= arena.medians_us({"paced_busy": PACED}, rounds, ["call", "pipe"])
        rows |= arena.medians_us({"busy_thread": BUSY_THREAD}, rounds, ["call", "pipe"])
        kept = arena.medians_us({"kept": SLOW_CALLS}, rounds, ["call"])["kept"]["call"] / 1e6
        missing = arena.missing
    if "c_spin" in rows["64B"]:
        # Many round trips in each, and no bytes to be copied.
        spin_us = rows["64B"]["c_spin"] / SPIN_ROUNDS
        for label in SIZES:
            rows[label].pop("c_spin", None)
            if label != "64B":
                rows[label].pop("eventfd", None)
        rows["64B"]["c_spin"] = spin_us
    result = {
        "name": "peers",
        "medians_us": rows,
        "ratios": _ratios(rows) | {"busy_thread_keeps": kept},
        "missing": missing,
    }
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "peers.md").write_text(markdown(rows), encoding="utf-8")
        _draw(rows, output / "peers.svg")
    return result


def _ratios(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Those that can be formed; of rates where more is better."""
    wanted = {
        "call_64B_vs_pipe": ("64B", "call", "pipe"),
        "call_64B_vs_iceoryx2": ("64B", "call", "iceoryx2_polling"),
        "call_64B_vs_ray_actor": ("64B", "call", "ray_actor"),
        "call_1MiB_vs_pipe": ("1MiB", "call", "pipe"),
        "zero_copy_16MiB_vs_pipe": ("16MiB", "zero_copy", "pipe"),
        "cold_call_vs_eventfd": ("cold", "call", "eventfd"),
        "paced_busy_vs_pipe": ("paced_busy", "call", "pipe"),
        "pipelined_vs_pipe": ("pipelined", "pipe", "call"),
        "busy_thread_vs_pipe": ("busy_thread", "pipe", "call"),
    }
    return {
        name: rows[label][one] / rows[label][other]
        for name, (label, one, other) in wanted.items()
        if one in rows[label] and other in rows[label]
    }


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """A table: microseconds a round trip, thousands of pipelined messages a second."""
    names = sorted(rows["64B"], key=rows["64B"].__getitem__)
    lines = [
        "| | " + " | ".join(f"{size}, µs" for size in SIZES) + " | 64 in flight, k/s |",
        "|---" * (len(_TABLE_COLUMNS) + 1) + "|",
    ]
    for name in names:
        cells = [_cell(rows[size].get(name)) for size in SIZES]
        each_us = rows["pipelined"].get(name)
        cells.append("-" if each_us is None else f"{1e3 / each_us:,.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value_us: float | None) -> str:
    if value_us is None:
        return "-"
    return f"{value_us:,.0f}" if value_us >= 100 else f"{value_us:.3g}"


def _draw(rows: dict[str, dict[str, float]], file: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(SIZES), figsize=(16, 5), layout="constrained")
    for axis, size in zip(axes, SIZES, strict=True):
        ordered = sorted(rows[size].items(), key=lambda item: -item[1])
        colours = [
            "#c33" if name.startswith(("call", "zero_copy")) else "#89a" for name, _ in ordered
        ]
        axis.barh([name for name, _ in ordered], [value for _, value in ordered], color=colours)
        axis.set_xscale("log")
        axis.set_title(f"{size} round trip")
        axis.set_xlabel("µs, median (log)")
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _spin() -> None:
    while True:
        pass


class _BusyProcess:
    """Another process that keeps a core busy."""

    def __enter__(self) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_spin, daemon=True)
        self._process.start()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
