"""Has a state, so there can be only one of it."""

from __future__ import annotations

from hookspecs import hookimpl


class Ledger:
    def __init__(self) -> None:
        self.total = 0

    @hookimpl
    def snapshot(self) -> object:
        return self.total

    @hookimpl
    def restore(self, state: object) -> None:
        assert isinstance(state, int)
        self.total = state

    def add(self, amount: int) -> int:
        self.total += amount
        return self.total
