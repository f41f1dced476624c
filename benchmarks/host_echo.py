"""The host's side of the echo measurements."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from noodle_host import Host
from noodle_host.router.call import Call

from .measure import Batch, timed

PLUGINS = Path(__file__).parent / "plugins"


def start_host() -> Host:
    """A host that serves the component ``echo``."""
    host = Host(PLUGINS)
    try:
        host.start("echo")
    except BaseException:
        host.close()
        raise
    return host


def round_trips(host: Host, data: bytes) -> Batch:
    if host.call("echo", "echo", data) != data:
        raise AssertionError("the echo differs")
    return timed(lambda: host.call("echo", "echo", data))


def pipelined(host: Host, data: bytes, in_flight: int) -> Batch:
    """Seconds a call, once a batch, with ``in_flight`` on their way at a time."""

    def batch(count: int) -> list[float]:
        open_calls: deque[Call] = deque()
        began = time.perf_counter()
        for _ in range(count):
            if len(open_calls) == in_flight:
                open_calls.popleft().result()
            open_calls.append(host.submit("echo", "echo", data))
        while open_calls:
            open_calls.popleft().result()
        return [(time.perf_counter() - began) / count]

    return batch
