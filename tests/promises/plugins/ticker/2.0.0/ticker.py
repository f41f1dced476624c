"""The streams of 1.0.0, with positions and values apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hookspecs import SAFE_POINT, Context, SafePoint, hookimpl, query


class Ticker:
    """State, schema 2: ``{"position": {stream_id: items so far}, "value": {stream_id: last}}``."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}
        self.value: dict[str, int] = {}

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return {"position": self.at, "value": self.value}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.at, self.value = state["position"], state["value"]

    @hookimpl
    def migrate(self, state: Any, from_schema: int, to_schema: int) -> object:
        if (from_schema, to_schema) == (1, 2):
            return {
                "position": {stream_id: position for stream_id, (position, _) in state.items()},
                "value": {stream_id: value for stream_id, (_, value) in state.items()},
            }
        if (from_schema, to_schema) == (2, 1):
            return {
                stream_id: [position, state["value"][stream_id]]
                for stream_id, position in state["position"].items()
            }
        raise ValueError(f"there is no way from schema {from_schema} to {to_schema}")

    def ticks(self, stream_id: str, n: int) -> Iterator[list[int] | SafePoint]:
        """Yield the items up to the n-th as ``[position, value]``, positions from 0."""
        self.at.setdefault(stream_id, 0)
        self.value.setdefault(stream_id, 0)
        while (position := self.at[stream_id]) < n:
            value = self.value[stream_id] * 31 + position + len(stream_id)
            self.at[stream_id] = position + 1
            self.value[stream_id] = value % 1_000_003
            yield [position, self.value[stream_id]]
            yield SAFE_POINT

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
