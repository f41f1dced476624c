"""The yardstick: an echo over a bare ``multiprocessing.Pipe``."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection

from .measure import Batch, timed


def _echo(connection: Connection) -> None:
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        pass


class PipeEcho:
    """A forked process that sends back what it is sent.

    To be made before anything starts a thread.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._near, far = context.Pipe()
        self._process = context.Process(target=self._serve, args=(far,), daemon=True)
        self._process.start()
        far.close()

    def _serve(self, far: Connection) -> None:
        self._near.close()
        _echo(far)

    def echo(self, data: bytes) -> bytes:
        self._near.send_bytes(data)
        return self._near.recv_bytes()

    def round_trips(self, data: bytes) -> Batch:
        return timed(lambda: self.echo(data))

    def pipelined(self, data: bytes, in_flight: int) -> Batch:
        """Seconds a message, once a batch, with ``in_flight`` on their way at a time."""
        near = self._near

        def batch(count: int) -> list[float]:
            began = time.perf_counter()
            for _ in range(min(in_flight, count)):
                near.send_bytes(data)
            for _ in range(count - in_flight):
                near.recv_bytes()
                near.send_bytes(data)
            for _ in range(min(in_flight, count)):
                near.recv_bytes()
            return [(time.perf_counter() - began) / count]

        return batch

    def close(self) -> None:
        self._near.close()
        self._process.join()
