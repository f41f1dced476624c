"""A started component as the supervisor sees it: one version on some seats."""

from __future__ import annotations

import asyncio

from ..model import ComponentInfo, MethodInfo, SeatInfo, WorkerInfo
from ..registry.manifest import Manifest
from .backoff import RestartHistory
from .lifecycle import WorkerState
from .seat import Seat


class SeatRecord:
    """A seat of a component, what has happened on it, and who watches over it."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.history = RestartHistory()
        self.restarts = 0
        self.keeper: asyncio.Task[None] | None = None


class Component:
    """The seats of a component, and what is known of it."""

    def __init__(self, manifest: Manifest, slot: int) -> None:
        self.manifest = manifest
        self.slot = slot
        self.seats: dict[int, SeatRecord] = {}
        self.state = "starting"
        self.reason = ""
        self.weights: dict[int, int] = {}

    @property
    def name(self) -> str:
        return self.manifest.name

    def info(self) -> ComponentInfo:
        """A picture of now."""
        methods: tuple[MethodInfo, ...] = ()
        seats = []
        for record in self.seats.values():
            holder = record.seat.holder
            worker = None
            if holder is not None and holder.state is not WorkerState.GONE:
                worker = WorkerInfo(
                    holder.pid,
                    holder.manifest.version,
                    str(holder.state),
                    holder.started_at_s,
                )
                methods = methods or tuple(
                    MethodInfo(m.name, m.is_query, m.is_stream, m.at_most_once)
                    for m in holder.methods
                )
            number = record.seat.number
            seats.append(SeatInfo(number, self.weights.get(number, 0), worker, record.restarts))
        manifest = self.manifest
        return ComponentInfo(
            name=manifest.name,
            version=manifest.version,
            kind=manifest.kind,
            state_model=manifest.state.model,
            state=self.state,
            reason=self.reason,
            requires=dict(manifest.requires),
            methods=methods,
            seats=tuple(seats),
        )
