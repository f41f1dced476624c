"""A call on its way: a future that its own caller's thread brings home.

``Call`` is a ``concurrent.futures.Future``: ``result()`` moves mail until the
reply is there, so no other thread is involved. Only ``add_done_callback``,
``concurrent.futures.wait`` and asyncio make it a background call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..errors import CallError, CallTimeout
from . import codec, layout

if TYPE_CHECKING:
    from .endpoint import Endpoint, Link

# The states of concurrent.futures that its wait() looks at.
_PENDING: Final = "PENDING"
_CANCELLED: Final = "CANCELLED_AND_NOTIFIED"
_FINISHED: Final = "FINISHED"


class Call(Future[Any]):
    """One call and what came of it.

    ``result()`` returns the decoded result or raises a :class:`HostError`.
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
        # Future's constructor makes a Condition, which costs more than a whole
        # call; it is made when somebody asks for it.
        self.link = link
        self.call_id = call_id
        self.method = method
        self.deadline_ns = deadline_ns
        #: The record's place in the lane, to take the call back; -1 = unsent.
        self.position = -1
        self._endpoint = endpoint
        self._decode = decode
        self._state = _PENDING
        self._result = None
        self._exception = None
        self._undecoded: Any = None
        self._wake: Callable[[], None] | None = None
        self._waiters: list[Any] = []
        self._done_callbacks: list[Callable[[Any], Any]] = []
        self._is_background = False

    # -- the pump's side ---------------------------------------------------

    def on_record(self, kind: int, body: bytes | memoryview) -> bool:
        """Take the reply; True: this call expects nothing more."""
        if kind == layout.REPLY:
            self._undecoded = body
        else:
            self._exception = codec.decode_error(body)
        self._finish(_FINISHED)
        return True

    def fail(self, error: BaseException) -> None:
        """Settle with an error found on this side; ignored when settled already."""
        if self._state is _PENDING:
            self._exception = error
            self._finish(_FINISHED)

    def _finish(self, state: str) -> None:
        self._state = state
        # After the state: whoever makes the condition later looks at the state.
        condition = self.__dict__.get("_lazy_condition")
        if condition is not None:
            with condition:
                for waiter in self._waiters:
                    self._notify(waiter, state)
                condition.notify_all()
        if self._is_background:
            self._is_background = False
            self._endpoint.background_done(self)
        if self._wake is not None:
            self._wake()
        if self._done_callbacks:
            self._invoke_callbacks()  # type: ignore[attr-defined]

    def _notify(self, waiter: Any, state: str) -> None:
        if state is _CANCELLED:
            waiter.add_cancelled(self)
        elif self._exception is not None:
            waiter.add_exception(self)
        else:
            waiter.add_result(self)

    # -- the caller's side -------------------------------------------------

    def result(self, timeout: float | None = None) -> Any:
        """Wait and return the result.

        Raises:
            HostError: the call failed; its own deadline gives ``CallTimeout``.
            TimeoutError: ``timeout`` seconds passed first; the call goes on.
            CancelledError: it was cancelled.
        """
        if self._state is _PENDING:
            self._wait(timeout)
        if self._state is _CANCELLED:
            raise CancelledError
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                # A traceback holds its frames, and the frame this call.
                del self
        if self._undecoded is not None:
            body, self._undecoded = self._undecoded, None
            try:
                self._result = self._decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._exception = CallError(
                    f"the result of {self.method}() does not decode: {error}",
                    component=self.link.component,
                    phase="decode",
                    hint="the component returned another type than the one asked for",
                )
                raise self._exception from error
        return self._result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait and return what :meth:`result` would raise, or None."""
        try:
            self.result(timeout)
        except CancelledError:
            raise
        except FutureTimeoutError as error:
            if error is not self._exception:
                raise
        except BaseException as error:
            if error is not self._exception:
                raise
        return self._exception

    def _wait(self, timeout: float | None) -> None:
        until_ns = self.deadline_ns
        if timeout is not None:
            limit = time.monotonic_ns() + int(timeout * 1e9)
            until_ns = min(until_ns, limit) if until_ns else limit
        if self._endpoint.wait(self, until_ns):
            return
        if not self.expire():
            raise FutureTimeoutError

    def expire(self) -> bool:
        """Settle with ``CallTimeout`` if the deadline has passed; True if settled."""
        if self._state is not _PENDING:
            return True
        if self.deadline_ns and time.monotonic_ns() >= self.deadline_ns:
            self._endpoint.abandon(self)
            self.fail(
                CallTimeout(
                    f"{self.method}() gave no answer before its deadline",
                    component=self.link.component,
                    hint="a command that has begun goes on to its end; allow more time, "
                    "or look at what the component is busy with",
                )
            )
            return True
        return False

    def cancel(self) -> bool:
        """Take the call back. True if the caller will get no result.

        A call that has begun is executed to its end all the same.
        """
        if self._state is _FINISHED:
            return False
        if self._state is _PENDING:
            self._endpoint.abandon(self)
            self._finish(_CANCELLED)
        return True

    def cancelled(self) -> bool:
        return self._state is _CANCELLED

    def running(self) -> bool:
        """Whether it was sent and is not answered; whether it began is not known."""
        return self._state is _PENDING and self.position >= 0

    def done(self) -> bool:
        if self._state is _PENDING and self.link.end.inbox.reader.has_record():
            self._endpoint.nudge()
        return self._state is not _PENDING

    def settled(self) -> bool:
        """Like :meth:`done`, but moves no mail."""
        return self._state is not _PENDING

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call ``fn(self)`` when it is done, on whichever thread finds out."""
        with self._condition:
            if self._state is _PENDING:
                self._done_callbacks.append(fn)
                return
        fn(self)

    def set_wake(self, wake: Callable[[], None] | None) -> None:
        """Set what to call, from the pump, when the call is settled."""
        self._wake = wake

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        # One step under the GIL, so two threads get the same one. Who asks for
        # it waits without pumping: the call has become a background call.
        condition: threading.Condition = self.__dict__.setdefault(
            "_lazy_condition", threading.Condition()
        )
        if not self._is_background and self._state is _PENDING:
            self._endpoint.make_background(self)
        return condition

    def mark_background(self) -> None:
        """Note that the endpoint counts this call among the background ones."""
        self._is_background = True
