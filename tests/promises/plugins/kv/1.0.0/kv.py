"""A store of numbers that remembers each command that it has executed.

Nothing here looks whether a request was executed before: one that is executed
twice stands in the log twice.
"""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Kv:
    """State, schema 1: ``{"values": {key: value}, "log": [command, ...]}``.

    A command is ``[request_id, method, key, argument, result]``, in the order of
    execution.
    """

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.log: list[list[Any]] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"values": self.values, "log": self.log}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.values, self.log = state["values"], state["log"]

    def put(self, key: str, value: int, request_id: str) -> int | None:
        """Return the previous value, None if there was none."""
        previous = self.values.get(key)
        self.values[key] = value
        self.log.append([request_id, "put", key, value, previous])
        return previous

    def add(self, key: str, n: int, request_id: str) -> int:
        """Return the new value; what is not there counts as 0."""
        total = self.values[key] = self.values.get(key, 0) + n
        self.log.append([request_id, "add", key, n, total])
        return total

    def delete(self, key: str, request_id: str) -> int | None:
        """Return the previous value, None if there was none."""
        previous = self.values.pop(key, None)
        self.log.append([request_id, "delete", key, None, previous])
        return previous

    @query
    def get(self, key: str) -> int | None:
        return self.values.get(key)

    @query
    def size(self) -> int:
        return len(self.values)

    @query
    def dump(self) -> dict[str, Any]:
        """The state as in schema 1."""
        return {"values": self.values, "log": self.log}

    @query
    def version(self) -> str:
        return self.context.version
