"""``multiprocessing.Queue``, one each way."""

from __future__ import annotations

import multiprocessing
from typing import Any

from .protocol import Echo


def _serve(there: Any, back: Any) -> None:
    while (data := there.get()) is not None:
        back.put(data)


class QueueEcho(Echo):
    def __init__(self) -> None:
        self._there: Any = multiprocessing.Queue()
        self._back: Any = multiprocessing.Queue()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(self._there, self._back), daemon=True
        )
        self._process.start()

    def echo(self, data: bytes) -> bytes:
        self._there.put(data)
        answer: bytes = self._back.get()
        return answer

    def send(self, data: bytes) -> None:
        self._there.put(data)

    def receive(self) -> None:
        self._back.get()

    def close(self) -> None:
        self._there.put(None)
        self._process.join()
