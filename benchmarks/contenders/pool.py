"""``concurrent.futures.ProcessPoolExecutor`` with one process."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor

from .protocol import Echo


def _same(data: bytes) -> bytes:
    return data


class PoolEcho(Echo):
    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(max_workers=1)
        self._open: deque[Future[bytes]] = deque()

    def echo(self, data: bytes) -> bytes:
        return self._pool.submit(_same, data).result()

    def send(self, data: bytes) -> None:
        self._open.append(self._pool.submit(_same, data))

    def receive(self) -> None:
        self._open.popleft().result()

    def close(self) -> None:
        self._pool.shutdown()
