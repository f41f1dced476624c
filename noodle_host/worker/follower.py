"""A follower: executes what the leader has executed, after it, and tells nobody.

It executes a command when the leader has answered it, so whatever has no status when
the leader is proved dead was executed by the leader alone, and is answered by the
successor. Shares of a canary are the exception: they are executed at once, because
the leader waits for their replies.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from ..router import layout
from ..router.journal import Journal, JournalReader, JournalWriter, caller_seat_of, channel_of
from ..router.lane import Record
from .effects import Recorder, Replayer
from .executor import Body, Executor, digest
from .moment import Moment
from .nested import NestedReplies
from .task import NO_ITEM, close, step

#: Commands executed before the worker looks at its orders again.
_MOST_AT_ONCE: Final = 64


@dataclass(frozen=True)
class Divergence:
    """A command that had another outcome here than at the leader."""

    order: int
    method: str
    what: str


#: Gets a command that its leader has died of, and how many workers have; the answer to
#: give in place of executing it, or None.
Verdict = Callable[[Record, int], tuple[int, Body] | None]


class Answer(Protocol):
    """Sends the reply to a command; calls ``note`` when it is sent."""

    def __call__(self, record: Record, kind: int, body: Body, note: Callable[[], None]) -> None: ...


class LostTrackError(Exception):
    """The leader has overwritten what was not read yet."""


class Follower:
    """Reads the journal of a seat from an order on."""

    def __init__(
        self,
        journal: Journal,
        executor: Executor,
        moment: Moment,
        nested: NestedReplies,
        page: memoryview,
        *,
        order: int,
        compares: bool,
        position: int | None = None,
    ) -> None:
        self._reader = JournalReader(journal, position)
        self._executor = executor
        self._moment = moment
        self._nested = nested
        self._page = page
        self._compares = compares
        self._replayer = Replayer(moment, self._reader)
        #: The generators of commands that stream, by channel and call id.
        self.tasks: dict[tuple[int, int], Iterator[object]] = {}
        #: Hands the reply to the record at a position to the leader, if that wants it.
        self.relay: Callable[[int, int, Body], None] | None = None
        # Executed, or met, before the leader had answered it.
        self._early: deque[tuple[Record, tuple[int, Body] | None]] = deque()
        self.order = order
        self.divergence: Divergence | None = None
        page[layout.BELL_ORDER] = order

    def writer(self) -> JournalWriter:
        """The leader's end of the journal, for this worker to lead."""
        return self._reader.writer()

    def has_work(self) -> bool:
        return self._reader.has_answered()

    def turn(self) -> bool:
        """Execute what the leader has answered; True if there was anything.

        Raises:
            LostTrackError: this follower was dropped.
        """
        began = self.order
        for _ in range(_MOST_AT_ONCE):
            if not self._next():
                break
        self._page[layout.BELL_ORDER] = self.order
        self._reader.trim()
        if self._early:
            self._settle_early()
        return self.order != began

    def _next(self) -> bool:
        record = self._reader.read()
        if record is None:
            return False
        if self._page[layout.BELL_DROPPED]:
            raise LostTrackError
        status = self._reader.status(record[0])
        if record[1] == layout.QUERY:
            if not status:
                self._meet_query(record)
            return True
        if record[7] <= self.order:
            # Part of the state that was taken over.
            return True
        if not status & layout.STATUS_ANSWERED:
            if record[2] & layout.SHARE and self.relay is not None:
                self._answer_early(record)
                return True
            self._reader.unread(record)
            return False
        if status & layout.STATUS_SKIPPED:
            self.order = record[7]
            return True
        effects = self._replayer
        effects.begin()
        kind, body = self._execute(record, effects)
        effects.finish()
        self._check(record, status, kind, body, effects.problem)
        self.order = record[7]
        return True

    # -- the share of a canary ------------------------------------------------

    def _answer_early(self, record: Record) -> None:
        """Execute a command of the share as soon as it is there; the leader waits for it."""
        assert self.relay is not None
        self._replayer.begin()
        kind, body = self._execute(record, self._replayer)
        self._replayer.finish()
        self.order = record[7]
        self._early.append((record, (kind, body)))
        self.relay(record[0], kind, body)

    def _meet_query(self, record: Record) -> None:
        if self.relay is None:
            # Not needed for the state; whoever leads next answers it.
            self._early.append((record, None))
            return
        outcome = self._query(record)
        self._early.append((record, outcome))
        self.relay(record[0], *outcome)

    def _query(self, record: Record) -> tuple[int, Body]:
        self._moment.effects = None
        return self._executor.run(record[5], bool(record[2] & layout.BY_NAME), record[11])

    def _settle_early(self) -> None:
        """Let go of what the leader has answered."""
        while self._early:
            record, outcome = self._early[0]
            status = self._reader.status(record[0])
            if not status & layout.STATUS_ANSWERED:
                return
            self._early.popleft()
            if record[1] != layout.QUERY and outcome is not None:
                self._check(record, status, *outcome, "")

    def _execute(self, record: Record, effects: Replayer) -> tuple[int, Body]:
        moment = self._moment
        moment.order = record[7]
        moment.deadline_ns = 0
        moment.effects = effects
        kind, body = self._act(record)
        moment.effects = None
        if record[2] & layout.NESTED:
            self._nested.keep(caller_seat_of(record[6]), record[4], kind, body)
        return kind, body

    def _act(self, record: Record) -> tuple[int, Body]:
        kind, call_id, number = record[1], record[4], record[5]
        by_name = bool(record[2] & layout.BY_NAME)
        if kind in (layout.CALL, layout.NOTIFY):
            return self._executor.run(number, by_name, record[11])
        key = channel_of(record[6]), call_id
        if kind == layout.STREAM:
            try:
                method = self._executor.method(number)
                items = method.function(*method.decode_arguments(record[11], by_name))
                assert isinstance(items, Iterator)
            except BaseException as error:
                return layout.ERROR, self._executor.error(error)
            self.tasks[key] = items
            return NO_ITEM, b""
        items = self.tasks.get(key, iter(()))
        if kind == layout.CLOSE:
            self.tasks.pop(key, None)
            close(items)
            return NO_ITEM, b""
        outcome = step(items, self._executor)
        if outcome[0] in (layout.END, layout.ERROR):
            self.tasks.pop(key, None)
        return outcome

    def _check(self, record: Record, status: int, kind: int, body: Body, problem: str) -> None:
        if not self._compares or self.divergence is not None:
            return
        if not problem and status & layout.STATUS_DIGEST:
            if status >> layout.DIGEST_SHIFT == digest(kind, body):
                return
            problem = "its reply differs from the leader's"
        if problem:
            method = self._executor.methods.get(record[5])
            name = f"method {record[5]:#x}" if method is None else method.name
            self.divergence = Divergence(record[7], name, problem)

    # -- after the leader ---------------------------------------------------

    def catch_up(self) -> None:
        """Execute everything that is answered; the leader has yielded or is dead."""
        while self._next():
            pass
        self._page[layout.BELL_ORDER] = self.order

    def finish(self, recorder: Recorder, verdict: Verdict, answer: Answer) -> None:
        """Execute what the dead leader had begun, and see that it is answered."""
        writer = recorder.writer
        self.catch_up()
        self._settle_early()
        while self._early:
            record, early = self._early.popleft()
            if not self._reader.status(record[0]) & layout.STATUS_ANSWERED:
                note = functools.partial(writer.set_status, record[0], layout.STATUS_ANSWERED)
                answer(record, *(early or self._query(record)), note)
        self.relay = None
        while True:
            self.catch_up()
            begun = self._reader.read()
            if begun is None:
                return
            record = begun
            position, order = record[0], record[7]
            deaths = self._reader.deaths(position) + 1
            outcome = verdict(record, deaths)
            status = layout.STATUS_ANSWERED
            if outcome is None:
                writer.set_deaths(position, deaths)
                outcome = self._execute(record, Replayer(self._moment, self._reader, recorder))
            else:
                status |= layout.STATUS_SKIPPED
            self.order = order
            answer(record, *outcome, functools.partial(writer.set_status, position, status))
