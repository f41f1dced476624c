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
from typing import Any, Final, Protocol

import msgspec

from ..errors import CallError, CallTimeout, HostClosedError, HostError, PayloadTooLarge
from . import codec, layout
from .bell import Doorbell
from .call import Call
from .channel import ChannelEnd, Chunks
from .lane import CorruptLaneError, Record
from .native import LaneReader, fence
from .pump import BackgroundPump, Pump
from .route import RouteTable, Share, Spread, seat_of_key
from .stream import Stream

# Records handled before the ring is given back, so that a fast peer never
# waits for a slow reader.
_BATCH: Final = 64
_NO_ROOM_CHECK_S: Final = 0.05


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


class Link:
    """A channel to a seat, and the calls that are under way on it."""

    __slots__ = ("component", "end", "pending", "seat")

    def __init__(self, component: str, seat: int, end: ChannelEnd) -> None:
        self.component = component
        self.seat = seat
        self.end = end
        self.pending: dict[int, Call | Stream] = {}


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
        self, bell: Doorbell, table: RouteTable, connector: Connector, *, salt: int = 0
    ) -> None:
        self._bell = bell
        self._table = table
        self._route_words = table.words
        self._connector = connector
        self._salt = salt
        self._ids = itertools.count(1)
        self._targets: dict[str, _Target] = {}
        self._links: dict[int, Link] = {}
        # Links with calls under way; a dict, because its steps are atomic.
        self._active: dict[Link, None] = {}
        self._room_wakes: dict[Callable[[], None], None] = {}
        self._resolve_lock = threading.Lock()
        self._background: set[Call] = set()
        self._background_pump: BackgroundPump | None = None
        self._closed = False
        self.pump = Pump(bell, self)

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
    ) -> Call:
        """Send a call; block only if the lane is full. Does not wait for the reply.

        Raises:
            HostError: it cannot be sent; nothing will come of it.
        """
        body, flags = codec.encode_arguments(args, kwargs)
        hashed = 0 if key is None else codec.key_hash(key)
        link = self._link(component, hashed)
        call = Call(self, link, next(self._ids), method, deadline_ns, decode)
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
        stream = Stream(self, link, next(self._ids), method, deadline_ns, decode)
        self._send(link, stream, layout.STREAM, flags, hashed, body)
        return stream

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

    def wait(self, pending: Call | Stream, until_ns: int) -> bool:
        """Move mail until ``pending`` is settled; False if ``until_ns`` comes first."""
        try:
            return self.pump.wait(pending.settled, until_ns, pending.set_wake)
        except BaseException:
            # Ctrl-C: nobody will look at this reply any more.
            if not pending.settled():
                self.abandon(pending)
            raise

    def grant(self, stream: Stream, items: int) -> None:
        """Allow the stream's task that many items more."""
        self._publish(
            stream.link, layout.CREDIT, 0, stream.call_id, items, 0, 0, b"", stream.method
        )

    def cancel_task(self, stream: Stream) -> None:
        """Ask for the stream's task to be closed at its next yield."""
        if not stream.link.end.closed and not self._closed:
            self._publish(
                stream.link, layout.CANCEL, 0, stream.call_id, 0, 0, 0, b"", stream.method
            )

    def abandon(self, pending: Call | Stream) -> None:
        """Forget a call: drop its reply; if it has not begun, it never will."""
        link = pending.link
        link.pending.pop(pending.call_id, None)
        position = pending.position
        outbox = link.end.outbox
        if position >= 0:
            # Under the lock, so that the ring cannot be reused in between.
            with outbox.lock:
                if outbox.writer.is_unretired(position):
                    outbox.writer.memory.stamp(position, layout.WORD_MARK, layout.MARK_CANCELLED)

    def _send(
        self,
        link: Link,
        pending: Call | Stream,
        kind: int,
        flags: int,
        hashed: int,
        body: bytes | Chunks,
    ) -> None:
        call_id = pending.call_id
        link.pending[call_id] = pending
        self._active[link] = None
        method = codec.method_id(pending.method)
        position = link.end.outbox.send(
            kind, flags, call_id, method, hashed, pending.deadline_ns, body
        )
        if position < 0:
            try:
                position = self._publish(
                    link,
                    kind,
                    flags,
                    call_id,
                    method,
                    hashed,
                    pending.deadline_ns,
                    body,
                    pending.method,
                )
            except BaseException:
                link.pending.pop(call_id, None)
                raise
        pending.position = position
        # The host closes, fences, then settles what it finds: it has seen this
        # record, or this sees the mark.
        if link.end.closed and link.pending.pop(call_id, None) is not None:
            pending.fail(self._closed_error(link.component))

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
            if position < 0:
                position = outbox.send(kind, flags, call_id, method, hashed, deadline_ns, body)
            return position >= 0 or link.end.closed

        while not sent():
            outbox.writer.set_waiting(True)
            until_ns = time.monotonic_ns() + int(_NO_ROOM_CHECK_S * 1e9)
            self.pump.wait(sent, until_ns, self._add_room_wake)
            if position < 0 and deadline_ns and time.monotonic_ns() >= deadline_ns:
                raise CallTimeout(
                    f"{method_name}() could not be sent before its deadline: the lane is full",
                    component=link.component,
                    hint="the component takes calls more slowly than they are made",
                )
        outbox.writer.set_waiting(False)
        if position < 0:
            raise self._closed_error(link.component)
        return position

    def _add_room_wake(self, wake: Callable[[], None]) -> None:
        self._room_wakes[wake] = None

    def when_room(
        self, component: str, key: str | bytes | int | None, wake: Callable[[], None]
    ) -> bool:
        """Whether a small call can be sent now; if not, ``wake`` is called later.

        For an event loop, which must not block in :meth:`submit`.
        """
        link = self._link(component, 0 if key is None else codec.key_hash(key))
        writer = link.end.outbox.writer
        if writer.has_room(layout.INLINE_BYTES) or link.end.closed:
            return True
        writer.set_waiting(True)
        self._room_wakes[wake] = None
        fence()
        if writer.has_room(layout.INLINE_BYTES):
            self._room_wakes.pop(wake, None)
            return True
        return False

    # -- background calls --------------------------------------------------

    def make_background(self, call: Call) -> None:
        """See that the call is settled although no thread waits for it."""
        self.watch(call)
        if self._background_pump is None:
            with self._resolve_lock:
                if self._background_pump is None:
                    self._background_pump = BackgroundPump(
                        self.pump, self._bell, self._expire_background
                    )
        self._background_pump.want()

    def watch(self, call: Call) -> None:
        """Count a call as background, without a thread: an event loop watches."""
        call.mark_background()
        self._background.add(call)
        self.pump.add_background()
        if call.settled():
            self.background_done(call)

    def background_done(self, call: Call) -> None:
        """A background call is settled."""
        try:
            # One step under the GIL: of two that come at once, one counts.
            self._background.remove(call)
        except KeyError:
            return
        self.pump.remove_background()

    def _expire_background(self) -> float | None:
        """Settle late background calls; return how long the rest can wait."""
        nearest = 0
        calls = list(self._background)
        for call in calls:
            if not call.expire() and call.deadline_ns:
                nearest = min(nearest or call.deadline_ns, call.deadline_ns)
        if not self._background:
            return None
        return max(0.0, (nearest - time.monotonic_ns()) / 1e9) if nearest else 1.0

    # -- the mailbox that the pump moves -----------------------------------

    def nudge(self) -> None:
        """Deliver what is there, if nobody else is at it."""
        self.pump.nudge()

    def has_mail(self) -> bool:
        return any(link.end.inbox.reader.has_record() for link in tuple(self._active))

    def watched(self) -> list[LaneReader]:
        return [link.end.inbox.reader for link in tuple(self._active)]

    def deliver(self) -> bool:
        progressed = False
        for link in tuple(self._active):
            inbox = link.end.inbox
            if inbox.reader.has_record():
                progressed = True
                try:
                    self._deliver_from(link)
                except (CorruptLaneError, ValueError, msgspec.MsgspecError) as error:
                    self._break(link, error)
            if not link.pending:
                self._active.pop(link, None)
                if link.pending:
                    self._active[link] = None
        if self._room_wakes:
            wakes = list(self._room_wakes)
            for wake in wakes:
                self._room_wakes.pop(wake, None)
                wake()
        return progressed

    def _deliver_from(self, link: Link) -> None:
        inbox = link.end.inbox
        reader = inbox.reader
        pending = link.pending
        count = 0
        while (record := reader.read()) is not None:
            waiter = pending.get(record[4])
            if waiter is not None:
                if waiter.on_record(record[1], self._body(link, record)):
                    pending.pop(record[4], None)
            elif (slab := inbox.slab(record)) is not None:
                inbox.arena.free(slab[0])
            count += 1
            if count == _BATCH:
                inbox.retire(reader.position)
                count = 0
        inbox.retire(reader.position)

    @staticmethod
    def _body(link: Link, record: Record) -> bytes | memoryview:
        slab = link.end.inbox.slab(record)
        if slab is None:
            return bytes(record[11])
        return link.end.inbox.arena.lease(*slab)

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
            raise HostClosedError("the host is closed", component=component)
        # The connector may call back into host code: not under the lock.
        slot = self._connector.slot(component)
        while True:
            generation, shares = self._table.read(slot)
            if not shares:
                raise self._closed_error(component)
            links = [self._link_to(component, share.seat) for share in shares]
            with self._resolve_lock:
                target = _Target(self._table.slot_word(slot))
                target.generation = generation
                target.shares = shares
                target.links = links
                target.single = links[0] if len(links) == 1 else None
                target.spread = Spread(shares)
                self._targets[component] = target
            if self._route_words[target.slot_word] == generation:
                return target

    def _link_to(self, component: str, seat: int) -> Link:
        link = self._links.get(seat)
        if link is None:
            end = self._connector.connect(component, seat)
            # Two threads may have connected: the first one counts.
            link = self._links.setdefault(seat, Link(component, seat, end))
        return link

    @staticmethod
    def _closed_error(component: str) -> HostError:
        return HostClosedError(
            "the component is not running",
            component=component,
            hint="it was stopped, or never started; start it first",
        )

    # -- end ---------------------------------------------------------------

    def drop(self, seat: int, error: HostError) -> None:
        """Forget a seat for good; what is still under way on it fails."""
        link = self._links.pop(seat, None)
        if link is None:
            return
        for name, target in list(self._targets.items()):
            if link in target.links:
                self._targets.pop(name, None)
        for call_id in list(link.pending):
            waiter = link.pending.pop(call_id, None)
            if waiter is not None:
                waiter.fail(error)
        self._active.pop(link, None)

    def close(self) -> None:
        """Fail what is under way and take no more calls."""
        self._closed = True
        self._targets.clear()
        error = HostClosedError("the host was closed")
        for seat in list(self._links):
            self.drop(seat, error)
        if self._background_pump is not None:
            self._background_pump.close()
