"""This project: a component of its own, through the whole stack."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from noodle_host import Buffer, Call, Host

from .protocol import Echo

PLUGINS = Path(__file__).parent.parent / "plugins"


class HostEcho(Echo):
    def __init__(self) -> None:
        self.host = Host(PLUGINS)
        try:
            self.host.start("echo")
        except BaseException:
            self.host.close()
            raise
        self._open: deque[Call] = deque()

    def echo(self, data: bytes) -> bytes:
        answer: bytes = self.host.call("echo", "echo", data)
        return answer

    def send(self, data: bytes) -> None:
        self._open.append(self.host.submit("echo", "echo", data))

    def receive(self) -> None:
        self._open.popleft().result()

    def nap(self, seconds: float) -> None:
        self.host.call("echo", "nap", seconds)

    def close(self) -> None:
        self.host.close()


class ZeroCopyEcho(HostEcho):
    """Passes a buffer and gets one back.

    The bytes are put into the buffer when they are not those of the last time: as a program
    has its data there that works on them where they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._data = b""
        self._buffer: Buffer | None = None

    def _shared(self, data: bytes) -> Buffer:
        if self._buffer is None or self._data is not data:
            self._data = data
            self._buffer = self.host.buffer(len(data))
            memoryview(self._buffer)[:] = data
        return self._buffer

    def echo(self, data: bytes) -> Any:
        return self.host.call("echo", "echo_buffer", self._shared(data))

    def send(self, data: bytes) -> None:
        self._open.append(self.host.submit("echo", "echo_buffer", self._shared(data)))
