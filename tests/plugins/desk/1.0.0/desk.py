"""Does what it is asked; the good component of these tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from hookspecs import SAFE_POINT, Context, at_most_once, hookimpl, query


class Desk:
    def __init__(self) -> None:
        self.noted: list[object] = []
        self.closed: list[str] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def health(self) -> str | None:
        return str(self.noted[-1]) if self.noted and self.noted[-1] == "unwell" else None

    @query
    def version(self) -> str:
        return "1.0.0"

    @query
    def pid(self) -> int:
        return os.getpid()

    @query
    def ppid(self) -> int:
        return os.getppid()

    @query
    def echo(self, value: object = None) -> object:
        return value

    @query
    def blob(self, size: int) -> bytes:
        return bytes(size)

    def add(self, left: int, right: int = 0) -> int:
        return left + right

    def note(self, value: object) -> int:
        self.noted.append(value)
        return len(self.noted)

    @query
    def notes(self) -> list[object]:
        return self.noted

    def boom(self, text: str) -> None:
        raise KeyError(text)

    def own_error(self) -> None:
        raise DeskError("the drawer is stuck")

    def unsendable(self) -> object:
        return object()

    def quit(self) -> None:
        raise SystemExit(4)

    def hoard(self, size: int) -> None:
        """Keep that many bytes, each page written."""
        self.noted.append(b"x" * size)

    def say(self, text: str) -> None:
        print(text)

    def log(self, text: str) -> None:
        self.context.log.error(text)

    def set_hash(self) -> list[str]:
        return list({"one", "two", "three", "four", "five"})

    def environment(self, name: str) -> str | None:
        return os.environ.get(name)

    def open_descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))

    def wait_for(self, path: str) -> str:
        """Return what is written to a FIFO; opening it says that the call has begun."""
        return Path(path).read_text()

    @at_most_once
    def wait_for_ever(self, path: str) -> None:
        """Say so on a FIFO, then answer never."""
        with open(path, "w") as fifo:
            fifo.write("waiting\n")
        while True:
            time.sleep(60)

    def count(self, items: int) -> Iterator[int]:
        yield from range(items)

    def count_noted(self, items: int) -> Iterator[int]:
        """Like count, but notes each item before it is sent, and its end."""
        try:
            for i in range(items):
                self.noted.append(i)
                yield i
        finally:
            self.closed.append("closed")

    @query
    def closings(self) -> int:
        return len(self.closed)

    def fail_after(self, items: int) -> Iterator[int]:
        yield from range(items)
        raise KeyError("enough")

    def blobs(self, items: int, size: int) -> Iterator[bytes]:
        for _ in range(items):
            yield bytes(size)

    def breathe(self) -> Iterator[object]:
        """A task that never sends an item, and lets others run."""
        while True:
            yield SAFE_POINT

    def odd_item(self) -> Iterator[object]:
        yield 1
        yield object()
        yield 3


class DeskError(Exception):
    pass
