"""Keeps what it is given, and dies when it is told to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hookspecs import Context, at_most_once, hookimpl, query


class Vault:
    """State, schema 1: ``{"items": [item, ...], "counts": {name: items so far}}``."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.counts: dict[str, int] = {}

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"items": self.kept, "counts": self.counts}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.kept, self.counts = state["items"], state["counts"]

    @hookimpl
    def resume(self, method: str, arguments: list[Any], items_sent: int) -> object:
        # The state knows how far the count is; a query begins where it has come to.
        if method == "numbers":
            return iter(range(items_sent, *arguments))
        return getattr(self, method)(*arguments)

    def put(self, item: Any) -> int:
        """Return how many there are."""
        self.kept.append(item)
        return len(self.kept)

    def swap_last(self, item: Any) -> Any:
        """Put the item in the place of the last one, and return that."""
        last = self.kept.pop()
        self.kept.append(item)
        return last

    def count(self, name: str, n: int) -> Iterator[int]:
        """Yield the numbers below n that the count of that name has not had."""
        while (at := self.counts.get(name, 0)) < n:
            self.counts[name] = at + 1
            yield at

    def die(self, item: Any) -> None:
        """Put the item, and die before saying so."""
        self.kept.append(item)
        os._exit(3)

    def die_while(self, path: str) -> int:
        """Take a line from a file and die; without one, put the path."""
        if lines := Path(path).read_text().splitlines(keepends=True):
            Path(path).write_text("".join(lines[1:]))
            os._exit(3)
        return self.put(path)

    @at_most_once
    def die_once(self, item: Any) -> None:
        """Put the item, and die before saying so."""
        self.kept.append(item)
        os._exit(3)

    def wait_for(self, path: str) -> str:
        """Put and return what is written to a FIFO; opening it says that the call has begun."""
        self.kept.append(text := Path(path).read_text())
        return text

    @query
    def numbers(self, n: int) -> Iterator[int]:
        yield from range(n)

    @query
    def items(self) -> list[Any]:
        return self.kept

    @query
    def version(self) -> str:
        return self.context.version

    @query
    def pid(self) -> int:
        return os.getpid()
