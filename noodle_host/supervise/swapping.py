"""Swapping a component: the checks before it, one seat after the other, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ComponentNotFoundError, HotSwapError, RequirementError
from ..model import SwapEvent
from ..registry.manifest import Manifest
from ..registry.requirements import allows
from .component import Component
from .seat_keeper import SeatKeeper
from .swap import Cut, Swap


def check_swap(old: Manifest, new: Manifest, running: Mapping[str, Manifest]) -> None:
    """Refuse a swap that cannot work. Pure.

    Raises:
        HotSwapError: the two versions do not go together.
        RequirementError: a component that runs does not go with the new version.
    """
    facts: dict[str, Any] = {"component": new.name, "version": new.version}
    if new.version == old.version:
        raise HotSwapError(f"version {new.version} is running already", phase="check", **facts)
    if new.kind != old.kind:
        raise HotSwapError(
            f"version {old.version} is a {old.kind}, version {new.version} a {new.kind}",
            phase="check",
            hint="stop the component and start the other one",
            **facts,
        )
    if new.state.model != old.state.model:
        raise HotSwapError(
            f"version {old.version} is {old.state.model}, version {new.version} "
            f"{new.state.model}: a state has no way from one to the other",
            phase="check",
            hint="stop the component and start the other version",
            **facts,
        )
    for required, wanted in new.requires.items():
        there = running.get(required)
        if there is None or not allows(wanted, there.version):
            here = "is not running" if there is None else f"is running as {there.version}"
            raise RequirementError(
                f"it requires {required} {wanted}, which {here}",
                hint=f"start or swap {required} first",
                **facts,
            )
    for other in running.values():
        needed = other.requires.get(new.name)
        if needed is not None and not allows(needed, new.version):
            raise RequirementError(
                f"{other} requires {new.name} {needed}",
                hint=f"swap {other.name} first",
                **facts,
            )


def check_follower(old: Manifest, new: Manifest) -> None:
    """Refuse a follower that cannot be one. Pure; raises HotSwapError."""
    facts: dict[str, Any] = {
        "component": new.name,
        "version": new.version,
        "phase": "check",
    }
    if old.state.model != "replicated" or new.state.model != "replicated":
        raise HotSwapError(
            f"only replicated components are followed; version {new.version} is {new.state.model}",
            hint='a component of which commands do the same twice may say model = "replicated"',
            **facts,
        )


async def swap_component(
    component: Component,
    manifest: Manifest,
    *,
    bakes: bool,
    compares: bool,
    emit: Callable[[SwapEvent], None],
) -> list[Cut]:
    """Swap all seats of a component; if one fails, those before it are swapped back.

    Raises:
        HotSwapError: the old version serves.
    """
    old = component.manifest
    cuts: list[Cut] = []
    done: list[SeatKeeper] = []
    try:
        for keeper in list(component.seats.values()):
            async with keeper.lock:
                if not keeper.is_serving:
                    raise HotSwapError(
                        "its worker is being replaced",
                        component=manifest.name,
                        version=manifest.version,
                        code="HS_0001",
                        hint="try again when it is running",
                    )
                swap = Swap(keeper, manifest, bakes=bakes, compares=compares, emit=emit)
                cuts.append(await swap.run())
                done.append(keeper)
    except BaseException:
        for keeper in done:
            async with keeper.lock:
                if keeper.is_serving:
                    back = Swap(keeper, old, bakes=False, compares=False, emit=emit)
                    await back.run()
        raise
    return cuts


def find_component(components: Mapping[str, Component], name: str) -> Component:
    """The running component of that name.

    Raises:
        ComponentNotFoundError: there is none.
        HostError: it was given up.
    """
    component = components.get(name)
    if component is None:
        raise ComponentNotFoundError(
            f"Component {name!r} is not running", component=name, phase="swap"
        )
    if component.refusal is not None:
        raise copy.copy(component.refusal)
    return component
