"""The list of 1.0.0, kept in pages of a fixed size."""

from __future__ import annotations

from typing import Any, Final

from hookspecs import Context, hookimpl, query

_PAGE_ITEMS: Final = 64


class Journal:
    """State, schema 2: the list of pages; all are full but the last one."""

    def __init__(self) -> None:
        self.pages: list[list[str]] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return self.pages

    @hookimpl
    def restore(self, state: Any) -> None:
        self.pages = state

    @hookimpl
    def migrate(self, state: Any, from_schema: int, to_schema: int) -> object:
        if (from_schema, to_schema) == (1, 2):
            return [
                state[start : start + _PAGE_ITEMS] for start in range(0, len(state), _PAGE_ITEMS)
            ]
        if (from_schema, to_schema) == (2, 1):
            return _joined(state)
        raise ValueError(f"there is no way from schema {from_schema} to {to_schema}")

    def append(self, item: str) -> int:
        """Return the index of the item, from 0."""
        if not self.pages or len(self.pages[-1]) == _PAGE_ITEMS:
            self.pages.append([])
        self.pages[-1].append(item)
        return (len(self.pages) - 1) * _PAGE_ITEMS + len(self.pages[-1]) - 1

    @query
    def items(self) -> list[str]:
        return _joined(self.pages)

    @query
    def version(self) -> str:
        return self.context.version


def _joined(pages: list[list[str]]) -> list[str]:
    return [item for page in pages for item in page]
