"""The streams of 1.0.0, with positions and values apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hookspecs import SAFE_POINT, Context, SafePoint, hookimpl, query


class Ticker:
    """State, schema 2: a mapping by stream of ``position``, ``value`` and ``is_rested`` each."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}
        self.value: dict[str, int] = {}
        self.is_rested: dict[str, int] = {}

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"position": self.at, "value": self.value, "is_rested": self.is_rested}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.at, self.value = state["position"], state["value"]
        self.is_rested = state["is_rested"]

    @hookimpl
    def migrate(self, state: Any, from_schema: int, to_schema: int) -> object:
        if (from_schema, to_schema) == (1, 2):
            names = ("position", "value", "is_rested")
            return {
                name: {stream_id: stream[i] for stream_id, stream in state.items()}
                for i, name in enumerate(names)
            }
        if (from_schema, to_schema) == (2, 1):
            return {
                stream_id: [position, state["value"][stream_id], state["is_rested"][stream_id]]
                for stream_id, position in state["position"].items()
            }
        raise ValueError(f"there is no way from schema {from_schema} to {to_schema}")

    @hookimpl
    def resume(self, method: str, arguments: list[Any], items_sent: int) -> object:
        # The state knows how far the stream is.
        return getattr(self, method)(*arguments)

    def ticks(self, stream_id: str, n: int) -> Iterator[list[int] | SafePoint]:
        """Yield the items up to the n-th as ``[position, value]``, positions from 0."""
        for state in (self.at, self.value, self.is_rested):
            state.setdefault(stream_id, 0)
        while (position := self.at[stream_id]) < n:
            if not self.is_rested[stream_id]:
                self.is_rested[stream_id] = 1
                yield SAFE_POINT
            else:
                value = self.value[stream_id] * 31 + position + len(stream_id)
                self.at[stream_id] = position + 1
                self.value[stream_id] = value % 1_000_003
                self.is_rested[stream_id] = 0
                yield [position, self.value[stream_id]]

    @query
    def position(self, stream_id: str) -> int:
        """How many items the stream has had."""
        return self.at.get(stream_id, 0)

    @query
    def positions(self) -> dict[str, int]:
        return self.at

    @query
    def version(self) -> str:
        return self.context.version
