"""Adds; has no state."""

from __future__ import annotations

from hookspecs import Context, hookimpl, query


class Adder:
    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    def add(self, a: int, b: int) -> int:
        return a + b

    @query
    def version(self) -> str:
        return self.context.version
