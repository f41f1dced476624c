"""Numbers its commands, and keeps a dict of the size that is asked for."""

from __future__ import annotations

from typing import Any

from hookspecs import hookimpl, query


class Store:
    """State: how many commands there were, and a dict of strings to numbers."""

    def __init__(self) -> None:
        self.count = 0
        self.entries: dict[str, int] = {}

    @hookimpl
    def snapshot(self) -> object:
        return {"count": self.count, "entries": self.entries}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.count, self.entries = state["count"], state["entries"]

    def fill(self, size: int) -> None:
        self.entries = {f"key {number}": number for number in range(size)}

    def put(self, data: bytes) -> int:
        """Return how many there were."""
        self.count += 1
        self.entries[f"key {self.count % 10}"] = self.count
        return self.count

    @query
    def size(self) -> int:
        return len(self.entries)


class Forgetful(Store):
    """Does the same, but has its number from the caller, as a stateless component must."""

    def put(self, data: bytes) -> int:
        super().put(data)
        return int.from_bytes(data[:8], "big")
