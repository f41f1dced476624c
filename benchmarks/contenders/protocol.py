"""What a contender is."""

from __future__ import annotations

from typing import Protocol


class Contender(Protocol):
    """An echo in another process.

    It is made in a process that does nothing else, and so may start threads.
    Its module raises ImportError where the library is not installed.
    """

    def echo(self, data: bytes) -> object:
        """Send ``data`` there and return what came back, in the library's form."""

    def send(self, data: bytes) -> None:
        """Send without waiting, for pipelining."""

    def receive(self) -> None:
        """Wait for the oldest answer that was not received."""

    def nap(self, seconds: float) -> None:
        """Wait for a call that takes that long on the other side."""

    def close(self) -> None:
        """End the other process."""


class Echo:
    """For contenders to derive from that cannot do all of it."""

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def receive(self) -> None:
        raise NotImplementedError

    def nap(self, seconds: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass
