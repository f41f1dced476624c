"""A doorbell: how a process that sleeps is told that it has mail.

One process, one bell, however many lanes it reads. The order of stores and
loads is the one checked in the model of the bell: a producer commits, fences and rings
only a sleeper; a sleeper says so, fences, looks once more and blocks. Only the
sleeper clears the word, so a producer killed between looking and ringing
strands nobody but the mail it carried, and the host rings for the dead.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable

from . import layout
from .segment import Segment


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
        return cls(segment, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))

    @classmethod
    def attach(cls, page_fd: int, event_fd: int) -> Doorbell:
        return cls(Segment.attach(page_fd), event_fd)

    def fds(self) -> list[int]:
        """What :meth:`attach` needs in another process."""
        return [self.segment.fd, self.fd]

    def ring_if_asleep(self) -> None:
        """Wake the owner if it sleeps; the caller has fenced after its commit."""
        if self.words[layout.BELL_SLEEPING]:
            self.ring()

    def ring(self) -> None:
        """Wake the owner; where it is awake, its next sleep ends at once."""
        # A full counter (EAGAIN) means that it is rung already.
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self.fd, 1)

    def drain(self) -> None:
        """Take the rings so far; the owner must look at its lanes after it."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.segment.close()


class Sleeper:
    """The owner's side of a doorbell: blocks until rung, or another fd is ready."""

    def __init__(self, bell: Doorbell, *other_fds: int) -> None:
        self.bell = bell
        self._poll = select.poll()
        self._poll.register(bell.fd, select.POLLIN)
        for fd in other_fds:
            self._poll.register(fd, select.POLLIN)

    def sleep(self, has_mail: Callable[[], object], timeout_s: float) -> None:
        """Block until there may be mail, at most ``timeout_s`` seconds.

        Returns early for any reason; the caller looks at its lanes again.
        """
        words = self.bell.words
        words[layout.BELL_SLEEPING] = 1
        fence()
        try:
            if not has_mail():
                self._poll.poll(max(0, min(timeout_s, 3600.0)) * 1000)
        finally:
            words[layout.BELL_SLEEPING] = 0
        self.bell.drain()
