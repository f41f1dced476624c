"""A call on its way: a future that its own caller's thread brings home.

``Call`` is a ``concurrent.futures.Future``: ``result()`` moves mail until the
reply is there, so no other thread is involved. Only ``add_done_callback``,
``concurrent.futures.wait`` and asyncio make it a background call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

from ..errors import CallError, CallTimeout
from . import codec, layout
from .corrupt import CorruptError
from .pump import Wakes

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .link import Link

_log: Final = logging.getLogger("noodle_host.router")

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
        # Where the reply stood that settled it.
        self._answered_at = -1
        self._wakes: Wakes | None = None
        self._waiters: list[Any] = []
        self._done_callbacks: list[Callable[[Any], Any]] = []
        self._lazy_condition: threading.Condition | None = None
        self._is_background = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.link.component}.{self.method}() {self._state}>"

    # -- settling ----------------------------------------------------------

    def on_record(self, position: int, kind: int, body: bytes | memoryview) -> bool:
        """Take the reply; True: this call expects nothing more.

        May be called again with the same record if it was interrupted.
        """
        if kind == layout.REPLY:
            error = None
        elif kind == layout.ERROR:
            error = codec.decode_error(body, self.method)
        else:
            raise CorruptError(f"a record of kind {kind} does not answer a call")
        if (
            self._lazy_condition is None and self._decide(_FINISHED, error, body, position, None)
        ) or self._settle(_FINISHED, error, body, position):
            # Usually nobody has asked to be told.
            if self._lazy_condition is not None or self._wakes is not None:
                self._announce()
        elif self._answered_at == position:
            # Telling everybody was interrupted the first time.
            if self._lazy_condition is not None:
                with self._lazy_condition:
                    self._notify_waiters()
            self._announce()
        return True

    def fail(self, error: BaseException) -> None:
        """Settle with an error found on this side; ignored when settled already."""
        if self._settle(_FINISHED, error):
            self._announce()

    def _settle(
        self,
        state: str,
        error: BaseException | None = None,
        body: Any = None,
        position: int = -1,
    ) -> bool:
        """Decide what came of it; False if that was decided before."""
        if self._lazy_condition is None and self._decide(state, error, body, position, None):
            return True
        condition = self._lazy_condition
        if condition is None:
            return False
        # Whoever waits the way of concurrent.futures looks at the state under the
        # condition: changing it and telling them is one step.
        with condition:
            if not self._decide(state, error, body, position, condition):
                return False
            self._notify_waiters()
        return True

    def _decide(
        self,
        state: str,
        error: BaseException | None,
        body: Any,
        position: int,
        condition: threading.Condition | None,
    ) -> bool:
        # No step in here can be interrupted: a signal handler runs after a call
        # of a function, and there is none.
        with self.link.lock:
            if self._state is not _PENDING or self._lazy_condition is not condition:
                return False
            if error is None:
                self._undecoded = body
            self._exception = error
            self._answered_at = position
            self._state = state
        return True

    def _announce(self, run_callbacks: bool = False) -> None:
        """Tell everybody else that it is settled."""
        if self._is_background:
            self._endpoint.background.remove(self)
        if self._wakes is not None:
            self._wakes.wake_all()
        if self._done_callbacks:
            if run_callbacks:
                self._run_callbacks()
            else:
                self._endpoint.background.run(self._run_callbacks)

    def _notify_waiters(self) -> None:
        assert self._lazy_condition is not None
        for waiter in self._waiters:
            self._notify(waiter)
        self._lazy_condition.notify_all()

    def _notify(self, waiter: Any) -> None:
        if self._state is _CANCELLED:
            waiter.add_cancelled(self)
        elif self._exception is not None:
            waiter.add_exception(self)
        else:
            waiter.add_result(self)

    def _run_callbacks(self) -> None:
        while self._done_callbacks:
            callback = self._done_callbacks.pop(0)
            try:
                callback(self)
            except Exception:
                _log.exception("a callback of %r raised", self)

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
        body = self._undecoded
        if body is not None:
            try:
                result = self._decode(body)
            except codec.DECODE_ERRORS as error:
                self._exception = CallError(
                    f"the result of {self.method}() does not decode: {error}",
                    component=self.link.component,
                    phase="decode",
                    hint="the component returned another type than the one asked for",
                )
                raise self._exception from error
            # Of two threads that decode, the first one decides. The result is
            # there before it is seen that nothing is left to decode.
            if self._undecoded is not None:
                self._result = result
                self._undecoded = None
        return self._result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait and return what :meth:`result` would raise, or None."""
        try:
            self.result(timeout)
        except CancelledError:
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
        while not self._endpoint.wait(self, until_ns):
            if self.expire():
                return
            if timeout is not None and time.monotonic_ns() >= limit:
                raise FutureTimeoutError

    def expire(self) -> bool:
        """Settle with ``CallTimeout`` if the deadline has passed; True if settled."""
        if self._state is not _PENDING:
            return True
        if not self.deadline_ns or time.monotonic_ns() < self.deadline_ns:
            return False
        late = CallTimeout(
            f"{self.method}() gave no answer before its deadline",
            component=self.link.component,
            hint="a command that has begun goes on to its end; allow more time, "
            "or look at what the component is busy with",
        )
        if self._settle(_FINISHED, late):
            self._endpoint.abandon(self)
            self._announce()
        return True

    def cancel(self) -> bool:
        """Take the call back. True if the caller will get no result.

        A call that has begun is executed to its end all the same.
        """
        if self._settle(_CANCELLED):
            self._endpoint.abandon(self)
            self._announce(run_callbacks=True)
            self._endpoint.pump.rouse()
        return self._state is _CANCELLED

    def cancelled(self) -> bool:
        return self._state is _CANCELLED

    def running(self) -> bool:
        """Whether it was sent and is not answered; whether it began is not known."""
        return self._state is _PENDING and self.position >= 0

    def done(self) -> bool:
        if self._state is _PENDING:
            if self.link.end.inbox.reader.has_record():
                self._endpoint.nudge()
            self.expire()
        return self._state is not _PENDING

    def settled(self) -> bool:
        """Like :meth:`done`, but moves no mail."""
        return self._state is not _PENDING

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call ``fn(self)`` when it is done: on a thread of the endpoint's own.

        At once and on this thread if it is done already; on the thread that
        cancels it if it is cancelled.
        """
        with self._condition:
            if self._state is _PENDING:
                self._done_callbacks.append(fn)
                return
        try:
            fn(self)
        except Exception:
            _log.exception("a callback of %r raised", self)

    @property
    def wakes(self) -> Wakes:
        """Whom to tell, from the pump, that the call is settled."""
        with self.link.lock:
            if self._wakes is None:
                self._wakes = Wakes()
            return self._wakes

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        with self.link.lock:
            condition = self._lazy_condition
            if condition is None:
                condition = self._lazy_condition = threading.Condition()
            watch = self._state is _PENDING and not self._is_background
            if watch:
                self._is_background = True
        if watch:
            # Who asks for it waits without pumping. No mail is moved here: whoever
            # settles calls takes their conditions, and this thread may hold some.
            self._endpoint.background.add(self)
            if self._state is not _PENDING:
                self._endpoint.background.remove(self)
        return condition
