"""The context that a component receives: its way out of the worker."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import HostError
from ..router import codec
from ..router.endpoint import Endpoint
from .deadline import deadline_after, span_ns

#: A line on standard error that starts with this carries its level: RS, level, RS.
LEVEL_MARK = "\x1e"


class WorkerContext:
    """Implements ``hookspecs.Context`` inside a worker."""

    def __init__(
        self,
        component: str,
        version: str,
        requires: frozenset[str],
        endpoint: Endpoint,
        current_deadline_ns: Callable[[], int],
        seed: int,
    ) -> None:
        self.component = component
        self.version = version
        self.log = logging.getLogger(component)
        self.random = random.Random(seed)
        self._requires = requires
        self._endpoint = endpoint
        self._current_deadline_ns = current_deadline_ns
        self._decoders: dict[Any, Callable[[Any], Any]] = {}

    def time_s(self) -> float:
        return time.time()

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
        return self._endpoint.submit(
            component,
            method,
            args,
            kwargs,
            deadline_ns=self._deadline(timeout),
            key=key,
            decode=self._decoder(result_type),
        ).result()

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
        return self._endpoint.stream(
            component,
            method,
            args,
            kwargs,
            deadline_ns=self._deadline(timeout),
            key=key,
            decode=self._decoder(item_type),
        )

    def _check(self, component: str) -> None:
        if component not in self._requires:
            raise HostError(
                f"it calls {component}, which its manifest does not require",
                component=self.component,
                version=self.version,
                phase="call",
                hint=f'add {component} = ">=..." under [requires] in component.toml',
            )
        if threading.current_thread() is not threading.main_thread():
            # Lanes have one producer and one consumer: the main thread.
            raise HostError(
                f"it calls {component} from a thread",
                component=self.component,
                version=self.version,
                phase="call",
                hint="call other components from the method itself",
            )

    def _deadline(self, timeout: float | None) -> int:
        """A nested call never outlives the call that makes it."""
        outer = self._current_deadline_ns()
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
