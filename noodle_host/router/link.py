"""A link: a caller's channel to one seat, and what is under way on it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from .channel import ChannelEnd
from .lane import Record
from .pump import Wakes

if TYPE_CHECKING:
    from ..errors import HostError
    from .call import Call
    from .stream import Inflow

#: Who waits for replies.
Pending: TypeAlias = "Call | Inflow"

#: So many unanswered calls before it is looked whether some are late.
MANY_CALLS: Final = 1024
# Records handled before the thread that pumps looks whether it has what it wants.
_MOST_AT_ONCE: Final = 512


class Room:
    """Room in a lane, as what threads and loops wait for."""

    __slots__ = ("wakes",)

    def __init__(self) -> None:
        self.wakes = Wakes()


class Link:
    """A channel to a seat, and the calls that are under way on it."""

    __slots__ = (
        "_claimed",
        "_is_waiting",
        "_paying",
        "broken",
        "component",
        "end",
        "lock",
        "owed",
        "pending",
        "reader",
        "retired_seen",
        "room",
        "seat",
        "sweep_at",
    )

    def __init__(self, component: str, seat: int, end: ChannelEnd) -> None:
        self.component = component
        self.seat = seat
        self.end = end
        self.reader = end.inbox.reader
        #: Call id -> who waits for the replies.
        self.pending: dict[int, Pending] = {}
        #: Held for the few steps in which the outcome of a call is decided.
        self.lock = threading.Lock()
        #: Why nothing is sent on it any more.
        self.broken: HostError | None = None
        #: Credits and cancellations that wait for room: (kind, call id, method word).
        self.owed: deque[tuple[int, int, int]] = deque()
        #: Who waits for room, and where the seat had retired to when they were
        #: last woken.
        self.room = Room()
        self.retired_seen = -1
        self.sweep_at = MANY_CALLS
        self._paying = threading.Lock()
        self._is_waiting = False
        # The slab under delivery: offset of the payload -> view.
        self._claimed: dict[int, memoryview] = {}

    @property
    def is_closed(self) -> bool:
        """Whether what is sent from now on will not be answered."""
        return self.broken is not None or self.end.closed

    def pay(self) -> bool:
        """Send what is owed; False if there is no room, or another thread is at it."""
        outbox = self.end.outbox
        while self.owed:
            if not self._paying.acquire(blocking=False):
                return False
            try:
                while self.owed and not self.is_closed:
                    kind, call_id, word = self.owed[0]
                    if outbox.send(kind, 0, call_id, word, 0, 0, b"") < 0:
                        if self._is_waiting:
                            return False
                        self._is_waiting = True
                        outbox.begin_waiting()
                        # There may be room since.
                        continue
                    self.owed.popleft()
                if self.is_closed:
                    self.owed.clear()
                if self._is_waiting:
                    self._is_waiting = False
                    outbox.end_waiting()
            finally:
                self._paying.release()
        return True

    def deliver(self) -> int:
        """Read replies and hand them to who waits for them; the pump's holder calls it.

        Returns how many there were. A reply whose delivery a signal handler
        interrupts, which may be another thread's, is delivered again.

        Raises:
            CorruptLaneError, CorruptError: the seat does not keep to the protocol.
        """
        return self.reader.dispatch(self.pending, self._take_slab, _MOST_AT_ONCE)

    def _take_slab(self, record: Record) -> None:
        waiter = self.pending.get(record[4])
        if waiter is None:
            inbox = self.end.inbox
            slab = inbox.slab(record)
            assert slab is not None
            inbox.arena.free(slab[0])
        elif waiter.on_record(record[0], record[1], self._claim(record)):
            self.pending.pop(record[4], None)
        # No call from here on: after one a signal handler might raise, and what
        # was freed would be freed again.
        if self._claimed:
            self._claimed = {}

    def _claim(self, record: Record) -> memoryview:
        inbox = self.end.inbox
        slab = inbox.slab(record)
        assert slab is not None
        # Claimed already if its delivery was interrupted.
        view = self._claimed.get(slab[0])
        if view is None or not inbox.arena.is_leased(slab[0]):
            view = inbox.arena.lease(*slab, self._claimed)
        return inbox.unpack(record, view)
