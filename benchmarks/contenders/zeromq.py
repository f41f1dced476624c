"""pyzmq: PAIR sockets over ``ipc://``."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from typing import Any

import zmq

from .protocol import Echo


def _serve(address: str) -> None:
    socket: Any = zmq.Context().socket(zmq.PAIR)
    socket.set_hwm(0)
    socket.bind(address)
    while data := socket.recv():
        socket.send(data, copy=False)


class ZeromqEcho(Echo):
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        address = f"ipc://{os.path.join(self._folder.name, 'echo')}"
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(address,), daemon=True)
        self._process.start()
        self._socket: Any = zmq.Context().socket(zmq.PAIR)
        self._socket.set_hwm(0)
        self._socket.connect(address)

    def echo(self, data: bytes) -> bytes:
        self._socket.send(data, copy=len(data) < 65536)
        answer: bytes = self._socket.recv()
        return answer

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self) -> None:
        self._socket.recv()

    def close(self) -> None:
        self._socket.send(b"")
        self._process.join()
        self._folder.cleanup()
