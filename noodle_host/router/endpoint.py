"""An endpoint: a process as a caller. Host and workers use the same one.

The calling thread encodes, publishes and waits for its own reply; no other
thread takes part. The route is decoded once a generation and the decoder once
a method.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from ..errors import CallError, CallTimeout, HostClosedError, HostError, PayloadTooLarge
from . import codec, layout
from .background import Background
from .bell import Doorbell
from .buffer import Buffers
from .call import Call
from .channel import ChannelEnd, Chunks
from .corrupt import CorruptError
from .lane import CorruptLaneError
from .link import MANY_CALLS, Link, Pending
from .native import LaneReader
from .pump import Pump
from .route import RouteTable, Share, Spread, seat_of_key
from .stream import Inflow, Stream

NO_ROOM_CHECK_S: Final = 0.05
_NEVER_NS: Final = 1 << 63

T = TypeVar("T")


class NoRoomError(Exception):
    """The lane or the arena is full, and this thread must not wait.

    ``late`` is what to raise when there is no room by ``deadline_ns`` either.
    """

    def __init__(self, deadline_ns: int, late: CallTimeout) -> None:
        super().__init__(str(late))
        self.deadline_ns = deadline_ns
        self.late = late


class Connector(Protocol):
    """How an endpoint finds seats; the host asks itself, a worker its host."""

    def slot(self, component: str) -> int:
        """The component's slot in the route table.

        Raises:
            HostError: there is no such component, or this one may not call it.
        """

    def connect(self, component: str, seat: int) -> ChannelEnd:
        """The caller's end of a channel to a seat."""

    def report_corrupt(self, seat: int, what: str) -> None:
        """A seat's holder has written what the protocol does not allow."""


class _Target:
    """A component as this endpoint knows it: one decoded route."""

    __slots__ = ("generation", "links", "shares", "single", "slot_word", "spread")

    def __init__(self, slot_word: int) -> None:
        self.slot_word = slot_word
        self.generation = 0
        self.shares: list[Share] = []
        self.links: list[Link] = []
        self.single: Link | None = None
        self.spread = Spread([])


class Endpoint:
    """Makes calls from this process. Safe from any number of threads."""

    def __init__(
        self,
        bell: Doorbell,
        table: RouteTable,
        connector: Connector,
        *,
        salt: int = 0,
        first_id: int = 1,
        buffers: Buffers | None = None,
    ) -> None:
        self._bell = bell
        self._table = table
        self._route_words = table.words
        self._connector = connector
        self._salt = salt
        #: The buffers that may be sent and received.
        self.buffers = buffers
        self._ids = itertools.count(first_id)
        self._targets: dict[str, _Target] = {}
        self._links: dict[int, Link] = {}
        # Links with calls under way; a dict, because its steps are atomic.
        self._active: dict[LaneReader, Link] = {}
        # Links on which something is owed.
        self._indebted: dict[Link, None] = {}
        # Links on which somebody waits for room.
        self._thirsty: dict[Link, None] = {}
        # Threads that run an event loop and are sending from it.
        self._unblocking: set[int] = set()
        self._closed = False
        self.pump = Pump(bell, self)
        self.background = Background(self.pump, bell)

    # -- calls -------------------------------------------------------------

    def submit(
        self,
        component: str,
        method: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        *,
        deadline_ns: int = 0,
        key: str | bytes | int | None = None,
        decode: Callable[[Any], Any],
        nested_id: int = 0,
    ) -> Call:
        """Send a call; block only if the lane is full. Does not wait for the reply.

        A call with a ``nested_id`` may be repeated by a successor of this process.

        Raises:
            HostError: it cannot be sent; nothing will come of it.
        """
        body, flags = codec.encode_arguments(args, kwargs)
        hashed = 0 if key is None else codec.key_hash(key)
        link = self._link(component, hashed)
        if nested_id:
            flags |= layout.NESTED
        call = Call(self, link, nested_id or next(self._ids), method, deadline_ns, decode)
        self._send(link, call, layout.CALL, flags, hashed, body)
        return call

    def stream(
        self,
        component: str,
        method: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        *,
        deadline_ns: int = 0,
        key: str | bytes | int | None = None,
        decode: Callable[[Any], Any],
    ) -> Stream:
        """Start a task and return the stream of its items."""
        body, flags = codec.encode_arguments(args, kwargs)
        hashed = 0 if key is None else codec.key_hash(key)
        link = self._link(component, hashed)
        inflow = Inflow(link, next(self._ids), method, deadline_ns)
        self._send(link, inflow, layout.STREAM, flags, hashed, body)
        return Stream(self, inflow, decode)

    def notify(
        self,
        component: str,
        method: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        *,
        deadline_ns: int = 0,
        key: str | bytes | int | None = None,
    ) -> None:
        """Send a one-way message: no reply, no error, no wait but for room."""
        body, flags = codec.encode_arguments(args, kwargs)
        hashed = 0 if key is None else codec.key_hash(key)
        link = self._link(component, hashed)
        number = codec.method_id(method)
        self._publish(link, layout.NOTIFY, flags, 0, number, hashed, deadline_ns, body, method)
        if link.owed:
            self._pay(link)

    def without_blocking(self, send: Callable[[], T]) -> T:
        """Call ``send``, which submits or streams, on a thread that must not wait for room.

        Raises:
            NoRoomError: it would have had to wait; nothing was sent.
        """
        thread = threading.get_ident()
        self._unblocking.add(thread)
        try:
            return send()
        finally:
            self._unblocking.discard(thread)

    def watch_room(
        self, component: str, key: str | bytes | int | None, wake: Callable[[], None]
    ) -> Callable[[], None]:
        """Call ``wake``, from the pump, when there may be room; return what ends that."""
        link = self._link(component, 0 if key is None else codec.key_hash(key))
        link.room.wakes.add(wake)
        self._thirsty[link] = None
        link.end.outbox.begin_waiting()

        def stop() -> None:
            link.room.wakes.remove(wake)
            link.end.outbox.end_waiting()

        return stop

    def wait(self, pending: Pending, until_ns: int) -> bool:
        """Move mail until ``pending`` is settled; False if ``until_ns`` comes first."""
        return self.pump.wait(pending.settled, until_ns, pending)

    def abandon(self, pending: Pending) -> None:
        """Forget a call: drop its reply; if it has not begun, it never will."""
        link = pending.link
        link.pending.pop(pending.call_id, None)
        position = pending.position
        outbox = link.end.outbox
        if position >= 0:
            # Under the lock, so that the ring cannot be reused in between.
            with outbox.lock:
                outbox.writer.take_back(position)

    # -- sending -----------------------------------------------------------

    def _send(
        self,
        link: Link,
        pending: Pending,
        kind: int,
        flags: int,
        hashed: int,
        body: bytes | Chunks,
    ) -> None:
        call_id = pending.call_id
        deadline_ns = pending.deadline_ns
        if not 0 <= deadline_ns < _NEVER_NS:
            deadline_ns = pending.deadline_ns = 0 if deadline_ns > 0 else 1
        link.pending[call_id] = pending
        self._active[link.reader] = link
        method = codec.method_id(pending.method)
        try:
            position = link.end.outbox.send(kind, flags, call_id, method, hashed, deadline_ns, body)
            if position < 0:
                position = self._publish(
                    link, kind, flags, call_id, method, hashed, deadline_ns, body, pending.method
                )
        except BaseException:
            link.pending.pop(call_id, None)
            raise
        pending.position = position
        # The host closes, fences, then settles what it finds: it has seen this
        # record, or this sees the mark.
        closed = link.end.closed or link.broken is not None
        if closed and link.pending.pop(call_id, None) is not None:
            pending.fail(link.broken or self._closed_error(link.component))
        if link.owed:
            self._pay(link)
        if len(link.pending) >= link.sweep_at:
            self._sweep(link)

    def _publish(
        self,
        link: Link,
        kind: int,
        flags: int,
        call_id: int,
        method: int,
        hashed: int,
        deadline_ns: int,
        body: bytes | Chunks,
        method_name: str,
    ) -> int:
        """Send a record, waiting for room as long as the deadline allows."""
        outbox = link.end.outbox
        size = sum(map(len, body)) if isinstance(body, list) else len(body)
        if size > outbox.arena.largest_payload_bytes:
            raise PayloadTooLarge(
                f"the arguments of {method_name}() take {size:,} bytes; "
                f"the limit is {outbox.arena.largest_payload_bytes:,}",
                component=link.component,
                phase="encode",
            )
        position = -1

        def sent() -> bool:
            nonlocal position
            # Replies that nobody waits for fill their lane too, and then the seat
            # takes no more: whoever waits for room reads them.
            self._active[link.reader] = link
            self._thirsty[link] = None
            if position < 0 and not link.is_closed:
                position = outbox.send(kind, flags, call_id, method, hashed, deadline_ns, body)
            return position >= 0 or link.is_closed

        if not sent():
            late = CallTimeout(
                f"{method_name}() could not be sent before its deadline: the lane is full",
                component=link.component,
                hint="the component takes calls more slowly than they are made, "
                "or large results wait to be fetched",
            )
            if threading.get_ident() in self._unblocking:
                raise NoRoomError(deadline_ns, late)
            outbox.begin_waiting()
            try:
                while not sent():
                    until_ns = time.monotonic_ns() + int(NO_ROOM_CHECK_S * 1e9)
                    if deadline_ns:
                        until_ns = min(until_ns, deadline_ns)
                    if self.pump.wait(sent, until_ns, link.room):
                        break
                    if deadline_ns and time.monotonic_ns() >= deadline_ns:
                        raise late
            finally:
                outbox.end_waiting()
        if position < 0:
            raise link.broken or self._closed_error(link.component)
        return position

    def _sweep(self, link: Link) -> None:
        """Settle the late calls among very many that nobody waits for."""
        for pending in list(link.pending.values()):
            if isinstance(pending, Call):
                pending.expire()
        link.sweep_at = max(MANY_CALLS, 2 * len(link.pending))

    # -- what is owed to tasks ---------------------------------------------

    def grant(self, inflow: Inflow, items: int) -> None:
        """Allow the stream's task that many items more. Never blocks."""
        self._owe(inflow, layout.CREDIT, items)
        self._pay(inflow.link)

    def cancel_task(self, inflow: Inflow) -> None:
        """Ask for the stream's task to be closed at its next yield. Never blocks."""
        self._owe(inflow, layout.CANCEL, 0)
        self._pay(inflow.link)

    def discard(self, inflow: Inflow) -> None:
        """Cancel the task of a stream that was dropped, from its finalizer."""
        link = inflow.link
        link.pending.pop(inflow.call_id, None)
        self._owe(inflow, layout.CANCEL, 0)
        # A finalizer runs anywhere, even where this very thread holds the lock.
        # Whoever holds it pays after it.
        if not link.end.outbox.lock.locked():
            self._pay(link)

    def _owe(self, inflow: Inflow, kind: int, word: int) -> None:
        inflow.link.owed.append((kind, inflow.call_id, word))
        # The pump sees to it that it is paid.
        self._indebted[inflow.link] = None

    def _pay(self, link: Link) -> None:
        if link.pay():
            self._indebted.pop(link, None)
            if link.owed:
                self._indebted[link] = None

    # -- the mailbox that the pump moves -----------------------------------

    def nudge(self) -> None:
        """Deliver what is there, if nobody else is at it."""
        self.pump.nudge()

    def has_mail(self) -> bool:
        return any(reader.has_record() for reader in tuple(self._active))

    def watched(self) -> tuple[LaneReader, ...]:
        return tuple(self._active)

    def deliver(self) -> bool:
        progressed = False
        for reader, link in tuple(self._active.items()):
            try:
                if link.deliver():
                    progressed = True
            except (CorruptLaneError, CorruptError) as error:
                progressed = True
                self._break(link, error)
            if not link.pending:
                self._active.pop(reader, None)
                if link.pending:
                    self._active[reader] = link
        if self._indebted:
            for link in tuple(self._indebted):
                self._pay(link)
        if self._thirsty:
            self._tell_of_room()
        return progressed

    def _tell_of_room(self) -> None:
        for link in tuple(self._thirsty):
            wakes = link.room.wakes
            if not wakes:
                self._thirsty.pop(link, None)
                if wakes:
                    self._thirsty[link] = None
                continue
            # Only when there may be more of it: who is woken in vain comes here
            # again, and two of them would wake each other for ever.
            retired = link.end.outbox.writer.memory.retired
            if retired != link.retired_seen:
                link.retired_seen = retired
                wakes.wake_all()

    def _break(self, link: Link, error: Exception) -> None:
        """A peer wrote nonsense: nothing in its lane can be trusted any more."""
        self.drop(
            link.seat,
            CallError(
                f"the worker's replies are corrupt: {error}",
                component=link.component,
                hint="native code of the component may write over memory it does not own",
            ),
        )
        self._connector.report_corrupt(link.seat, str(error))

    # -- routes ------------------------------------------------------------

    def _link(self, component: str, hashed: int) -> Link:
        target = self._targets.get(component)
        if target is None or self._route_words[target.slot_word] != target.generation:
            target = self._resolve(component)
        if target.single is not None:
            return target.single
        links = target.links
        if hashed:
            return links[seat_of_key(target.shares, self._salt, hashed)]
        return links[target.spread.next()]

    def _resolve(self, component: str) -> _Target:
        if self._closed:
            raise self._host_closed()
        self._forget_closed(component)
        # The connector may call back into host code: not under the lock.
        slot = self._connector.slot(component)
        for last in (False, False, True):
            generation, shares = self._table.read(slot)
            if not shares:
                raise self._closed_error(component)
            try:
                links = [self._link_to(component, share.seat) for share in shares]
            except HostClosedError:
                # A seat that has left the route since.
                if last or self._table.read(slot)[0] == generation:
                    raise
                continue
            target = _Target(self._table.slot_word(slot))
            target.generation = generation
            target.shares = shares
            target.links = links
            target.single = links[0] if len(links) == 1 else None
            target.spread = Spread(shares)
            self._targets[component] = target
            # One that changes all the time is looked up again by the next call.
            if last or self._route_words[target.slot_word] == generation:
                break
        return target

    def _link_to(self, component: str, seat: int) -> Link:
        link = self._links.get(seat)
        if link is None:
            end = self._connector.connect(component, seat)
            end.carry(self.buffers)
            link = self._links.setdefault(seat, Link(component, seat, end))
            if link.end is not end:
                # Two threads have connected: the first one counts.
                self._let_go(end)
            if self._closed:
                self.drop(seat, self._host_closed())
        return link

    def _forget_closed(self, component: str) -> None:
        """Let go of the component's seats that are gone for good and owe nothing."""
        for seat, link in list(self._links.items()):
            if link.component == component and link.end.closed and not link.pending:
                self.drop(seat, self._closed_error(component))

    @staticmethod
    def _let_go(end: ChannelEnd) -> None:
        # What was attached is this endpoint's own; the host shares its segments.
        if end.segment.is_attached:
            end.close()

    @staticmethod
    def _closed_error(component: str) -> HostError:
        return HostClosedError(
            "the component is not running",
            component=component,
            hint="it was stopped, or never started; start it first",
        )

    # -- end ---------------------------------------------------------------

    @staticmethod
    def _host_closed() -> HostError:
        return HostClosedError("the host is closed")

    def drop(self, seat: int, error: HostError) -> None:
        """Forget a seat for good; what is still under way on it fails."""
        link = self._links.pop(seat, None)
        if link is None:
            return
        # First of all: whoever is sending on it now looks at this afterwards.
        link.broken = error
        for name, target in list(self._targets.items()):
            if link in target.links:
                self._targets.pop(name, None)
        for call_id in list(link.pending):
            waiter = link.pending.pop(call_id, None)
            if waiter is not None:
                waiter.fail(error)
        self._active.pop(link.reader, None)
        self._indebted.pop(link, None)
        self._thirsty.pop(link, None)
        link.end.leave()
        link.room.wakes.wake_all()
        self.pump.rouse()
        self._let_go(link.end)

    def close(self) -> None:
        """Fail what is under way and take no more calls; no thread waits after it."""
        self._closed = True
        self._targets.clear()
        for seat in list(self._links):
            self.drop(seat, self._host_closed())
        self.pump.close()
        self.background.close()
