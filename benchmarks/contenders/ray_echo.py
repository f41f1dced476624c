"""Ray: an actor's method, and the same in a compiled graph."""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

from .protocol import Echo


class _Actor:
    def echo(self, data: bytes) -> bytes:
        return data


def _start() -> Any:
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    return ray.remote(_Actor).remote()


class RayActorEcho(Echo):
    def __init__(self) -> None:
        self._actor = _start()
        self._open: deque[Any] = deque()

    def echo(self, data: bytes) -> bytes:
        answer: bytes = ray.get(self._actor.echo.remote(data))
        return answer

    def send(self, data: bytes) -> None:
        self._open.append(self._actor.echo.remote(data))

    def receive(self) -> None:
        ray.get(self._open.popleft())

    def close(self) -> None:
        ray.shutdown()


class RayGraphEcho(Echo):
    """One in flight: the graph's channels are made for the largest message."""

    def __init__(self) -> None:
        from ray.dag import InputNode

        actor = _start()
        with InputNode() as data:
            graph = actor.echo.bind(data)
        self._graph: Any = graph.experimental_compile(_buffer_size_bytes=20 << 20)

    def echo(self, data: bytes) -> bytes:
        answer: bytes = ray.get(self._graph.execute(data))
        return answer

    def close(self) -> None:
        self._graph.teardown()
        ray.shutdown()
