"""Effects: what a command takes from outside, so that another worker can repeat it.

The leader records each before the command sees it; a follower reads it back. A
successor that finishes what a dead leader had begun reads what was recorded, and
goes on by itself from there, with the same ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..errors import HostError
from ..router import layout
from ..router.journal import JournalReader, JournalWriter
from .moment import Moment

#: Kind of a reply, and its body.
Outcome = tuple[int, bytes]
#: Does it for real; the argument is the id of the call, 0 for one that nobody repeats.
Perform = Callable[[int], Outcome]


class Effects(Protocol):
    """How a command takes something from outside."""

    def take(self, what: int, perform: Perform) -> Outcome:
        """The outcome of ``perform``, recorded or read back; ``what`` is a checksum of it."""


def _nested_id(order: int, index: int) -> int:
    if index >> layout.NESTED_INDEX_BITS:
        raise HostError(
            f"one command takes more than {index - 1:,} things from outside",
            phase="call",
            hint="take less in one command",
        )
    return order << layout.NESTED_INDEX_BITS | index


class Numbers:
    """Ids for calls that nothing is recorded of, so that the callee knows a repeated one."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._order = 0
        self._index = 0

    def next_id(self) -> int:
        """The id of the next call that the call under way makes; raises HostError."""
        if self._order != self._moment.order:
            self._order, self._index = self._moment.order, 0
        self._index += 1
        return _nested_id(self._order, self._index)


class Recorder:
    """The leader's: does it, writes down what came of it, and only then tells."""

    def __init__(self, moment: Moment, writer: JournalWriter) -> None:
        self._moment = moment
        self.writer = writer
        self._order = 0
        self._index = 0

    def skip(self, order: int, index: int) -> None:
        """So many were recorded by a leader before."""
        self._order, self._index = order, index

    def take(self, what: int, perform: Perform) -> Outcome:
        order = self._moment.order
        if self._order != order:
            self._order, self._index = order, 0
        self._index += 1
        call_id = _nested_id(order, self._index)
        kind, body = perform(call_id)
        if self.writer.write(layout.EFFECT, 0, call_id, what, kind, order, body) < 0:
            raise HostError(
                f"what one command takes from outside does not fit its journal of "
                f"{self.writer.size_bytes:,} bytes",
                phase="call",
                hint="take less in one command",
            )
        return kind, body


class DivergedError(BaseException):
    """A follower's command does not do what the leader's did; no handler may stop it."""


class Replayer:
    """A follower's: reads back what the leader has recorded.

    ``rest`` goes on where the record ends, if the leader died there.
    """

    def __init__(self, moment: Moment, reader: JournalReader, rest: Recorder | None = None) -> None:
        self._moment = moment
        self._reader = reader
        self._rest = rest
        self._taken = 0
        self._is_past = False
        self.problem = ""

    def begin(self) -> None:
        """Another command is next."""
        self._taken = 0
        self._is_past = False
        self.problem = ""

    def take(self, what: int, perform: Perform) -> Outcome:
        order = self._moment.order
        if self._is_past:
            # What is read from here on is what the rest has written.
            assert self._rest is not None
            return self._rest.take(what, perform)
        record = self._reader.read()
        if record is None and self._rest is not None:
            self._is_past = True
            self._rest.skip(order, self._taken)
            return self._rest.take(what, perform)
        if record is None or record[1] != layout.EFFECT or record[7] != order:
            if record is not None:
                self._reader.unread(record)
            self._diverge("it takes more from outside than the leader's did")
        assert record is not None
        if record[5] != what:
            self._diverge("it asks for something else from outside than the leader's did")
        self._taken += 1
        return record[6], record[11]

    def finish(self) -> None:
        """The command is done: nothing that was recorded for it must be left."""
        order = self._moment.order
        while (record := self._reader.read()) is not None:
            if record[1] != layout.EFFECT or record[7] != order:
                self._reader.unread(record)
                return
            self.problem = self.problem or "it takes less from outside than the leader's did"

    def _diverge(self, what: str) -> None:
        self.problem = self.problem or what
        raise DivergedError(what)
