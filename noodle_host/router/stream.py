"""A stream on its way: the items of a task, with back-pressure.

The caller grants credit: a task may be so many items ahead of whoever
consumes them and no more, so a stream that nobody reads costs no memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from ..errors import CallError, CallTimeout
from . import codec, layout

if TYPE_CHECKING:
    from .endpoint import Endpoint, Link

#: How many items a task may be ahead of its consumer.
WINDOW_ITEMS: Final = 64


class Stream(Iterator[Any]):
    """Iterates over the items; ``close()`` (or leaving ``with``) cancels the task.

    The deadline, if there is one, is for the whole stream.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        link: Link,
        call_id: int,
        method: str,
        deadline_ns: int,
        decode: Callable[[Any], Any],
    ) -> None:
        self.link = link
        self.call_id = call_id
        self.method = method
        self.deadline_ns = deadline_ns
        self.position = -1
        self._endpoint = endpoint
        self._decode = decode
        self._items: deque[bytes | memoryview] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._consumed = 0
        self._wake: Callable[[], None] | None = None

    # -- the pump's side ---------------------------------------------------

    def on_record(self, kind: int, body: bytes | memoryview) -> bool:
        """Take an item or the end; True: this stream expects nothing more."""
        if kind == layout.ITEM:
            self._items.append(body)
        elif kind == layout.ERROR:
            self._error = codec.decode_error(body)
            self._ended = True
        else:
            self._ended = True
        if self._wake is not None:
            self._wake()
        return self._ended

    def fail(self, error: BaseException) -> None:
        """End with an error found on this side, after the items that are there."""
        if not self._ended:
            self._error = error
            self._ended = True
            if self._wake is not None:
                self._wake()

    def set_wake(self, wake: Callable[[], None] | None) -> None:
        """Set what to call, from the pump, when there is an item or the end."""
        self._wake = wake

    def settled(self) -> bool:
        """Whether an item or the end is there."""
        return bool(self._items) or self._ended

    # -- the consumer's side -----------------------------------------------

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not self._items and not self._ended:
            self._endpoint.wait(self, self.deadline_ns)
        return self.take()

    def take(self) -> Any:
        """The next item if one is there, else raise how the stream ended."""
        if self._items:
            body = self._items.popleft()
            self._consumed += 1
            if self._consumed * 2 >= WINDOW_ITEMS and not self._ended:
                self._endpoint.grant(self, self._consumed)
                self._consumed = 0
            try:
                return self._decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.close()
                raise CallError(
                    f"an item of {self.method}() does not decode: {error}",
                    component=self.link.component,
                    phase="decode",
                    hint="the component sent another type than the one asked for",
                ) from error
        if not self._ended:
            self.close()
            self._error = CallTimeout(
                f"{self.method}() did not end before its deadline",
                component=self.link.component,
                hint="the task was cancelled; allow more time",
            )
        failure, self._error = self._error, None
        if failure is not None:
            raise failure
        raise StopIteration

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return bool(self.deadline_ns) and time.monotonic_ns() >= self.deadline_ns

    def close(self) -> None:
        """Cancel the task, unless it has ended; items not consumed are dropped."""
        if not self._ended:
            self._ended = True
            self._endpoint.abandon(self)
            self._endpoint.cancel_task(self)
        self._items.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
