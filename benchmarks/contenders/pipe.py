"""The yardstick: a bare ``multiprocessing.Pipe``."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

from .protocol import Echo


def _serve(connection: Connection) -> None:
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        pass


class PipeEcho(Echo):
    def __init__(self) -> None:
        self._near, far = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=self._serve, args=(far,), daemon=True
        )
        self._process.start()
        far.close()

    def _serve(self, far: Connection) -> None:
        # Forked: the end that the parent keeps must not keep this process alive.
        self._near.close()
        _serve(far)

    def echo(self, data: bytes) -> bytes:
        self._near.send_bytes(data)
        return self._near.recv_bytes()

    def send(self, data: bytes) -> None:
        self._near.send_bytes(data)

    def receive(self) -> None:
        self._near.recv_bytes()

    def close(self) -> None:
        self._near.close()
        self._process.join()
