"""What the host tells about its components; plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class MethodInfo:
    """A method as callers see it."""

    name: str
    is_query: bool
    is_stream: bool
    at_most_once: bool


@dataclass(frozen=True)
class WorkerInfo:
    """A worker process. ``state`` is one of ``supervise.lifecycle.WorkerState``."""

    pid: int | None
    version: str
    state: str
    started_at_s: float


class Role(StrEnum):
    """What a worker follows the leader of its seat for."""

    CANDIDATE = "candidate"  #: it is being swapped in
    SHADOW = "shadow"  #: its replies are compared, and nobody gets them
    STANDBY = "standby"  #: it leads if the leader dies
    BAKE = "bake"  #: it led before; as standby, and for swapping back


@dataclass(frozen=True)
class FollowerInfo:
    """A worker that follows. ``lag`` counts commands it has yet to execute, roughly."""

    worker: WorkerInfo
    role: Role
    lag: int


@dataclass(frozen=True)
class SeatInfo:
    """A seat, its share of the calls in basis points, who holds it, and who follows."""

    seat: int
    weight: int
    worker: WorkerInfo | None
    restarts: int
    followers: tuple[FollowerInfo, ...] = ()


@dataclass(frozen=True)
class ComponentInfo:
    """A component that was started.

    ``state``: ``running``, ``starting``, ``stopping``, ``restarting`` or
    ``quarantined``; ``reason`` says why a seat, or all of them, was given up.
    It is ``running`` when all seats that it still has are served.
    """

    name: str
    version: str
    kind: str
    state_model: str
    state: str
    reason: str
    requires: dict[str, str]
    methods: tuple[MethodInfo, ...]
    seats: tuple[SeatInfo, ...]


@dataclass(frozen=True)
class SwapEvent:
    """A step has begun; ``at_s`` is the time since the swap began."""

    component: str
    seat: int
    step: str
    at_s: float
    old_pid: int | None
    new_pid: int | None


@dataclass(frozen=True)
class SwapReport:
    """What a swap cost.

    Attributes:
        pause_s: the longest time that a seat was served by nobody.
        total_s: from the beginning to the end of it.
        state_bytes: the size of what was written of the state.
    """

    component: str
    pause_s: float
    total_s: float
    state_bytes: int

    @classmethod
    def of(cls, component: str, cuts: Sequence[Any]) -> SwapReport:
        """The report for the cuts of a component's seats."""
        return cls(
            component,
            max(cut.pause_s for cut in cuts),
            sum(cut.total_s for cut in cuts),
            sum(cut.state_bytes for cut in cuts),
        )


@dataclass(frozen=True)
class BufferUsage:
    """The buffers of a host that any of its processes holds, or that are on their way."""

    count: int
    size_bytes: int
