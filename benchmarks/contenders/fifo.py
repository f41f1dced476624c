"""faster-fifo, one queue each way."""

from __future__ import annotations

import multiprocessing
from typing import Any

from faster_fifo import Queue

from .protocol import Echo

_ROOM_BYTES = 40 << 20


def _serve(there: Any, back: Any) -> None:
    while (data := there.get(timeout=3600)) is not None:
        back.put(data, timeout=3600)


class FifoEcho(Echo):
    def __init__(self) -> None:
        self._there: Any = Queue(max_size_bytes=_ROOM_BYTES)
        self._back: Any = Queue(max_size_bytes=_ROOM_BYTES)
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(self._there, self._back), daemon=True
        )
        self._process.start()

    def send(self, data: bytes) -> None:
        self._there.put(data)

    def receive(self) -> None:
        self._back.get(timeout=60)

    def echo(self, data: bytes) -> bytes:
        self._there.put(data)
        answer: bytes = self._back.get(timeout=60)
        return answer

    def close(self) -> None:
        self._there.put(None)
        self._process.join()
