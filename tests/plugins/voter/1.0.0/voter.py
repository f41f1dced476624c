"""Counts, and says in which version it did."""

from __future__ import annotations

import os

from hookspecs import Context, hookimpl, query


class Voter:
    def __init__(self) -> None:
        self.votes = 0

    @hookimpl
    def start(self, context: Context) -> None:
        self.version = int(context.version[0])

    @hookimpl
    def snapshot(self) -> object:
        return self.votes

    @hookimpl
    def restore(self, state: object) -> None:
        assert isinstance(state, int)
        self.votes = state

    def vote(self) -> int:
        self.votes += 1
        return self.votes

    def sign(self) -> list[int]:
        """Vote; return the version too, in which two of them differ."""
        return [self.version, self.vote()]

    @query
    def read(self) -> list[int]:
        return [self.version, self.votes]

    @query
    def pid(self) -> int:
        return os.getpid()

    def wait_for(self, path: str) -> int:
        """Vote when somebody opens the FIFO for writing."""
        with open(path) as fifo:
            fifo.read()
        return self.vote()
