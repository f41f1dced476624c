"""A link: a caller's channel to one seat, and what is under way on it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from . import layout
from .channel import ChannelEnd
from .corrupt import CorruptError
from .lane import CorruptLaneError, Record
from .pump import Wakes

if TYPE_CHECKING:
    from ..errors import HostError
    from .call import Call
    from .stream import Inflow

#: Who waits for replies.
Pending: TypeAlias = "Call | Inflow"

#: So many unanswered calls before it is looked whether some are late.
MANY_CALLS: Final = 1024
# Records handled before the ring is given back, so that a fast peer never
# waits for a slow reader.
_BATCH: Final = 64
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
        "_deliveries",
        "_is_waiting",
        "_paying",
        "broken",
        "component",
        "end",
        "lock",
        "owed",
        "pending",
        "retired_seen",
        "room",
        "seat",
        "sweep_at",
    )

    def __init__(self, component: str, seat: int, end: ChannelEnd) -> None:
        self.component = component
        self.seat = seat
        self.end = end
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
        self._deliveries = 0
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

    def deliver(self) -> None:
        """Read replies and hand them to who waits for them; the pump's holder calls it.

        Raises:
            CorruptLaneError, CorruptError: the seat does not keep to the protocol.
        """
        inbox = self.end.inbox
        reader = inbox.reader
        pending = self.pending
        self._deliveries += 1
        delivery = self._deliveries
        done = reader.position
        count = 0
        try:
            while count < _MOST_AT_ONCE and (record := reader.read()) is not None:
                waiter = pending.get(record[4])
                if waiter is not None:
                    body = self._claim(record) if record[2] & layout.SLAB else record[11]
                    if waiter.on_record(record[0], record[1], body):
                        pending.pop(record[4], None)
                    del body
                elif (slab := inbox.slab(record)) is not None:
                    inbox.arena.free(slab[0])
                if self._claimed:
                    self._claimed.clear()
                done = reader.position
                count += 1
                if not count % _BATCH:
                    inbox.retire(done)
        except (CorruptLaneError, CorruptError):
            raise
        except BaseException:
            # A signal handler of this thread has raised; the reply may be another
            # thread's, so it is delivered again. But a finalizer that made a call
            # may have delivered beyond, and then all is done.
            if self._deliveries == delivery:
                reader.position = done
            raise
        inbox.retire(reader.position)

    def _claim(self, record: Record) -> memoryview:
        inbox = self.end.inbox
        slab = inbox.slab(record)
        assert slab is not None
        # Claimed already if its delivery was interrupted.
        view = self._claimed.get(slab[0])
        if view is None or not inbox.arena.is_leased(slab[0]):
            view = inbox.arena.lease(*slab, self._claimed)
        return view
