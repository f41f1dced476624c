"""The orders to one worker: sent at once, or as soon as its socket takes them.

A worker that starts, or is busy for long, does not look at its orders; when a seat
with hundreds of callers changes hands, there are more of them than a socket holds.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..router import layout
from ..router.bell import Doorbell
from ..router.packets import PacketSocket
from ..worker.messages import Message

_RETRY_S: Final = 0.005
#: A worker that so many orders wait for does not look at them any more.
MOST_UNSENT: Final = 1024


class Orders:
    """The sending half of a control socket that does not block."""

    def __init__(self, sock: PacketSocket, bell: Doorbell, on_deaf: Callable[[], None]) -> None:
        self._socket = sock
        self._bell = bell
        self._on_deaf = on_deaf
        self._unsent: deque[tuple[Message, list[int]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send an order and see that it is looked at, also by a busy worker.

        The descriptors stay the caller's, who may close them at once.
        """
        if not self._unsent and self._try(message, list(fds)):
            return
        if len(self._unsent) >= MOST_UNSENT:
            self._on_deaf()
            return
        self._unsent.append((message, [os.dup(fd) for fd in fds]))
        self._try_later()

    def _try(self, message: Message, fds: list[int]) -> bool:
        try:
            self._socket.send(message, fds)
        except BlockingIOError:
            return False
        except OSError as error:
            # There may be only so many descriptors on their way; what else there
            # is means that the worker is dying, and the pidfd will say so.
            return error.errno != errno.ETOOMANYREFS
        self._bell.words[layout.BELL_CONTROL] += 1
        self._bell.ring()
        return True

    def _try_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY_S, self._send_unsent)

    def _send_unsent(self) -> None:
        self._timer = None
        while self._unsent:
            message, fds = self._unsent[0]
            if not self._try(message, fds):
                self._try_later()
                return
            self._unsent.popleft()
            for fd in fds:
                os.close(fd)

    def close(self) -> None:
        """Forget what is unsent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, fds in self._unsent:
            for fd in fds:
                os.close(fd)
        self._unsent.clear()
