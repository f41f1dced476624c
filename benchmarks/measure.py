"""Interleaved measuring: every contender in turn, many times, and medians.

On a shared machine the speed changes from second to second; what is measured
side by side sees the same changes, so ratios hold where absolute times do not.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

#: Runs a number of operations and returns the seconds that each took.
Batch = Callable[[int], list[float]]


def timed(operation: Callable[[], object]) -> Batch:
    """Time each execution of an operation by itself."""

    def batch(count: int) -> list[float]:
        clock = time.perf_counter
        times = []
        for _ in range(count):
            began = clock()
            operation()
            times.append(clock() - began)
        return times

    return batch


def medians_us(contenders: Mapping[str, Batch], count: int, rounds: int) -> dict[str, float]:
    """Return the median of each contender in microseconds.

    Each round runs ``count`` operations of each contender, in an order that
    turns by one every round, so that none always follows the same neighbour.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for batch in contenders.values():
        batch(max(1, count // 10))
    gc.collect()
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            times[name] += contenders[name](count)
    return {name: statistics.median(found) * 1e6 for name, found in times.items()}
