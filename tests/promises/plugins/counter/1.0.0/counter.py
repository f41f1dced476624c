"""One number, and the requests that made it."""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Counter:
    """State, schema 1: ``{"total": n, "log": [[request_id, n, total], ...]}``."""

    def __init__(self) -> None:
        self.sum = 0
        self.log: list[list[Any]] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"total": self.sum, "log": self.log}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.sum, self.log = state["total"], state["log"]

    def add(self, n: int, request_id: str) -> int:
        """Return the new total."""
        self.sum += n
        self.log.append([request_id, n, self.sum])
        return self.sum

    @query
    def total(self) -> int:
        return self.sum

    @query
    def dump(self) -> dict[str, Any]:
        """The state as in schema 1."""
        return {"total": self.sum, "log": self.log}

    @query
    def version(self) -> str:
        return self.context.version
