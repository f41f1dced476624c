"""Timeouts as people write them, and the deadlines that travel with calls."""

from __future__ import annotations

import time
from typing import Final

#: A deadline is 64 bits of nanoseconds; this is more than a hundred years.
_MOST_NS: Final = 1 << 62


def span_ns(timeout_s: float | None) -> int:
    """A timeout in nanoseconds; 0 = none.

    Raises:
        ValueError: it is neither a number of seconds, 0 or more, nor None.
    """
    if timeout_s is None:
        return 0
    try:
        span = int(timeout_s * 1e9)
    except (TypeError, ValueError, OverflowError):
        span = -1
    if not 0 <= span < _MOST_NS:
        raise ValueError(f"timeout must be a number of seconds, 0 or more, not {timeout_s!r}")
    # A timeout of nothing is one all the same.
    return span or 1


def deadline_after(span: int) -> int:
    """The time on CLOCK_MONOTONIC, in ns, so many ns from now; none stays none."""
    return span and time.monotonic_ns() + span
