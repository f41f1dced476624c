"""Numbers its commands, and keeps an array that its next version adopts in place."""

from __future__ import annotations

from typing import Any

from hookspecs import hookimpl, query
from noodle_host.state import SharedArray


class Grid:
    """State: how many commands there were, and an array of bytes."""

    def __init__(self) -> None:
        self.count = 0
        self.cells = SharedArray(1, "uint8")

    @hookimpl
    def snapshot(self) -> object:
        return {"count": self.count, "cells": self.cells}

    @hookimpl
    def restore(self, state: Any) -> None:
        self.count, self.cells = state["count"], state["cells"]

    def fill(self, size: int) -> None:
        """Write every byte, so that the memory is there."""
        self.cells = SharedArray(size, "uint8")
        self.cells[:] = 1

    def put(self, data: bytes) -> int:
        """Return how many there were."""
        self.count += 1
        return self.count

    @query
    def size(self) -> int:
        """How many there are that were written, of which the last must be one."""
        return len(self.cells) * int(self.cells[-1])
