"""The teller of 1.0.0, which files its transfers by request."""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Teller:
    """State, schema 2: ``{request_id: [[src, dst, amount, result], ...], ...}`` and the order.

    That is ``{"filed": ..., "order": [request_id, ...]}``. One request has several
    transfers only if it was executed several times.
    """

    def __init__(self) -> None:
        self.filed: dict[str, list[list[Any]]] = {}
        self.order: list[str] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"filed": self.filed, "order": self.order}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.filed, self.order = state["filed"], state["order"]

    @hookimpl
    def migrate(self, state: Any, from_schema: int, to_schema: int) -> object:
        if (from_schema, to_schema) == (1, 2):
            filed: dict[str, list[list[Any]]] = {}
            for request_id, *transfer in state:
                filed.setdefault(request_id, []).append(transfer)
            return {"filed": filed, "order": [request_id for request_id, *_ in state]}
        if (from_schema, to_schema) == (2, 1):
            return _down(state["filed"], state["order"])
        raise ValueError(f"there is no way from schema {from_schema} to {to_schema}")

    def transfer(self, src: str, dst: str, amount: int, request_id: str) -> list[Any]:
        """Return the result of the transfer: as 1.0.0 does, nested calls in the same order."""
        context = self.context
        began_at_s = context.time_s()
        index = context.call("journal", "append", request_id)
        left = context.call("kv", "add", src, -amount, f"{request_id}/src", key=src)
        reference = context.random.random()
        arrived = context.call("kv", "add", dst, amount, f"{request_id}/dst", key=dst)
        result = [index, left, arrived, began_at_s, reference]
        self.filed.setdefault(request_id, []).append([src, dst, amount, result])
        self.order.append(request_id)
        return result

    @query
    def history(self) -> list[list[Any]]:
        """The state as in schema 1."""
        return _down(self.filed, self.order)

    @query
    def version(self) -> str:
        return self.context.version


def _down(filed: dict[str, list[list[Any]]], order: list[str]) -> list[list[Any]]:
    left = {request_id: iter(transfers) for request_id, transfers in filed.items()}
    return [[request_id, *next(left[request_id])] for request_id in order]
