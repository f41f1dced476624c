"""``call``: round trips through the whole stack against a bare Pipe."""

from __future__ import annotations

from typing import Any

from . import host_echo
from .measure import medians_us
from .pipe import PipeEcho

#: Name, bytes, and operations in a round.
SIZES = (
    ("64B", 64, 500),
    ("4KiB", 4 << 10, 500),
    ("64KiB", 64 << 10, 200),
    ("1MiB", 1 << 20, 20),
    ("16MiB", 16 << 20, 2),
)
IN_FLIGHT = 64


def run(rounds: int = 15) -> dict[str, Any]:
    """Return the medians in microseconds, and the ratios to the Pipe."""
    medians: dict[str, float] = {}
    pipe = PipeEcho()
    try:
        with host_echo.start_host() as host:
            for name, size, count in SIZES:
                data = bytes(size)
                medians |= medians_us(
                    {
                        f"call_{name}": host_echo.round_trips(host, data),
                        f"pipe_{name}": pipe.round_trips(data),
                    },
                    count,
                    rounds,
                )
            data = bytes(64)
            medians |= medians_us(
                {
                    "pipelined": host_echo.pipelined(host, data, IN_FLIGHT),
                    "pipe_pipelined": pipe.pipelined(data, IN_FLIGHT),
                },
                5000,
                rounds,
            )
    finally:
        pipe.close()
    ratios = {
        f"call_{name}_vs_pipe": medians[f"call_{name}"] / medians[f"pipe_{name}"]
        for name, _, _ in SIZES
    }
    # Of rates, not of times: more is better.
    ratios["pipelined_vs_pipe"] = medians["pipe_pipelined"] / medians["pipelined"]
    return {"name": "call", "medians_us": medians, "ratios": ratios}
