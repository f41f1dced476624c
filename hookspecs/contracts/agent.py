"""The contract of kind ``agent``: an opinion on an upgrade, from measured facts."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..markers import hookspec, query

Role = Literal["decision_maker", "coordinator", "monitor", "tester", "rollback_manager"]


class UpgradeFacts(msgspec.Struct, frozen=True, array_like=True):
    """What is known about an upgrade when an agent is asked."""

    component: str
    from_version: str
    to_version: str
    strategy: str
    measurements: dict[str, float]


class Assessment(msgspec.Struct, frozen=True, array_like=True):
    """``approve`` with a ``confidence`` from 0 to 1 and the reasons for it."""

    approve: bool
    confidence: float
    reasons: list[str]


class AgentSpec:
    @hookspec(firstresult=True)
    @query
    def assess(self, role: Role, facts: UpgradeFacts) -> Assessment:
        """Judge an upgrade in a role; changes nothing."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def learn(self, facts: UpgradeFacts, success: bool) -> None:
        """Record what came of an upgrade."""
        raise NotImplementedError
