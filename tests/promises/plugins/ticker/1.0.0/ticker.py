"""Streams whose items depend on how far they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hookspecs import SAFE_POINT, Context, SafePoint, hookimpl, query


class Ticker:
    """State, schema 1: ``{stream_id: [items so far, value of the last, whether it rested since]}``.

    Whoever asks again for the items of a stream gets those that follow.
    """

    def __init__(self) -> None:
        self.streams: dict[str, list[int]] = {}

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return self.streams

    @hookimpl
    def restore(self, state: Any) -> None:
        self.streams = state

    @hookimpl
    def resume(self, method: str, arguments: list[Any], items_sent: int) -> object:
        # The state knows how far the stream is.
        return getattr(self, method)(*arguments)

    def ticks(self, stream_id: str, n: int) -> Iterator[list[int] | SafePoint]:
        """Yield the items up to the n-th as ``[position, value]``, positions from 0."""
        # Looked up for each item: at a safe point the state may have been replaced. Where
        # it was yielded last is part of it, because that is where another worker goes on.
        while (stream := self.streams.setdefault(stream_id, [0, 0, 0]))[0] < n:
            position, value, is_rested = stream
            if not is_rested:
                stream[2] = 1
                yield SAFE_POINT
            else:
                stream[:] = [position + 1, (value * 31 + position + len(stream_id)) % 1_000_003, 0]
                yield [position, stream[1]]

    @query
    def position(self, stream_id: str) -> int:
        """How many items the stream has had."""
        return self.streams.get(stream_id, [0, 0, 0])[0]

    @query
    def positions(self) -> dict[str, int]:
        return {stream_id: stream[0] for stream_id, stream in self.streams.items()}

    @query
    def version(self) -> str:
        return self.context.version
