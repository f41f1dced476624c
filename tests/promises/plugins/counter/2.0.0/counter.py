"""The number of 1.0.0, which is not stored but follows from the requests."""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Counter:
    """State, schema 2: ``[[request_id, total after it], ...]``."""

    def __init__(self) -> None:
        self.totals: list[list[Any]] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return self.totals

    @hookimpl
    def restore(self, state: Any) -> None:
        self.totals = state

    @hookimpl
    def migrate(self, state: Any, from_schema: int, to_schema: int) -> object:
        if (from_schema, to_schema) == (1, 2):
            return [[request_id, total] for request_id, _, total in state["log"]]
        if (from_schema, to_schema) == (2, 1):
            return _down(state)
        raise ValueError(f"there is no way from schema {from_schema} to {to_schema}")

    def add(self, n: int, request_id: str) -> int:
        """Return the new total."""
        self.totals.append([request_id, self.total() + n])
        return self.total()

    @query
    def total(self) -> int:
        total: int = self.totals[-1][1] if self.totals else 0
        return total

    @query
    def dump(self) -> dict[str, Any]:
        """The state as in schema 1."""
        return _down(self.totals)

    @query
    def version(self) -> str:
        return self.context.version


def _down(totals: list[list[Any]]) -> dict[str, Any]:
    log: list[list[Any]] = []
    before = 0
    for request_id, total in totals:
        log.append([request_id, total - before, total])
        before = total
    return {"total": before, "log": log}
