"""A stream on its way: the items of a task, with back-pressure.

The caller grants credit: a task may be so many items ahead of whoever
consumes them and no more, so a stream that nobody reads costs no memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Self

from ..errors import CallError, CallTimeout
from . import codec, layout
from .corrupt import CorruptError
from .pump import Wakes

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .link import Link

#: How many items a task may be ahead of its consumer.
WINDOW_ITEMS: Final = 64
# More than the window, which a credit that was granted twice may exceed; a task
# that sends more than this does not keep to the protocol.
_MOST_ITEMS: Final = 4 * WINDOW_ITEMS


class NothingYetError(Exception):
    """No item is there, and the stream has not ended."""


class Inflow:
    """What the pump knows of a stream: its items and its end.

    It does not know the stream, so that one that is dropped is found out.
    """

    __slots__ = (
        "call_id",
        "deadline_ns",
        "ended",
        "error",
        "items",
        "link",
        "method",
        "position",
        "wakes",
    )

    def __init__(self, link: Link, call_id: int, method: str, deadline_ns: int) -> None:
        self.link = link
        self.call_id = call_id
        self.method = method
        self.deadline_ns = deadline_ns
        #: The request's place in the lane, to take it back; -1 = unsent.
        self.position = -1
        #: (the record's position, body)
        self.items: deque[tuple[int, bytes | memoryview]] = deque()
        self.ended = False
        self.error: BaseException | None = None
        #: Whom to tell, from the pump, that there is an item or the end.
        self.wakes = Wakes()

    def on_record(self, position: int, kind: int, body: bytes | memoryview) -> bool:
        """Take an item or the end; True: this stream expects nothing more.

        May be called again with the same record if it was interrupted.
        """
        if kind == layout.ITEM:
            if len(self.items) >= _MOST_ITEMS:
                raise CorruptError("a task sends more items than it was asked for")
            self.items.append((position, body))
        elif kind == layout.ERROR:
            self.error = codec.decode_error(body, self.method)
            self.ended = True
        elif kind == layout.END:
            self.ended = True
        else:
            raise CorruptError(f"a record of kind {kind} is no part of a stream")
        self.wakes.wake_all()
        return self.ended

    def fail(self, error: BaseException) -> None:
        """End with an error found on this side, after the items that are there."""
        if not self.ended:
            self.error = error
            self.ended = True
        self.wakes.wake_all()

    def settled(self) -> bool:
        """Whether an item or the end is there."""
        return bool(self.items) or self.ended


class Stream(Iterator[Any]):
    """Iterates over the items; ``close()`` (or leaving ``with``) cancels the task.

    So does dropping it. The deadline, if there is one, is for the whole stream.
    """

    def __init__(self, endpoint: Endpoint, inflow: Inflow, decode: Callable[[Any], Any]) -> None:
        self._endpoint = endpoint
        self._inflow = inflow
        self._decode = decode
        self._consumed = 0
        self._last_position = -1

    def __repr__(self) -> str:
        inflow = self._inflow
        state = "ended" if inflow.ended else "open"
        return f"<Stream {inflow.link.component}.{inflow.method}() {state}>"

    @property
    def deadline_ns(self) -> int:
        """CLOCK_MONOTONIC in ns, 0 = none."""
        return self._inflow.deadline_ns

    @property
    def wakes(self) -> Wakes:
        """Whom to tell, from the pump, that there is an item or the end."""
        return self._inflow.wakes

    def settled(self) -> bool:
        """Whether an item or the end is there."""
        return self._inflow.settled()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        inflow = self._inflow
        while True:
            if not inflow.settled():
                self._endpoint.wait(inflow, inflow.deadline_ns)
            try:
                return self.take()
            except NothingYetError:
                # Another thread was faster.
                continue

    def take(self) -> Any:
        """The next item if one is there, else raise how the stream ended.

        Raises:
            NothingYetError: neither has come.
            StopIteration: that was all.
            HostError: the task failed, or was late.
        """
        inflow = self._inflow
        while inflow.items:
            try:
                position, body = inflow.items.popleft()
            except IndexError:
                break
            # An interrupted delivery is done again.
            if position > self._last_position:
                self._last_position = position
                return self._consume(body)
        if not inflow.ended:
            if not self.expired():
                raise NothingYetError
            self.close()
            inflow.error = CallTimeout(
                f"{inflow.method}() did not end before its deadline",
                component=inflow.link.component,
                hint="the task was cancelled; allow more time",
            )
        failure, inflow.error = inflow.error, None
        if failure is not None:
            raise failure
        raise StopIteration

    def _consume(self, body: bytes | memoryview) -> Any:
        self._consumed += 1
        if self._consumed * 2 >= WINDOW_ITEMS and not self._inflow.ended:
            self._endpoint.grant(self._inflow, self._consumed)
            self._consumed = 0
        try:
            return self._decode(body)
        except codec.DECODE_ERRORS as error:
            self.close()
            raise CallError(
                f"an item of {self._inflow.method}() does not decode: {error}",
                component=self._inflow.link.component,
                phase="decode",
                hint="the component sent another type than the one asked for",
            ) from error

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        deadline_ns = self._inflow.deadline_ns
        return bool(deadline_ns) and time.monotonic_ns() >= deadline_ns

    def close(self) -> None:
        """Cancel the task, unless it has ended; items not consumed are dropped."""
        inflow = self._inflow
        if not inflow.ended:
            inflow.ended = True
            self._endpoint.abandon(inflow)
            self._endpoint.cancel_task(inflow)
            # Another thread may be waiting for an item.
            inflow.wakes.wake_all()
            self._endpoint.pump.rouse()
        inflow.items.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        inflow = self._inflow
        if not inflow.ended:
            inflow.ended = True
            self._endpoint.discard(inflow)
