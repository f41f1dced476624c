"""gRPC, unary calls of raw bytes over a Unix socket."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from .protocol import Echo

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def _serve(address: str, ready: Any) -> None:
    server: Any = grpc.server(ThreadPoolExecutor(max_workers=1), options=_OPTIONS)
    handler = grpc.unary_unary_rpc_method_handler(lambda data, _: data)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("Echo", {"echo": handler})]
    )
    server.add_insecure_port(address)
    server.start()
    ready.set()
    server.wait_for_termination()


class GrpcEcho(Echo):
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        address = f"unix:{os.path.join(self._folder.name, 'echo')}"
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        self._process = context.Process(target=_serve, args=(address, ready), daemon=True)
        self._process.start()
        ready.wait()
        self._channel: Any = grpc.insecure_channel(address, options=_OPTIONS)
        self._call: Any = self._channel.unary_unary("/Echo/echo")
        self._open: deque[Any] = deque()

    def echo(self, data: bytes) -> bytes:
        answer: bytes = self._call(data)
        return answer

    def send(self, data: bytes) -> None:
        self._open.append(self._call.future(data))

    def receive(self) -> None:
        self._open.popleft().result()

    def close(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.join()
        self._folder.cleanup()
