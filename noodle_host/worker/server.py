"""The server: executes the calls of a seat, one at a time, on the main thread."""

from __future__ import annotations

import functools
import os
import time
from typing import Any, NoReturn

from ..errors import HostError, PoisonCall, WorkerDied
from ..router import codec, layout
from ..router.corrupt import CorruptError
from ..router.journal import source
from ..router.lane import CorruptLaneError, Record
from ..router.native import LaneReader
from ..router.parcel import Parcel
from .effects import Effects
from .executor import Body, Executor, no_buffers
from .inlet import Inlet
from .keeper import Keeper
from .messages import Lead
from .moment import Moment
from .nested import NestedReplies
from .share import ShareKeeper
from .tasks import Tasks


class Server:
    """Serves the inlets of one seat with the methods of one component.

    Without a keeper nothing is journaled: calls are stamped in their lanes, and
    whoever succeeds executes again what was begun and is not answered.
    """

    def __init__(
        self,
        executor: Executor,
        moment: Moment,
        nested: NestedReplies,
        tasks: Tasks,
        page: memoryview,
        *,
        has_state: bool,
    ) -> None:
        # The words of the seat's bell.
        self._page = page
        self._executor = executor
        self._methods = executor.methods
        self._moment = moment
        self._nested = nested
        self._has_state = has_state
        self._keeper: Keeper | None = None
        # Commands up to here were answered before this worker led.
        self._inherited = 0
        self._is_blocked = False
        # Commands whose reply waits for room: position in the journal -> order.
        self._unsent: dict[int, int] = {}
        self._dead: Lead | None = None
        self.tasks = tasks
        tasks.set_verdict(self._verdict_on_task)
        self.share = ShareKeeper()
        self.inlets: dict[int, Inlet] = {}

    def begin(self, order: int, keeper: Keeper | None) -> None:
        """Lead: ``order`` was the last that was given before."""
        self._moment.order = self._inherited = order
        self._keeper = self.tasks.keeper = keeper
        if keeper is not None:
            keeper.unanswered = self._oldest_unanswered

    def end(self) -> None:
        """Lead no more: somebody else reads and writes the lanes from here on."""
        self.share.give(0, 0)
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = self.tasks.keeper = None
        self.inlets.clear()

    @property
    def order(self) -> int:
        """The last order that was given."""
        return self._moment.order

    # -- inlets ------------------------------------------------------------

    def attach(self, inlet: Inlet) -> None:
        self.inlets[inlet.channel] = inlet

    def detach(self, channel: int) -> None:
        """The caller is gone: its tasks end, its requests are dropped."""
        self.tasks.detach(channel)
        inlet = self.inlets.pop(channel, None)
        if inlet is not None:
            inlet.end.close()

    # -- one turn ----------------------------------------------------------

    def has_work(self) -> bool:
        """Whether a turn would do something."""
        if self._is_blocked:
            return False
        for inlet in self.inlets.values():
            if inlet.reader.has_record() and inlet.can_take():
                return True
        return self.tasks.can_step()

    def watched(self) -> list[LaneReader]:
        """The lanes that requests come in."""
        return [inlet.reader for inlet in self.inlets.values()]

    def turn(self) -> bool:
        """Serve one request of each caller and step each task; True if there was any."""
        if self._is_blocked:
            assert self._keeper is not None
            self._is_blocked = not self._keeper.has_room()
            if self._is_blocked:
                return False
        worked = False
        for inlet in tuple(self.inlets.values()):
            try:
                if inlet.reader.has_record():
                    if inlet.can_take():
                        worked = True
                        self._take(inlet)
                elif inlet.has_backlog:
                    inlet.can_take()
            except (CorruptLaneError, CorruptError) as error:
                worked = True
                self._distrust(inlet, error)
        if self.tasks:
            worked = self.tasks.step() or worked
        if self.share.due_ns:
            worked = self.share.expire() or worked
        return worked

    def _distrust(self, inlet: Inlet, error: Exception) -> None:
        """A caller writes nonsense: it is read no more, and the others go on."""
        self.detach(inlet.channel)
        self.on_corrupt(inlet.channel, str(error))

    def on_corrupt(self, channel: int, what: str) -> None:
        """A channel holds what the protocol does not allow; replaced by the worker's main."""
        os.write(2, f"channel {channel} is corrupt: {what}\n".encode())

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and nothing waits, not even unsent replies."""
        return not self.tasks and not self.has_work() and not self.unread_callers

    @property
    def unread_callers(self) -> list[str]:
        """The callers that leave no room for replies that are ready."""
        return [inlet.caller for inlet in self.inlets.values() if inlet.has_backlog]

    def _take(self, inlet: Inlet) -> None:
        reader = inlet.reader
        record = reader.read()
        if record is None:
            return
        kind = record[1]
        if kind == layout.CALL:
            self._call(inlet, record)
            return
        if kind == layout.RELAY:
            # The method word is the kind, the key hash the position in the journal.
            body = self._payload(inlet, record)
            self.share.relayed(record[6], record[5], bytes(body))
        elif kind == layout.STREAM:
            if not self._begin_task(inlet, record):
                reader.position = record[0]
                self._is_blocked = True
                return
        elif kind == layout.CREDIT:
            # The method word.
            self.tasks.grant(inlet.channel, record[4], record[5])
        elif kind == layout.CANCEL:
            self.tasks.cancel(inlet.channel, record[4])
        elif kind == layout.NOTIFY:
            self._call(inlet, record)
            return
        reader.retire(reader.position)

    # -- calls -------------------------------------------------------------

    def _call(self, inlet: Inlet, record: Record) -> None:
        position, kind, flags, _, call_id, number, _, deadline_ns, stamped, status, mark, _ = record
        reader = inlet.reader
        if status or (mark and not stamped):
            # Answered by an earlier holder, or taken back before it began.
            if not status:
                self._drop_payload(inlet, record)
            reader.retire(reader.position)
            return
        if deadline_ns and time.monotonic_ns() >= deadline_ns and not stamped:
            self._drop_payload(inlet, record)
            reader.retire(reader.position)
            return
        moment = self._moment
        effects = moment.effects
        if self._has_state and (
            (method := self._methods.get(number)) is None or not method.is_query
        ):
            if flags & layout.NESTED and self._repeat(inlet, record):
                return
            if self._keeper is not None:
                self._command(inlet, record, self._keeper, effects)
                return
        if self._keeper is not None:
            # A follower has only what is written down for it.
            if kind == layout.CALL and not flags & layout.BUFFERS and self.share.takes(record[6]):
                self._ask_follower(inlet, record, self._keeper)
                return
            # A query is not repeated by anybody who follows.
            moment.effects = None
        elif stamped:
            error = self.verdict(number, (stamped >> layout.ORDER_BITS) + 1)
            if error is not None:
                self._refuse(inlet, record, error)
                return
            # Begun by a holder that died: the same order, so that what it asked of
            # others is known to them.
            moment.order = max(moment.order, stamped & layout.ORDER_MASK)
            inlet.stamp(position, layout.WORD_ORDER, stamped + (1 << layout.ORDER_BITS))
        else:
            # In the seat's page first: no successor may give the same one again.
            self._page[layout.BELL_ORDER] = moment.order = moment.order + 1
            inlet.stamp(position, layout.WORD_ORDER, moment.order)
        moment.deadline_ns = deadline_ns
        answer, body = self._executor.run(
            number, bool(flags & layout.BY_NAME), self._payload(inlet, record)
        )
        moment.effects = effects
        if kind == layout.NOTIFY:
            self._lose(answer, body)
        elif type(body) is Parcel and reader.memory.peek(position, layout.WORD_MARK):
            # A caller that has taken the call back may not look at its replies for long, and
            # until then it would hold the buffers in it.
            pass
        elif not inlet.reply(answer, call_id, body):
            inlet.when_sent(functools.partial(self._settle, inlet, position, reader.position))
            return
        if flags & layout.NESTED and self._has_state:
            self._nested.keep(inlet.caller_seat, call_id, answer, body)
        inlet.stamp(position, layout.WORD_STATUS, layout.STATUS_ANSWERED)
        reader.retire(reader.position)

    def _command(
        self, inlet: Inlet, record: Record, keeper: Keeper, effects: Effects | None
    ) -> None:
        position, kind, flags, _, call_id, number, _, deadline_ns, stamped, *_ = record
        reader = inlet.reader
        if stamped and stamped & layout.ORDER_MASK <= self._inherited:
            # It is in the journal, and what is there was answered before this worker led;
            # its payload was given back then.
            reader.retire(reader.position)
            return
        if flags & layout.BUFFERS:
            self._refuse(inlet, record, no_buffers())
            return
        if not keeper.has_room():
            reader.position = position
            self._is_blocked = True
            return
        # What is journaled is read in several processes, and freed by one. The lease is
        # kept until it is written.
        lease = self._payload(inlet, record)
        payload = lease if type(lease) is bytes else bytes(lease)
        moment = self._moment
        order = moment.order + 1
        # First of all: a stamp that the journal does not know means that it was not begun.
        inlet.stamp(position, layout.WORD_ORDER, order)
        origin = source(inlet.caller_seat, inlet.channel)
        writer = keeper.writer
        is_shared = kind == layout.CALL and self.share.takes(record[6])
        noted = flags & ~layout.SLAB | (layout.SHARE if is_shared else 0)
        entry = writer.write(kind, noted, call_id, number, origin, order, payload)
        if entry < 0:
            inlet.stamp(position, layout.WORD_ORDER, 0)
            reader.position = position
            self._is_blocked = True
            return
        del lease
        moment.order = order
        moment.deadline_ns = deadline_ns
        answer, body = self._executor.run(number, bool(flags & layout.BY_NAME), payload)
        method = self._methods.get(number)
        if method is not None and method.at_most_once:
            # Without this it cannot have been answered, and need not be in the state.
            writer.set_status(entry, layout.STATUS_EXECUTED)
        if isinstance(body, Parcel):
            answer, body = layout.ERROR, self._executor.error(no_buffers())
        status = keeper.answered(answer, body)
        if flags & layout.NESTED:
            self._nested.keep(inlet.caller_seat, call_id, answer, body)
        if is_shared:
            send = functools.partial(self._send_shared, inlet, record, keeper, entry, status, order)
            self.share.wait_for(entry, order, lambda: (answer, body), send)
            reader.retire(reader.position)
            keeper.wake()
            return
        if kind == layout.NOTIFY:
            self._lose(answer, body)
        elif not inlet.reply(answer, call_id, body):
            self._note_when_sent(inlet, keeper, entry, status, order)
            reader.retire(reader.position)
            return
        writer.set_status(entry, status)
        reader.retire(reader.position)
        keeper.after(order)

    def _ask_follower(self, inlet: Inlet, record: Record, keeper: Keeper) -> None:
        """Have a query of the share answered by the follower, in the order of the commands."""
        if not keeper.has_room():
            inlet.reader.position = record[0]
            self._is_blocked = True
            return
        number, flags, order = record[5], record[2], self._moment.order
        lease = self._payload(inlet, record)
        payload = lease if type(lease) is bytes else bytes(lease)
        origin = source(inlet.caller_seat, inlet.channel)
        noted = flags & ~layout.SLAB | layout.SHARE
        entry = keeper.writer.write(layout.QUERY, noted, record[4], number, origin, order, payload)
        by_name = bool(flags & layout.BY_NAME)
        send = functools.partial(
            self._send_shared, inlet, record, keeper, entry, layout.STATUS_ANSWERED, order
        )
        self.share.wait_for(entry, order, lambda: self._query(number, by_name, payload), send)
        inlet.reader.retire(inlet.reader.position)
        keeper.wake()

    def _query(self, number: int, by_name: bool, payload: bytes) -> tuple[int, Body]:
        effects, self._moment.effects = self._moment.effects, None
        try:
            return self._executor.run(number, by_name, payload)
        finally:
            self._moment.effects = effects

    def _send_shared(
        self,
        inlet: Inlet,
        record: Record,
        keeper: Keeper,
        entry: int,
        status: int,
        order: int,
        kind: int,
        body: Body,
    ) -> None:
        call_id = record[4]
        if record[2] & layout.NESTED:
            self._nested.keep(inlet.caller_seat, call_id, kind, body)
        if inlet.reply(kind, call_id, body):
            keeper.writer.set_status(entry, status)
        else:
            self._note_when_sent(inlet, keeper, entry, status, order)

    def _note_when_sent(
        self, inlet: Inlet, keeper: Keeper, entry: int, status: int, order: int
    ) -> None:
        """Have the journal keep a command until its reply has found room."""
        self._unsent[entry] = order

        def note() -> None:
            keeper.writer.set_status(entry, status)
            self._unsent.pop(entry, None)

        inlet.when_sent(note)

    def _oldest_unanswered(self) -> int:
        return min(self.share.oldest_order(), *self._unsent.values(), layout.ORDER_MASK)

    # -- after a death -----------------------------------------------------

    def mourn(self, dead: Lead | None) -> None:
        """How the last leader died, for those whose calls it took with it."""
        self._dead = dead

    def verdict(
        self, number: int, deaths: int, *, is_journaled: bool = False, was_executed: bool = False
    ) -> WorkerDied | None:
        """What to answer to a call that ``deaths`` workers died of; None: execute it.

        ``was_executed``: by the one that died, whose state is lost.
        """
        method = self._methods.get(number)
        name = "a call" if method is None else f"{method.name}()"
        dead = self._dead or Lead()
        facts: dict[str, Any] = {
            "component": self._executor.component,
            "version": dead.version or self._executor.version,
            "worker": dead.pid or None,
        }
        if deaths > 1:
            return PoisonCall(
                f"{deaths} workers died while they executed {name}; the last: {dead.how}",
                hint="it is not tried again",
                **facts,
            )
        is_query = method is not None and method.is_query
        repeatable = is_query or not self._has_state or is_journaled
        if was_executed or (repeatable and (method is None or not method.at_most_once)):
            return None
        return WorkerDied(
            f"the worker died while it executed {name}: {dead.how}",
            hint="whether the call took effect is not known",
            **facts,
        )

    def _verdict_on_task(self, number: int, deaths: int) -> WorkerDied | None:
        # Whether its state allows another worker to go on with it is another question.
        return self.verdict(number, deaths, is_journaled=True)

    def _refuse(self, inlet: Inlet, record: Record, error: HostError) -> None:
        self._drop_payload(inlet, record)
        end = inlet.reader.position
        body = codec.encode_host_error(error)
        if record[1] == layout.CALL and not inlet.reply(layout.ERROR, record[4], body):
            inlet.when_sent(functools.partial(self._settle, inlet, record[0], end))
        else:
            self._settle(inlet, record[0], end)

    @staticmethod
    def _settle(inlet: Inlet, position: int, end: int) -> None:
        inlet.stamp(position, layout.WORD_STATUS, layout.STATUS_ANSWERED)
        inlet.reader.retire(end)

    def _repeat(self, inlet: Inlet, record: Record) -> bool:
        """Answer a call of another seat that was executed before; True if that is so."""
        seat, call_id = inlet.caller_seat, record[4]
        known = self._nested.find(seat, call_id)
        if known is None and not self._nested.is_old(seat, call_id):
            return False
        if known is not None:
            inlet.reply(known[0], call_id, known[1])
        self._drop_payload(inlet, record)
        inlet.reader.retire(inlet.reader.position)
        return True

    def _lose(self, kind: int, body: object) -> None:
        """A one-way message raised: there is nobody to tell but the log."""
        if kind == layout.ERROR:
            assert isinstance(body, bytes)
            self.on_lost_error(self._executor.decode_error(body))
        if os.getpid() != self._executor.pid:
            # It has forked, and this is the child.
            self.leave()

    def on_lost_error(self, error: BaseException) -> None:
        """A one-way message raised: there is nobody to tell but the log."""
        # Replaced by the worker's main; standard error arrives in the host's log.
        os.write(2, f"one-way message failed: {type(error).__name__}: {error}\n".encode())

    @staticmethod
    def _payload(inlet: Inlet, record: Record) -> bytes | memoryview:
        if not record[2] & layout.SLAB:
            return record[11]
        slab = inlet.end.inbox.slab(record)
        assert slab is not None
        # The lease frees the slab when the last view of it is dropped.
        return inlet.end.inbox.unpack(record, inlet.end.inbox.arena.lease(*slab))

    def _begin_task(self, inlet: Inlet, record: Record) -> bool:
        stamped = record[8] & layout.ORDER_MASK
        if self._is_void(record) or 0 < stamped <= self._inherited:
            if not stamped:
                self._drop_payload(inlet, record)
            return True
        return self.tasks.begin(inlet, record, self._payload(inlet, record))

    @staticmethod
    def _is_void(record: Record) -> bool:
        """Taken back by its caller, or too late to be of use."""
        if record[10]:
            return True
        return record[7] != 0 and time.monotonic_ns() >= record[7]

    @staticmethod
    def _drop_payload(inlet: Inlet, record: Record) -> None:
        slab = inlet.end.inbox.slab(record)
        if slab is not None:
            inlet.end.inbox.arena.free(slab[0])

    # -- a fork ------------------------------------------------------------

    def disown(self) -> None:
        """In a forked child: do nothing more in the parent's place."""
        for inlet in self.inlets.values():
            inlet.cut_off(self.leave)
        self.turn = self.leave  # type: ignore[method-assign]

    def leave(self, *_: object) -> NoReturn:
        """A forked child has come back from the component's code: it is not the worker."""
        os.write(2, b"a child that was forked by a method has returned from it, and is ended\n")
        os._exit(1)
