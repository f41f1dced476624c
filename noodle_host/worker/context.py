"""The context that a component receives: its way out of the worker."""

from __future__ import annotations

import logging
import os
import random
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..errors import HostError
from ..router import codec, layout
from ..router.buffer import Buffer
from ..router.endpoint import Endpoint
from ..router.stream import Stream
from .deadline import deadline_after, span_ns
from .effects import Effects, Outcome
from .moment import Moment

#: A line on standard error that starts with this carries its level: RS, level, RS.
LEVEL_MARK = "\x1e"
#: What a recorded effect is known by if it is the clock's.
_CLOCK: Final = zlib.crc32(b"time_s")


class WorkerContext:
    """Implements ``hookspecs.Context`` inside a worker."""

    def __init__(
        self,
        component: str,
        version: str,
        requires: frozenset[str],
        endpoint: Endpoint,
        moment: Moment,
        seed: int,
    ) -> None:
        self.component = component
        self.version = version
        self.log = logging.getLogger(component)
        self.random = OrderedRandom(seed, moment)
        self._requires = requires
        self._endpoint = endpoint
        self._moment = moment
        self._decoders: dict[Any, Callable[[Any], Any]] = {}

    def time_s(self) -> float:
        effects = self._moment.effects
        if effects is None:
            return time.time()
        _, body = effects.take(_CLOCK, lambda _: (layout.REPLY, struct.pack("<d", time.time())))
        seconds: float = struct.unpack("<d", body)[0]
        return seconds

    def call(
        self,
        component: str,
        method: str,
        /,
        *args: object,
        timeout: float | None = None,
        key: str | bytes | int | None = None,
        result_type: Any = None,
        **kwargs: object,
    ) -> Any:
        self._check(component)
        effects = self._moment.effects
        decode = self._decoder(result_type)
        deadline_ns = self._deadline(timeout)
        if effects is None:
            numbers = self._moment.numbers
            return self._endpoint.submit(
                component,
                method,
                args,
                kwargs,
                deadline_ns=deadline_ns,
                key=key,
                decode=decode,
                nested_id=0 if numbers is None else numbers.next_id(),
            ).result()

        def perform(nested_id: int) -> Outcome:
            try:
                call = self._endpoint.submit(
                    component,
                    method,
                    args,
                    kwargs,
                    deadline_ns=deadline_ns,
                    key=key,
                    decode=bytes,
                    nested_id=nested_id,
                )
                return layout.REPLY, call.result()
            except HostError as error:
                return layout.ERROR, self._encode(error)

        kind, body = effects.take(_checksum(component, method, args, kwargs), perform)
        if kind == layout.ERROR:
            raise codec.decode_error(body, method)
        return decode(body)

    def stream(
        self,
        component: str,
        method: str,
        /,
        *args: object,
        timeout: float | None = None,
        key: str | bytes | int | None = None,
        item_type: Any = None,
        **kwargs: object,
    ) -> Iterator[Any]:
        self._check(component)
        effects = self._moment.effects
        decode = self._decoder(item_type)
        deadline_ns = self._deadline(timeout)

        def start(decode: Callable[[Any], Any]) -> Stream:
            return self._endpoint.stream(
                component, method, args, kwargs, deadline_ns=deadline_ns, key=key, decode=decode
            )

        if effects is None:
            return start(decode)
        what = _checksum(component, method, args, kwargs)
        return self._recorded_items(effects, method, what, lambda: start(bytes), decode)

    def _recorded_items(
        self,
        effects: Effects,
        method: str,
        what: int,
        start: Callable[[], Stream],
        decode: Callable[[Any], Any],
    ) -> Iterator[Any]:
        seen = 0
        items: Stream | None = None

        def perform(_: int) -> Outcome:
            nonlocal items
            try:
                if items is None:
                    items = start()
                    # What was recorded by a leader that died is not asked for again.
                    for _ in range(seen):
                        next(items, None)
                return layout.ITEM, next(items)
            except StopIteration:
                return layout.END, b""
            except HostError as error:
                return layout.ERROR, self._encode(error)

        try:
            while True:
                kind, body = effects.take(what, perform)
                if kind == layout.END:
                    return
                if kind == layout.ERROR:
                    raise codec.decode_error(body, method)
                seen += 1
                yield decode(body)
        finally:
            if items is not None:
                items.close()

    def _encode(self, error: HostError) -> bytes:
        return codec.encode_exception(error, self.component, self.version, os.getpid())

    def buffer(self, nbytes: int) -> Buffer:
        self._check_thread("makes a buffer", "make buffers in the method itself")
        assert self._endpoint.buffers is not None
        return self._endpoint.buffers.create(nbytes)

    def _check(self, component: str) -> None:
        if component not in self._requires:
            raise HostError(
                f"it calls {component}, which its manifest does not require",
                component=self.component,
                version=self.version,
                phase="call",
                hint=f'add {component} = ">=..." under [requires] in component.toml',
            )
        self._check_thread(f"calls {component}", "call other components from the method itself")

    def _check_thread(self, what: str, hint: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            # Lanes have one producer and one consumer, the main thread; so has the
            # socket to the host.
            raise HostError(
                f"it {what} from a thread",
                component=self.component,
                version=self.version,
                phase="call",
                hint=hint,
            )

    def _deadline(self, timeout: float | None) -> int:
        """A nested call never outlives the call that makes it."""
        outer = self._moment.deadline_ns
        if timeout is None:
            return outer
        own = deadline_after(span_ns(timeout))
        return min(own, outer) if outer else own

    def _decoder(self, result_type: Any) -> Callable[[Any], Any]:
        try:
            decode = self._decoders.get(result_type)
        except TypeError:
            return codec.decoder_for(result_type).decode
        if decode is None:
            decode = self._decoders[result_type] = codec.decoder_for(result_type).decode
        return decode


class OrderedRandom(random.Random):
    """Random numbers that depend on the order of the command that asks for them.

    So whoever executes the command again gets the same ones, with nothing recorded.
    """

    def __new__(cls, seed: int, moment: Moment) -> OrderedRandom:
        return super().__new__(cls)

    def __init__(self, seed: int, moment: Moment) -> None:
        self._start = seed
        self._moment = moment
        self._order = -1
        super().__init__(seed)

    def random(self) -> float:
        if self._order != self._moment.order:
            self._begin()
        return super().random()

    def getrandbits(self, k: int, /) -> int:
        if self._order != self._moment.order:
            self._begin()
        return super().getrandbits(k)

    def _begin(self) -> None:
        self._order = self._moment.order
        self.seed(self._start ^ self._order << 32)


def _checksum(
    component: str, method: str, args: tuple[object, ...], kwargs: dict[str, object]
) -> int:
    checksum = zlib.crc32(f"{component}.{method}".encode())
    body, _ = codec.encode_arguments(args, kwargs)
    for chunk in body if isinstance(body, list) else [body]:
        checksum = zlib.crc32(chunk, checksum)
    return checksum


class MarkedLineHandler(logging.Handler):
    """Writes log records to standard error so that the host can tell their level."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            mark = f"{LEVEL_MARK}{record.levelno}{LEVEL_MARK}"
            text = self.format(record)
            lines = [f"{mark}{line}\n" for line in text.splitlines() or [""]]
            self._write("".join(lines).encode("utf-8", "replace"))
        except Exception:
            self.handleError(record)
