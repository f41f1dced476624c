"""This project: a component of its own, through the whole stack."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from noodle_host import Call, Host

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
