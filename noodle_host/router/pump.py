"""The pump: whoever waits for a reply moves the mail, for everybody.

There is no thread that hands replies over. A thread that waits takes the pump,
if it is free, and reads all reply lanes of the process until its own reply is
there; others wait for it, and one of them is promoted when it leaves. Only the
pump's holder touches the reply lanes and the sleeping word.

Calls that no thread waits for (asyncio, callbacks) are *background*: while
there are some and nobody pumps, the doorbell is left *armed*: ``sleeping`` is 1,
and the lanes were looked at since, so that the next reply rings.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from . import layout
from .bell import Doorbell, Watched
from .native import Sleeper, fence

# Nobody sleeps longer than this without looking again.
_MAX_SLEEP_S: Final = 1.0


class Mailbox(Protocol):
    """What the pump moves: all reply lanes of a process."""

    def deliver(self) -> bool:
        """Read what is there and settle calls; True if there was anything."""

    def has_mail(self) -> bool:
        """Whether a record waits in a lane that is being watched."""

    def watched(self) -> Sequence[Watched]:
        """The lanes that are being watched."""


class _Waiter:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()

    def wake(self) -> None:
        # Settled and promoted at the same time: once is enough.
        if self.lock.locked():
            try:
                self.lock.release()
            except RuntimeError:
                return


class Pump:
    """The role of reading a process's reply lanes, taken by one thread at a time."""

    def __init__(self, bell: Doorbell, mailbox: Mailbox) -> None:
        self._bell = bell
        self._mailbox = mailbox
        self._role = threading.Lock()
        self._sleeper = Sleeper(bell)
        self._waiters: deque[_Waiter] = deque()
        self._background = 0
        self._background_lock = threading.Lock()

    # -- threads that wait -------------------------------------------------

    def wait(
        self,
        done: Callable[[], object],
        deadline_ns: int = 0,
        on_waiter: Callable[[Callable[[], None]], None] | None = None,
    ) -> bool:
        """Move mail until ``done()``; False if the deadline passes first.

        ``on_waiter(wake)`` is given what to call when ``done`` has become true
        while another thread holds the pump.
        """
        while not done():
            if self._role.acquire(blocking=False):
                try:
                    return self._run(done, deadline_ns)
                finally:
                    self._release()
            if not self._wait_for_turn(done, deadline_ns, on_waiter):
                return False
        return True

    def _run(self, done: Callable[[], object], deadline_ns: int) -> bool:
        mailbox = self._mailbox

        def ready() -> object:
            return mailbox.has_mail() or done()

        while True:
            mailbox.deliver()
            if done():
                return True
            if self._sleeper.spin(mailbox.watched()):
                continue
            timeout_s = _MAX_SLEEP_S
            if deadline_ns:
                left_ns = deadline_ns - time.monotonic_ns()
                if left_ns <= 0:
                    return False
                timeout_s = min(timeout_s, left_ns / 1e9)
            self._sleeper.sleep(ready, timeout_s)

    def _wait_for_turn(
        self,
        done: Callable[[], object],
        deadline_ns: int,
        on_waiter: Callable[[Callable[[], None]], None] | None,
    ) -> bool:
        waiter = _Waiter()
        self._waiters.append(waiter)
        if on_waiter is not None:
            on_waiter(waiter.wake)
        try:
            # The holder may have left, or have settled us, before it could see
            # the waiter.
            if done():
                return True
            if self._role.acquire(blocking=False):
                self._role.release()
                return True
            timeout_s = _MAX_SLEEP_S
            if deadline_ns:
                timeout_s = min(timeout_s, (deadline_ns - time.monotonic_ns()) / 1e9)
                if timeout_s <= 0:
                    return False
            waiter.lock.acquire(timeout=timeout_s)
            return True
        finally:
            try:
                self._waiters.remove(waiter)
            except ValueError:
                # Promoted: if this thread does not pump, another one has to.
                if done() or (deadline_ns and time.monotonic_ns() >= deadline_ns):
                    self.nudge()

    def _release(self) -> None:
        role = self._role
        while True:
            armed = False
            if self._background and not self._waiters:
                self._arm()
                armed = True
            role.release()
            if self._promote():
                return
            # A background call that came between the look and the release has
            # found the pump taken: arm for it.
            if armed or not self._background or not role.acquire(blocking=False):
                return

    def _promote(self) -> bool:
        try:
            waiter = self._waiters.popleft()
        except IndexError:
            return False
        waiter.wake()
        return True

    def _arm(self) -> None:
        words = self._bell.words
        while True:
            words[layout.BELL_SLEEPING] = 1
            fence()
            if not self._mailbox.has_mail():
                return
            words[layout.BELL_SLEEPING] = 0
            self._mailbox.deliver()

    # -- calls that no thread waits for ------------------------------------

    def add_background(self) -> None:
        """Count one more background call, and see that its reply will ring."""
        with self._background_lock:
            self._background += 1
        self.nudge()

    def remove_background(self) -> None:
        """Count one background call less."""
        with self._background_lock:
            self._background -= 1

    @property
    def background(self) -> int:
        """The number of calls whose replies must ring."""
        return self._background

    def nudge(self) -> None:
        """If nobody pumps: deliver what is there, then promote somebody or arm."""
        if self._role.acquire(blocking=False):
            try:
                self._mailbox.deliver()
            finally:
                self._release()

    def rung(self) -> None:
        """The doorbell rang for a background call: deliver, and arm again."""
        if self._role.acquire(blocking=False):
            try:
                self._bell.words[layout.BELL_SLEEPING] = 0
                self._bell.drain()
                self._mailbox.deliver()
            finally:
                self._release()

    def spin_inline(self, done: Callable[[], object], limit_ns: int) -> bool:
        """Spin for a short time if the pump is free; True if ``done``."""
        if not self._role.acquire(blocking=False):
            return bool(done())
        try:
            clock = time.monotonic_ns
            end = clock() + limit_ns
            while True:
                if self._mailbox.has_mail():
                    self._mailbox.deliver()
                if done():
                    return True
                if clock() >= end:
                    return False
        finally:
            self._release()


class BackgroundPump:
    """A thread that stands in where neither a thread nor an event loop waits.

    It exists only once a call was given a callback or handed to
    ``concurrent.futures.wait``.
    """

    def __init__(self, pump: Pump, bell: Doorbell, expire: Callable[[], float | None]) -> None:
        self._pump = pump
        self._bell = bell
        self._expire = expire
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._main, name="noodle-host pump", daemon=True)
        self._thread.start()

    def want(self) -> None:
        """There is a call to look after."""
        self._wanted.set()

    def _main(self) -> None:
        poll = select.poll()
        poll.register(self._bell.fd, select.POLLIN)
        while not self._closed:
            self._wanted.wait()
            timeout_s = self._expire()
            if timeout_s is None:
                self._wanted.clear()
                # A call that was added in between has set it again, or is seen.
                timeout_s = self._expire()
                if timeout_s is None:
                    continue
                self._wanted.set()
            if poll.poll(min(timeout_s, _MAX_SLEEP_S) * 1000):
                self._pump.rung()

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self._bell.ring()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2 * _MAX_SLEEP_S)
