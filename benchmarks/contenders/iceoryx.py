"""iceoryx2: publish-subscribe of bytes, one service each way; polling, or with events."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
from typing import Any

import iceoryx2 as iox2

from .protocol import Echo

_LARGEST_BYTES = 16 << 20


class _Duplex:
    """One side: publishes on one service, subscribes to the other."""

    def __init__(self, name: str, side: int, events: bool) -> None:
        iox2.set_log_level(iox2.LogLevel.Error)
        self._node: Any = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        services = [self._service(f"{name}/{direction}") for direction in (0, 1)]
        self._publisher: Any = (
            services[side].publisher_builder().initial_max_slice_len(_LARGEST_BYTES).create()
        )
        self._subscriber: Any = services[1 - side].subscriber_builder().create()
        self._notifier: Any = None
        if events:
            bells = [self._bell(f"{name}/bell/{direction}") for direction in (0, 1)]
            self._notifier = bells[side].notifier_builder().create()
            self._listener: Any = bells[1 - side].listener_builder().create()

    def _service(self, name: str) -> Any:
        return (
            self._node.service_builder(iox2.ServiceName.new(name))
            .publish_subscribe(iox2.Slice[ctypes.c_uint8])
            .subscriber_max_buffer_size(64)
            .open_or_create()
        )

    def _bell(self, name: str) -> Any:
        return self._node.service_builder(iox2.ServiceName.new(name)).event().open_or_create()

    def send(self, data: bytes) -> None:
        sample = self._publisher.loan_slice_uninit(len(data))
        ctypes.memmove(sample.payload().data_ptr, data, len(data))
        sample.assume_init().send()
        if self._notifier is not None:
            self._notifier.notify()

    def receive(self) -> bytes:
        while True:
            sample = self._subscriber.receive()
            if sample is not None:
                payload = sample.payload()
                data = ctypes.string_at(payload.data_ptr, payload.number_of_elements)
                sample.delete()
                return data
            if self._notifier is not None:
                # Being stopped between turns interrupts it.
                with contextlib.suppress(iox2.ListenerWaitError):
                    self._listener.timed_wait(iox2.Duration.from_millis(1000))


def _serve(name: str, events: bool, ready: Any) -> None:
    duplex = _Duplex(name, 1, events)
    ready.set()
    while data := duplex.receive():
        duplex.send(data)


class IceoryxEcho(Echo):
    def __init__(self, events: bool) -> None:
        name = f"noodle_host/benchmark/{os.getpid()}/{events}"
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        self._duplex = _Duplex(name, 0, events)
        self._process = context.Process(target=_serve, args=(name, events, ready), daemon=True)
        self._process.start()
        ready.wait()

    def echo(self, data: bytes) -> bytes:
        self._duplex.send(data)
        return self._duplex.receive()

    def send(self, data: bytes) -> None:
        self._duplex.send(data)

    def receive(self) -> None:
        self._duplex.receive()

    def close(self) -> None:
        # Zero bytes cannot be lent; the other side has nothing that needs an ending.
        self._process.kill()
        self._process.join()
