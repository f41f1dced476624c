"""The steps of the protocols, as a worker goes through them.

The kill matrix is made from this list: at each step, a worker that was told so in its
spec sends itself a signal. A new step is tested without anyone remembering it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from enum import StrEnum


class Step(StrEnum):
    """Where a worker is; in the order in which it gets there."""

    SPAWNED = "spawned"
    LOADED = "loaded"
    # The one that takes over.
    STARTED = "started"
    RESTORING = "restoring"
    RESTORED = "restored"
    FOLLOWING = "following"
    CATCHING_UP = "catching_up"
    TAKING_LANES = "taking_lanes"
    LEADING = "leading"
    # The one that hands over.
    FORKING = "forking"
    FORKED = "forked"
    WRITING = "writing"
    YIELDING = "yielding"
    YIELDED = "yielded"
    BATON_PASSED = "baton_passed"


class Steps:
    """Springs the traps that were set for a test; costs one look-up a step."""

    def __init__(self, traps: Mapping[str, int]) -> None:
        self._traps = dict(traps)

    def reach(self, step: Step) -> None:
        """The worker is at that step."""
        number = self._traps.pop(step, None) if self._traps else None
        if number is not None:
            os.kill(os.getpid(), signal.Signals(number))
