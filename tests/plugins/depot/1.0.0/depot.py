"""Takes, keeps, makes and gives shared memory."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hookspecs
from hookspecs import Context, at_most_once, hookimpl
from noodle_host import Buffer


class Depot:
    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context
        self.kept: list[Any] = []
        self.before: Callable[[], Buffer | None] = lambda: None

    def pid(self) -> int:
        return os.getpid()

    def total(self, data: Buffer) -> int:
        return sum(bytes(data))

    def total_of(self, data: hookspecs.Buffer | None) -> int:
        return 0 if data is None else sum(memoryview(data))

    def total_of_all(self, *parts: Any, **named: Any) -> int:
        return sum(sum(bytes(part)) for part in (*parts, *named.values()))

    def takes_bytes(self, data: bytes) -> int:
        return len(data)

    def mirror(self, value: Any) -> Any:
        return value

    def write(self, data: Buffer, at: int, value: int) -> int:
        data[at] = value
        return data[at]

    def write_and_return(self, data: Buffer, value: int) -> Buffer:
        data[0] = value
        return data.give()

    def make(self, size: int, value: int) -> Any:
        made = self.context.buffer(size)
        memoryview(made)[:] = bytes([value]) * size
        return made

    def make_gift(self, size: int, value: int) -> Any:
        return self.make(size, value).give()

    def make_many(self, count: int, size: int) -> list[Any]:
        return [self.make(size, i) for i in range(count)]

    def make_and_drop(self, count: int, size: int) -> None:
        for i in range(count):
            self.make(size, i % 256)

    @at_most_once
    def make_when_told(self, path: str, size: int) -> Any:
        """Open a FIFO, which says that the call has begun; answer when it is written to."""
        Path(path).read_text()
        return self.make(size, 1)

    @at_most_once
    def total_when_told(self, path: str, data: Buffer) -> int:
        Path(path).read_text()
        return self.total(data)

    def return_closed(self) -> Any:
        made = self.make(10, 1)
        made.close()
        return made

    def return_twice(self) -> Any:
        """The same gift, every time."""
        if not self.kept:
            self.kept.append(self.make(10, 1).give())
        return self.kept[0]

    def stream(self, count: int, size: int) -> Iterator[Any]:
        for i in range(count):
            yield self.make(size, i)

    def bytes_of(self, data: Buffer) -> Iterator[int]:
        yield from memoryview(data)

    def keep(self, data: Any) -> int:
        self.kept.append(data)
        return len(self.kept)

    def hoard(self, count: int, size: int) -> None:
        """Make some, each page written, and keep them."""
        self.kept += [self.make(size, 1) for _ in range(count)]

    def is_what_came_before(self, data: Buffer) -> bool:
        """Whether it is the object that came with the last call of this method."""
        before, self.before = self.before, weakref.ref(data)
        return before() is data

    def announce(self, path: str) -> None:
        """Say on a FIFO that everything that was asked before is done."""
        Path(path).write_text("done\n")

    def kept_total(self) -> int:
        return sum(sum(bytes(data)) for data in self.kept)

    def return_kept(self) -> Any:
        return self.kept[-1]

    def drop_kept(self) -> None:
        self.kept.clear()

    def make_in_thread(self) -> str:
        said: list[str] = []

        def make() -> None:
            try:
                self.context.buffer(1)
            except Exception as error:
                said.append(str(error))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return said[0]

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))
