"""Which lanes this process uses: the native ones where they were built, else Python's.

``NOODLE_HOST_NATIVE=0`` in the environment chooses Python's. Both share one
layout, so a host and its workers need not agree.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Final

from . import bell, lane

#: Set it to 0 to do without the native lanes.
VARIABLE: Final = "NOODLE_HOST_NATIVE"


@dataclass(frozen=True, slots=True)
class Implementation:
    """Which implementation is in use, and why, in words."""

    is_native: bool
    reason: str


def _load() -> tuple[ModuleType | None, str]:
    if os.environ.get(VARIABLE) == "0":
        return None, f"{VARIABLE}=0 is set"
    try:
        from . import _lane
    except ImportError as error:
        return None, f"the extension was not built, or does not load: {error}"
    return _lane, f"the extension loads: {_lane.__file__}"


_module, _reason = _load()

if TYPE_CHECKING:
    from .bell import Sleeper, fence
    from .lane import LaneMemory, LaneReader, LaneWriter
else:
    Sleeper = (_module or bell).Sleeper
    fence = (_module or bell).fence
    LaneMemory = (_module or lane).LaneMemory
    LaneReader = (_module or lane).LaneReader
    LaneWriter = (_module or lane).LaneWriter


def implementation() -> Implementation:
    """Which lanes this process uses, and why."""
    return Implementation(_module is not None, _reason)


__all__ = [
    "VARIABLE",
    "Implementation",
    "LaneMemory",
    "LaneReader",
    "LaneWriter",
    "Sleeper",
    "fence",
    "implementation",
]
