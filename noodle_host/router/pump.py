"""The pump: whoever waits for a reply moves the mail, for everybody.

There is no thread that hands replies over. A thread that waits takes the pump,
if it is free, and reads all reply lanes of the process until its own reply is
there; others wait for it, and one of them is promoted when it leaves. Only the
pump's holder touches the reply lanes.

Calls that no thread waits for (asyncio, callbacks) are *background*: while
there are some and nobody pumps, the doorbell is left *armed*: it says that this
process sleeps, and the lanes were looked at since, so that the next reply rings.

A signal handler may raise between any two steps of the main thread (Ctrl-C). The
pump is then free again, whoever waits is told, and nobody's reply is lost.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from . import layout
from .bell import Doorbell, Watched
from .native import Sleeper, fence

# Nobody sleeps longer than this without looking again.
MAX_SLEEP_S: Final = 1.0
# How long closing waits for a thread that is being told.
_CLOSE_S: Final = 2.0


class Mailbox(Protocol):
    """What the pump moves: all reply lanes of a process."""

    def deliver(self) -> bool:
        """Read what is there and settle calls; True if there was anything."""

    def has_mail(self) -> bool:
        """Whether a record waits in a lane that is being watched."""

    def watched(self) -> Sequence[Watched]:
        """The lanes that are being watched."""


class Wakes(dict[Callable[[], None], None]):
    """Whom to tell when something has happened."""

    # A dict, because its steps are atomic.
    __slots__ = ()

    def add(self, wake: Callable[[], None]) -> None:
        self[wake] = None

    def remove(self, wake: Callable[[], None]) -> None:
        self.pop(wake, None)

    def wake_all(self) -> None:
        """Call everyone, from whatever thread this is."""
        for wake in tuple(self):
            wake()


class Source(Protocol):
    """What a thread waits for, if it is settled by whoever holds the pump."""

    @property
    def wakes(self) -> Wakes:
        """Whom to tell."""


class _Waiter:
    __slots__ = ("is_listed", "lock", "wake")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.is_listed = False
        # Bound once: it is a key.
        self.wake = self._wake

    def _wake(self) -> None:
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
        # Reentrant, for a finalizer that makes a call while this thread delivers.
        self._role = threading.RLock()
        self._sleeper = Sleeper(bell)
        self._waiters: deque[_Waiter] = deque()
        self._background = 0
        self._background_lock = threading.Lock()
        self._armed = False

    # -- threads that wait -------------------------------------------------

    def wait(
        self, done: Callable[[], object], deadline_ns: int = 0, source: Source | None = None
    ) -> bool:
        """Move mail until ``done()``; False if the deadline passes first.

        ``source`` tells this thread when ``done`` has become true while another
        one holds the pump.
        """
        role = self._role
        waiter: _Waiter | None = None
        wakes: Wakes | None = None
        # Set before every attempt to take the role: an interrupt that comes right
        # after it was taken must still give it back, and release() itself refuses
        # a thread that does not hold it.
        tried = False
        try:
            try:
                while not done():
                    tried = True
                    if role.acquire(False):
                        return self._run(done, deadline_ns)
                    tried = False
                    if waiter is None:
                        waiter = _Waiter()
                        if source is not None:
                            wakes = source.wakes
                            wakes.add(waiter.wake)
                    if not waiter.is_listed:
                        waiter.is_listed = True
                        self._waiters.append(waiter)
                        # The holder may have left, or have settled us, before it
                        # could see the waiter.
                        continue
                    timeout_s = MAX_SLEEP_S
                    if deadline_ns:
                        timeout_s = min(timeout_s, (deadline_ns - time.monotonic_ns()) / 1e9)
                        if timeout_s <= 0:
                            return False
                    waiter.lock.acquire(timeout=timeout_s)
                return True
            finally:
                if tried:
                    try:  # noqa: SIM105 - a context manager would be one more place to interrupt
                        role.release()
                    except RuntimeError:
                        pass
                if waiter is not None:
                    if wakes is not None:
                        wakes.remove(waiter.wake)
                    try:
                        self._waiters.remove(waiter)
                    except ValueError:
                        # Promoted: if this thread does not pump, another one has to.
                        tried = True
                if tried and (self._waiters or self._background) and self._pass_on():
                    self.nudge()
        except BaseException:
            self.nudge()
            raise

    def _run(self, done: Callable[[], object], deadline_ns: int) -> bool:
        mailbox = self._mailbox
        if self._armed:
            self._disarm()
        while True:
            has_mail = self._sleeper.spin(mailbox.watched())
            mailbox.deliver()
            if done():
                return True
            if has_mail:
                continue
            timeout_s = MAX_SLEEP_S
            if deadline_ns:
                left_ns = deadline_ns - time.monotonic_ns()
                if left_ns <= 0:
                    return False
                timeout_s = min(timeout_s, left_ns / 1e9)
            self._sleeper.sleep(functools.partial(self._is_ready, done), timeout_s)

    def _is_ready(self, done: Callable[[], object]) -> object:
        return self._mailbox.has_mail() or done()

    def _pass_on(self) -> bool:
        """The pump is free: see that somebody looks at the lanes from now on.

        True if there is mail for which it should be taken at once.
        """
        try:
            waiter = self._waiters.popleft()
        except IndexError:
            return self._arm() if self._background else False
        waiter.is_listed = False
        waiter.wake()
        return False

    def _arm(self) -> bool:
        """Have the next reply ring; True if there is one already."""
        self._armed = True
        self._bell.fall_asleep()
        fence()
        return self._mailbox.has_mail()

    def _disarm(self) -> None:
        # Whoever holds the pump looks by itself: rings would only cost.
        self._armed = False
        self._bell.wake_up()

    def rouse(self) -> None:
        """Have the pump's holder look again: what it waits for was settled elsewhere."""
        if self._bell.words[layout.BELL_SLEEPING]:
            self._bell.ring()

    # -- calls that no thread waits for ------------------------------------

    def count_background(self, change: int) -> None:
        """Count background calls that have come or gone, without looking."""
        with self._background_lock:
            self._background += change

    def add_background(self) -> None:
        """Count one more background call, and see that its reply will ring."""
        self.count_background(1)
        self.nudge()

    def remove_background(self) -> None:
        """Count one background call less."""
        self.count_background(-1)

    @property
    def background(self) -> int:
        """The number of calls whose replies must ring."""
        return self._background

    def nudge(self) -> None:
        """If nobody pumps: deliver what is there, then promote somebody or arm."""
        self._look(rung=False)

    def rung(self) -> None:
        """The doorbell rang for a background call: deliver, and arm again."""
        self._look(rung=True)

    def _look(self, *, rung: bool) -> None:
        role = self._role
        while True:
            tried = True
            try:
                if not role.acquire(blocking=False):
                    tried = False
                    return
                if self._armed:
                    self._disarm()
                if rung:
                    self._bell.drain()
                self._mailbox.deliver()
            finally:
                if tried:
                    try:  # noqa: SIM105 - see wait()
                        role.release()
                    except RuntimeError:
                        pass
            if not self._pass_on():
                return

    def spin_inline(self, done: Callable[[], object], limit_ns: int) -> bool:
        """Spin for a short time if the pump is free; True if ``done``."""
        role = self._role
        tried = True
        try:
            if not role.acquire(blocking=False):
                tried = False
                return bool(done())
            if self._armed:
                self._disarm()
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
            if tried:
                try:  # noqa: SIM105 - see wait()
                    role.release()
                except RuntimeError:
                    pass
                if (self._waiters or self._background) and self._pass_on():
                    self.nudge()

    # -- end ---------------------------------------------------------------

    def close(self) -> None:
        """Return when no thread sleeps on the bell any more; all calls are settled."""
        limit = time.monotonic() + _CLOSE_S
        while not self._role.acquire(timeout=0.01):
            self._bell.ring()
            if time.monotonic() > limit:
                return
        self._role.release()
