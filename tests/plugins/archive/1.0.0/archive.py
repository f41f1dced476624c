"""Has a state that others follow, and is asked about shared memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from hookspecs import Buffer, Context, hookimpl, query


class Archive:
    def __init__(self) -> None:
        self.drawn = 0

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return self.drawn

    @hookimpl
    def restore(self, state: int) -> None:
        self.drawn = state

    @query
    def pid(self) -> int:
        return os.getpid()

    @query
    def total(self, data: Buffer) -> int:
        return sum(memoryview(data))

    @query
    def bytes_of(self, data: Buffer) -> Iterator[int]:
        yield from memoryview(data)

    def file_each(self, data: Buffer) -> Iterator[int]:
        for byte in memoryview(data):
            self.drawn += 1
            yield byte

    def file(self, data: Buffer) -> int:
        self.drawn += len(data)
        return self.drawn

    def draw(self, size: int) -> Any:
        self.drawn += size
        made = self.context.buffer(size)
        memoryview(made)[0:1] = b"\1"
        return made
