"""The background: a thread for calls that neither a thread nor an event loop waits for.

It exists only once a call was given a callback or handed to
``concurrent.futures.wait``. It alone runs callbacks, so that they may take as
long as they like and make calls of their own, and hold up nobody's reply.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .bell import Doorbell
from .pump import MAX_SLEEP_S, Pump

if TYPE_CHECKING:
    from .call import Call

_log: Final = logging.getLogger("noodle_host.router")
# Deadlines of calls that are long settled are weeded out from here on.
_FEW: Final = 1024


class Background:
    """Looks after calls until they are settled, and runs their callbacks."""

    def __init__(self, pump: Pump, bell: Doorbell) -> None:
        self._pump = pump
        self._bell = bell
        self._lock = threading.Lock()
        self._calls: set[Call] = set()
        # A heap of (deadline, call id, call).
        self._deadlines: list[tuple[int, int, Call]] = []
        self._todo: deque[Callable[[], object]] = deque()
        self._thread: threading.Thread | None = None
        self._wake_fd = -1
        self._closed = False

    def add(self, call: Call) -> None:
        """See that the call is settled, by its reply or its deadline."""
        with self._lock:
            if call in self._calls or self._closed:
                return
            self._calls.add(call)
            if call.deadline_ns:
                self._note_deadline(call)
            if self._thread is None:
                self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                self._thread = threading.Thread(
                    target=self._main, name="noodle-host calls", daemon=True
                )
                self._thread.start()
        self._pump.count_background(1)
        self._wake()

    def remove(self, call: Call) -> None:
        """The call is settled."""
        with self._lock:
            if call not in self._calls:
                return
            self._calls.discard(call)
        self._pump.count_background(-1)

    def run(self, callback: Callable[[], object]) -> None:
        """Run something on the thread, soon; on this one if that has ended."""
        self._todo.append(callback)
        with self._lock:
            ended = self._thread is None
        if ended:
            self._run_all()
        else:
            self._wake()

    def _note_deadline(self, call: Call) -> None:
        heap = self._deadlines
        if len(heap) > _FEW and len(heap) > 2 * len(self._calls):
            heap[:] = [entry for entry in heap if entry[2] in self._calls]
            heapq.heapify(heap)
        heapq.heappush(heap, (call.deadline_ns, call.call_id, call))

    def _wake(self) -> None:
        with self._lock:
            # Under the lock, so that the descriptor is this one and no other.
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def _main(self) -> None:
        idle, busy = select.poll(), select.poll()
        for poll in (idle, busy):
            poll.register(self._wake_fd, select.POLLIN)
        busy.register(self._bell.fd, select.POLLIN)
        while True:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
            self._run_all()
            self._pump.rung()
            timeout_s = self._expire()
            if self._todo:
                continue
            if self._closed:
                break
            if timeout_s is None:
                # Rings are meant for others.
                idle.poll()
            else:
                busy.poll(timeout_s * 1000)
        with self._lock:
            os.close(self._wake_fd)
            self._wake_fd = -1
            self._thread = None
        self._run_all()

    def _run_all(self) -> None:
        while True:
            try:
                run = self._todo.popleft()
            except IndexError:
                return
            try:
                run()
            except BaseException:
                # This thread serves all calls: a callback cannot end it.
                _log.exception("a callback raised")

    def _expire(self) -> float | None:
        """Settle late calls; return how long the rest can wait, None if there is none."""
        while True:
            with self._lock:
                if not self._calls:
                    return None
                if not self._deadlines:
                    return MAX_SLEEP_S
                deadline_ns, _, call = self._deadlines[0]
                left_s = (deadline_ns - time.monotonic_ns()) / 1e9
                if left_s > 0:
                    return min(left_s, MAX_SLEEP_S)
                heapq.heappop(self._deadlines)
            call.expire()

    def close(self) -> None:
        """Run the callbacks that are due, and end."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2 * MAX_SLEEP_S)
