"""``call``: round trips through the whole stack against a bare Pipe."""

from __future__ import annotations

from typing import Any, Final

from .arena import Arena, Work

SIZES: Final = {
    "64B": Work(500, 64),
    "4KiB": Work(500, 4 << 10),
    "64KiB": Work(200, 64 << 10),
    "1MiB": Work(20, 1 << 20),
    "16MiB": Work(2, 16 << 20),
}
PIPELINED: Final = Work(5000, 64, in_flight=64)


def run(rounds: int = 15) -> dict[str, Any]:
    """Return the medians in microseconds, and the ratios to the Pipe."""
    with Arena(["call", "pipe"]) as arena:
        rows = arena.medians_us({**SIZES, "pipelined": PIPELINED}, rounds)
    medians = {
        f"{name}_{label}": value for label, row in rows.items() for name, value in row.items()
    }
    ratios = {f"call_{size}_vs_pipe": rows[size]["call"] / rows[size]["pipe"] for size in SIZES}
    # Of rates, not of times: more is better.
    ratios["pipelined_vs_pipe"] = rows["pipelined"]["pipe"] / rows["pipelined"]["call"]
    return {"name": "call", "medians_us": medians, "ratios": ratios}
