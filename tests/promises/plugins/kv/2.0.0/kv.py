"""The store of 1.0.0, which keeps one cell per key, with its own commands."""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Kv:
    """State, schema 2: ``{"cells": {key: [value or None, commands]}, "executed": n}``.

    A command is ``[order, request_id, method, argument, result]``; orders count from
    0 over all cells.
    """

    def __init__(self) -> None:
        self.cells: dict[str, list[Any]] = {}
        self.executed = 0

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"cells": self.cells, "executed": self.executed}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.cells, self.executed = state["cells"], state["executed"]

    @hookimpl
    def migrate(self, state: Any, from_schema: int, to_schema: int) -> object:
        if (from_schema, to_schema) == (1, 2):
            return _up(state)
        if (from_schema, to_schema) == (2, 1):
            return _down(state)
        raise ValueError(f"there is no way from schema {from_schema} to {to_schema}")

    def put(self, key: str, value: int, request_id: str) -> int | None:
        """Return the previous value, None if there was none."""
        return self._execute(request_id, "put", key, value)

    def add(self, key: str, n: int, request_id: str) -> int:
        """Return the new value; what is not there counts as 0."""
        total = self._execute(request_id, "add", key, n)
        assert total is not None
        return total

    def delete(self, key: str, request_id: str) -> int | None:
        """Return the previous value, None if there was none."""
        return self._execute(request_id, "delete", key, None)

    def _execute(self, request_id: str, method: str, key: str, argument: Any) -> int | None:
        cell = self.cells.setdefault(key, [None, []])
        previous = cell[0]
        cell[0] = (previous or 0) + argument if method == "add" else argument
        result: int | None = cell[0] if method == "add" else previous
        cell[1].append([self.executed, request_id, method, argument, result])
        self.executed += 1
        return result

    @query
    def get(self, key: str) -> int | None:
        cell = self.cells.get(key)
        return cell[0] if cell else None

    @query
    def size(self) -> int:
        return sum(value is not None for value, _ in self.cells.values())

    @query
    def dump(self) -> dict[str, Any]:
        """The state as in schema 1."""
        return _down({"cells": self.cells, "executed": self.executed})

    @query
    def version(self) -> str:
        return self.context.version


def _up(state: Any) -> dict[str, Any]:
    cells: dict[str, list[Any]] = {}
    for order, (request_id, method, key, argument, result) in enumerate(state["log"]):
        cell = cells.setdefault(key, [state["values"].get(key), []])
        cell[1].append([order, request_id, method, argument, result])
    return {"cells": cells, "executed": len(state["log"])}


def _down(state: Any) -> dict[str, Any]:
    ordered = sorted(
        (order, [request_id, method, key, argument, result])
        for key, (_, commands) in state["cells"].items()
        for order, request_id, method, argument, result in commands
    )
    values = {key: value for key, (value, _) in state["cells"].items() if value is not None}
    return {"values": values, "log": [command for _, command in ordered]}
