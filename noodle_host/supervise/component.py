"""A started component as the supervisor sees it: one version on some seats."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import HostError
from ..model import ComponentInfo, MethodInfo, SeatInfo
from ..registry.manifest import Manifest
from .lifecycle import WorkerState
from .seat_keeper import SeatKeeper


def component_state(
    *, is_ending: bool, has_started: bool, serving: Sequence[bool], quarantined: int
) -> str:
    """The state of a component: what is true of all its seats, or the worst of them. Pure.

    Args:
        serving: for each seat that is left, whether its holder serves.
        quarantined: how many seats were given up.
    """
    if is_ending:
        return "stopping"
    if not has_started:
        return "starting"
    if not serving:
        return "quarantined" if quarantined else "stopping"
    return "running" if all(serving) else "restarting"


class Component:
    """The seats of a component, and what is known of it."""

    def __init__(self, manifest: Manifest, slot: int) -> None:
        self._manifest = manifest
        self.slot = slot
        self.seats: dict[int, SeatKeeper] = {}
        self.is_ending = False
        self.has_started = False
        #: Why seats were given up, one text each.
        self.quarantined: list[str] = []
        #: What its callers are told when no seat is left.
        self.refusal: HostError | None = None
        self.weights: dict[int, int] = {}

    @property
    def manifest(self) -> Manifest:
        """The version that is served; a follower of another one may have taken over."""
        served = [keeper.manifest for keeper in self.seats.values()]
        return served[0] if served else self._manifest

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def state(self) -> str:
        """As in :class:`ComponentInfo`."""
        return component_state(
            is_ending=self.is_ending,
            has_started=self.has_started,
            serving=[record.is_serving for record in self.seats.values()],
            quarantined=len(self.quarantined),
        )

    @property
    def reason(self) -> str:
        """Why not all of its seats are there; empty if they are."""
        if not self.quarantined:
            return ""
        if not self.seats:
            return self.quarantined[-1]
        return f"{len(self.quarantined)} of its seats quarantined: {self.quarantined[-1]}"

    def info(self) -> ComponentInfo:
        """A picture of now."""
        methods: tuple[MethodInfo, ...] = ()
        seats = []
        for record in self.seats.values():
            members = record.seat.members
            holder = record.seat.holder or (members[0] if members else None)
            worker = None
            if holder is not None and holder.state is not WorkerState.GONE:
                worker = holder.info()
                methods = methods or tuple(
                    MethodInfo(m.name, m.is_query, m.is_stream, m.at_most_once)
                    for m in holder.methods
                )
            number = record.seat.number
            seats.append(
                SeatInfo(
                    number,
                    self.weights.get(number, 0),
                    worker,
                    record.restarts,
                    record.follower_infos(),
                )
            )
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
