"""A list that is only appended to."""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Journal:
    """State, schema 1: the list of the items."""

    def __init__(self) -> None:
        self.appended: list[str] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return self.appended

    @hookimpl
    def restore(self, state: Any) -> None:
        self.appended = state

    def append(self, item: str) -> int:
        """Return the index of the item, from 0."""
        self.appended.append(item)
        return len(self.appended) - 1

    @query
    def items(self) -> list[str]:
        return self.appended

    @query
    def version(self) -> str:
        return self.context.version
