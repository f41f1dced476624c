"""A doorbell: how a process that sleeps is told that it has mail.

One process, one bell, however many lanes it reads. The order of stores and
loads is the one checked in the model of the bell: a producer commits, fences and rings
only a sleeper; a sleeper says so, fences, looks once more and blocks. Only the
sleeper clears the word, so a producer killed between looking and ringing
strands nobody but the mail it carried, and the host rings for the dead.

The word is another number for every sleep, so that a producer rings once a
sleep: its ring ends that sleep, and a later look at the lanes is either that of
the sleeper awake, or follows the fence of a sleep with another number.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from . import layout
from .segment import Segment

# A wake-up costs about this much, so spinning longer than it never pays.
_MAX_SPIN_NS: Final = 50_000
# Below this not even a prompt peer answers in time.
_MIN_SPIN_NS: Final = 12_000
# Every so many sleeps one spin finds out whether it pays again.
_PROBE_EVERY: Final = 16


def fence() -> None:
    """Order the stores before against the loads after."""
    # Taking a lock is a locked instruction, which on x86-64 is a full fence;
    # other machines need the native lanes. A fresh lock, because one that is
    # shared makes threads wait for each other.
    threading.Lock().acquire()


class Doorbell:
    """A page of words and an eventfd; the owner sleeps on it, others ring it."""

    __slots__ = ("fd", "segment", "words")

    def __init__(self, segment: Segment, fd: int) -> None:
        self.segment = segment
        self.words = segment.words
        self.fd = fd

    @classmethod
    def create(cls, name: str) -> Doorbell:
        segment = Segment.create(name, layout.BELL_BYTES)
        try:
            return cls(segment, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        except BaseException:
            segment.close()
            raise

    @classmethod
    def attach(cls, page_fd: int, event_fd: int) -> Doorbell:
        return cls(Segment.attach(page_fd), event_fd)

    def fds(self) -> list[int]:
        """What :meth:`attach` needs in another process."""
        return [self.segment.fd, self.fd]

    def fall_asleep(self) -> None:
        """Say that the owner is about to block; it then looks once more."""
        # A time, because no two sleeps begin at the same one, not even those of
        # an owner and its successor.
        self.words[layout.BELL_SLEEPING] = time.monotonic_ns()
        fence()

    def wake_up(self) -> None:
        """Say that the owner looks at its lanes again."""
        self.words[layout.BELL_SLEEPING] = 0

    def ring_if_asleep(self) -> None:
        """Wake the owner if it sleeps; the caller has fenced after its commit."""
        if self.words[layout.BELL_SLEEPING]:
            self.ring()

    def ring(self) -> None:
        """Wake the owner; where it is awake, its next sleep ends at once."""
        fd = self.fd
        if fd < 0:
            # Closed: nobody will sleep on it again.
            return
        try:
            os.eventfd_write(fd, 1)
        except BlockingIOError:
            # The counter is full: it is rung already.
            return

    def drain(self) -> None:
        """Take the rings so far; the owner must look at its lanes after it."""
        fd = self.fd
        if fd >= 0:
            try:
                os.eventfd_read(fd)
            except BlockingIOError:
                return

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.segment.close()


class Watched(Protocol):
    """A lane, as far as a sleeper looks at it."""

    def has_record(self) -> bool: ...


class Sleeper:
    """The owner's side of a doorbell: looks at its lanes for a while, then blocks.

    ``other_fds`` end a sleep too.
    """

    __slots__ = ("_bell_fd", "_budget_ns", "_misses", "_one_core", "_poll", "bell")

    def __init__(self, bell: Doorbell, *other_fds: int) -> None:
        self.bell = bell
        self._poll = select.poll()
        self._bell_fd = bell.fd
        self._poll.register(bell.fd, select.POLLIN)
        for fd in other_fds:
            self._poll.register(fd, select.POLLIN)
        self._budget_ns = _MAX_SPIN_NS
        self._misses = 0
        # On one core the peer cannot run while we spin.
        self._one_core = len(os.sched_getaffinity(0)) < 2

    def spin(self, readers: Sequence[Watched]) -> bool:
        """Look at the lanes as long as it has paid lately; True if one has mail."""
        budget = self._budget_ns
        if not budget:
            self._misses += 1
            if self._misses % _PROBE_EVERY == 0:
                budget = _MAX_SPIN_NS
        if not budget or self._one_core or not readers:
            return any(reader.has_record() for reader in readers)
        clock = time.monotonic_ns
        limit = clock() + budget
        while True:
            for reader in readers:
                if reader.has_record():
                    self._budget_ns = _MAX_SPIN_NS
                    return True
            if clock() >= limit:
                break
        self._budget_ns //= 2
        if self._budget_ns < _MIN_SPIN_NS:
            self._budget_ns = 0
        return False

    def sleep(self, has_mail: Callable[[], object], timeout_s: float) -> bool:
        """Block until there may be mail, at most ``timeout_s`` seconds.

        Returns early for any reason; the caller looks at its lanes again. True
        if one of the other descriptors is ready.
        """
        ready: list[tuple[int, int]] = []
        self.bell.fall_asleep()
        try:
            if not has_mail():
                ready = self._poll.poll(max(0, min(timeout_s, 3600.0)) * 1000)
        finally:
            self.bell.wake_up()
        self.bell.drain()
        return any(fd != self._bell_fd for fd, _ in ready)
