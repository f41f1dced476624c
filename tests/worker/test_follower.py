"""A follower executes what its leader has answered, and finishes what that had begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from noodle_host.errors import PoisonCall
from noodle_host.router import codec, layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.journal import Journal, JournalReader, JournalWriter, source
from noodle_host.worker.effects import Recorder
from noodle_host.worker.executor import Executor, digest
from noodle_host.worker.follower import Follower, LostTrackError
from noodle_host.worker.methods import Method
from noodle_host.worker.moment import Moment
from noodle_host.worker.nested import NestedReplies
from noodle_host.worker.signature import read_signature

_SEAT, _CHANNEL = 5, 9
_CALL_ID = 77


class Component:
    """Keeps what it is given, and asks the outside."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.items: list[Any] = []
        self.step = 1

    def put(self, item: Any) -> int:
        self.items.append(item)
        return len(self.items)

    def fail(self, text: str) -> None:
        raise KeyError(text)

    def ask(self, what: int) -> str:
        assert self.moment.effects is not None
        _, body = self.moment.effects.take(what, lambda _: (layout.REPLY, b"asked anew"))
        self.items.append(body.decode())
        return body.decode()

    def count(self, n: int) -> Iterator[int]:
        try:
            for i in range(n):
                self.items.append(i)
                yield i * self.step
        finally:
            self.items.append("closed")


class Side:
    """A component with what executes its methods."""

    def __init__(self) -> None:
        self.moment = Moment()
        self.component = Component(self.moment)
        self.nested = NestedReplies()
        self.methods = {}
        for name in ("put", "fail", "ask", "count"):
            function = getattr(self.component, name)
            method = Method(name, function, read_signature(function), is_stream=name == "count")
            self.methods[method.method_id] = method
        self.executor = Executor("vault", "1.0.0", self.methods)
        self.page = Doorbell.create("test-page")

    def follow(self, journal: Journal, order: int = 0, *, compares: bool = True) -> Follower:
        return Follower(
            journal,
            self.executor,
            self.moment,
            self.nested,
            self.page.words,
            order=order,
            compares=compares,
        )


class Leader(Side):
    """Writes down what it executes, as far as it is told to."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.writer: JournalWriter = JournalReader(journal).writer()
        self.moment.effects = Recorder(self.moment, self.writer)
        self.order = 0

    def begin(self, name: str, *arguments: Any, kind: int = layout.CALL, flags: int = 0) -> int:
        """Write a command down; return where."""
        self.order += 1
        self.moment.order = self.order
        number = next((n for n, m in self.methods.items() if m.name == name), 0)
        body = (
            b"" if kind in (layout.STEP, layout.CLOSE) else codec.encode_arguments(arguments, {})[0]
        )
        assert isinstance(body, bytes)
        origin = source(_SEAT, _CHANNEL)
        call_id = self.order << 16 | 1 if flags & layout.NESTED else _CALL_ID
        return self.writer.write(kind, flags, call_id, number, origin, self.order, body)

    def do(self, name: str, *arguments: Any, flags: int = 0, status: int = 0) -> Any:
        """Execute a command and answer it; return the kind and the body of the reply."""
        entry = self.begin(name, *arguments, flags=flags)
        number = next(n for n, m in self.methods.items() if m.name == name)
        body, _ = codec.encode_arguments(arguments, {})
        assert isinstance(body, bytes)
        outcome = self.executor.run(number, False, body)
        self.answer(entry, *outcome, status=status)
        return outcome

    def answer(self, entry: int, kind: int, body: Any, status: int = 0) -> None:
        status |= layout.STATUS_ANSWERED | layout.STATUS_DIGEST
        self.writer.set_status(entry, status | digest(kind, body) << layout.DIGEST_SHIFT)


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.create("test-journal", lane_bytes=1 << 20)
    yield journal
    journal.close()


@pytest.fixture
def leader(journal: Journal) -> Iterator[Leader]:
    leader = Leader(journal)
    yield leader
    leader.page.close()


@pytest.fixture
def side() -> Iterator[Side]:
    side = Side()
    yield side
    side.page.close()


def follow_all(follower: Follower) -> None:
    while follower.turn():
        pass


# -- following --------------------------------------------------------------------------


def test_a_follower_has_the_state_of_its_leader(
    leader: Leader, side: Side, journal: Journal
) -> None:
    follower = side.follow(journal)
    assert not follower.has_work()
    for n in range(300):
        leader.do("put", [n, "x" * n])
        leader.do("ask", n)
        leader.do("fail", "no")
    assert follower.has_work()
    follow_all(follower)
    assert side.component.items == leader.component.items
    assert follower.order == leader.order == side.page.words[layout.BELL_ORDER]
    assert follower.divergence is None
    assert not follower.has_work()


def test_large_arguments_are_followed(leader: Leader, side: Side, journal: Journal) -> None:
    follower = side.follow(journal)
    leader.do("put", "x" * (1 << 20))
    leader.do("put", "y" * (1 << 20))
    follow_all(follower)
    assert side.component.items == leader.component.items


def test_what_is_not_answered_is_not_executed(leader: Leader, side: Side, journal: Journal) -> None:
    follower = side.follow(journal)
    leader.do("put", 1)
    entry = leader.begin("put", 2)
    follow_all(follower)
    assert side.component.items == [1]
    assert not follower.has_work()
    # Executed, and about to be answered, is not answered.
    leader.writer.set_status(entry, layout.STATUS_EXECUTED)
    follow_all(follower)
    assert side.component.items == [1]
    leader.answer(entry, layout.REPLY, codec.encode_result(2))
    assert follower.has_work()
    follow_all(follower)
    assert side.component.items == [1, 2]
    assert follower.divergence is None


def test_what_was_skipped_is_skipped(leader: Leader, side: Side, journal: Journal) -> None:
    follower = side.follow(journal)
    entry = leader.begin("put", "poison")
    leader.writer.set_status(entry, layout.STATUS_ANSWERED | layout.STATUS_SKIPPED)
    leader.do("put", 1)
    follow_all(follower)
    assert side.component.items == [1]
    assert follower.order == 2
    assert follower.divergence is None


def test_what_is_part_of_the_state_is_not_executed_again(
    leader: Leader, side: Side, journal: Journal
) -> None:
    for n in range(5):
        leader.do("ask", n)
    leader.begin("put", "not answered, and older than the state")
    follower = side.follow(journal, order=6)
    leader.do("put", 7)
    follow_all(follower)
    assert side.component.items == [7]
    assert follower.order == 7


def test_a_follower_that_was_dropped_has_lost_track(
    leader: Leader, side: Side, journal: Journal
) -> None:
    follower = side.follow(journal)
    leader.do("put", 1)
    side.page.words[layout.BELL_DROPPED] = 1
    with pytest.raises(LostTrackError):
        follower.turn()
    assert side.component.items == []


@pytest.mark.parametrize("step", [1, 2])
def test_the_steps_of_a_task_are_followed(
    leader: Leader, side: Side, journal: Journal, step: int
) -> None:
    side.component.step = step
    follower = side.follow(journal)
    leader.answer(leader.begin("count", 3, kind=layout.STREAM), 0, b"")
    items = leader.component.count(3)
    for _ in range(3):
        entry = leader.begin("", kind=layout.STEP)
        leader.answer(entry, layout.ITEM, codec.encode_result(next(items)))
        leader.do("put", "between")
    follow_all(follower)
    assert side.component.items == [0, "between", 1, "between", 2, "between"]
    assert list(follower.tasks) == [(_CHANNEL, _CALL_ID)]
    leader.answer(leader.begin("", kind=layout.STEP), layout.END, b"")
    follow_all(follower)
    assert side.component.items[-1] == "closed"
    assert follower.tasks == {}
    if step == 1:
        assert follower.divergence is None
    else:
        # The first item is 0 either way.
        assert follower.divergence is not None
        assert follower.divergence.order == 4


def test_a_task_that_is_closed_is_closed_at_the_follower(
    leader: Leader, side: Side, journal: Journal
) -> None:
    follower = side.follow(journal)
    leader.answer(leader.begin("count", 3, kind=layout.STREAM), 0, b"")
    leader.answer(leader.begin("", kind=layout.STEP), layout.ITEM, codec.encode_result(0))
    leader.answer(leader.begin("", kind=layout.CLOSE), 0, b"")
    follow_all(follower)
    assert side.component.items == [0, "closed"]
    assert follower.tasks == {}


# -- comparing --------------------------------------------------------------------------


@pytest.mark.parametrize("compares", [True, False])
def test_a_reply_that_differs_is_a_divergence(
    leader: Leader, side: Side, journal: Journal, compares: bool
) -> None:
    side.component.items.append("more than the leader has")
    follower = side.follow(journal, compares=compares)
    leader.do("fail", "the same")
    leader.do("put", 1)
    leader.do("put", 2)
    follow_all(follower)
    assert side.component.items[1:] == [1, 2]
    if not compares:
        assert follower.divergence is None
        return
    # The first one is told.
    assert follower.divergence is not None
    assert (follower.divergence.order, follower.divergence.method) == (2, "put")
    assert follower.divergence.what == "its reply differs from the leader's"


def test_another_question_to_the_outside_is_a_divergence(
    leader: Leader, side: Side, journal: Journal
) -> None:
    follower = side.follow(journal)
    entry = leader.begin("ask", 2)
    assert leader.moment.effects is not None
    leader.moment.effects.take(1, lambda _: (layout.REPLY, b"one"))
    leader.answer(entry, layout.REPLY, codec.encode_result("one"))
    leader.do("put", 1)
    follow_all(follower)
    assert follower.divergence is not None
    assert (follower.divergence.order, follower.divergence.method) == (1, "ask")
    assert "something else from outside" in follower.divergence.what
    # What it could not do is not half done, and what follows is executed.
    assert side.component.items == [1]


# -- nested calls -----------------------------------------------------------------------


def test_replies_to_other_seats_are_kept_by_the_follower(
    leader: Leader, side: Side, journal: Journal
) -> None:
    follower = side.follow(journal)
    leader.do("put", "for the host")
    outcome = leader.do("put", "for a seat", flags=layout.NESTED)
    follow_all(follower)
    assert side.nested.find(_SEAT, 2 << 16 | 1) == outcome
    assert side.nested.dump().keys() == {_SEAT}


# -- after the leader -------------------------------------------------------------------


class Successor:
    """Finishes with a follower, and remembers what was answered."""

    def __init__(self, side: Side, follower: Follower, verdict: Any = None) -> None:
        self.answers: list[tuple[int, int, Any]] = []
        self.notes: list[Callable[[], None]] = []
        self.deaths: list[int] = []
        self.verdict = verdict
        self.recorder = Recorder(side.moment, follower.writer())
        follower.finish(self.recorder, self._verdict, self._answer)

    def _verdict(self, record: Any, deaths: int) -> Any:
        self.deaths.append(deaths)
        return None if self.verdict is None else self.verdict(deaths)

    def _answer(self, record: Any, kind: int, body: Any, note: Callable[[], None]) -> None:
        result = (
            codec.decode_error(body)
            if kind == layout.ERROR
            else codec.decoder_for(None).decode(body)
        )
        self.answers.append((record[7], kind, result))
        self.notes.append(note)


@pytest.mark.parametrize("behind", [0, 3])
def test_a_successor_executes_and_answers_what_was_begun(
    leader: Leader, side: Side, journal: Journal, behind: int
) -> None:
    follower = side.follow(journal)
    for n in range(5):
        leader.do("put", n)
    if not behind:
        follow_all(follower)
    entry = leader.begin("put", "begun")
    successor = Successor(side, follower)
    assert side.component.items == [0, 1, 2, 3, 4, "begun"]
    assert successor.answers == [(6, layout.REPLY, 6)]
    assert successor.deaths == [1]
    reader = JournalReader(journal)
    # It is answered when the reply is sent, and not before.
    assert reader.status(entry) == 0
    assert reader.deaths(entry) == 1
    successor.notes[0]()
    assert reader.status(entry) == layout.STATUS_ANSWERED
    assert follower.order == 6


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_successor_asks_only_for_what_was_not_recorded(
    leader: Leader, side: Side, journal: Journal, is_recorded: bool
) -> None:
    follower = side.follow(journal)
    leader.begin("ask", 3)
    if is_recorded:
        assert leader.moment.effects is not None
        leader.moment.effects.take(3, lambda _: (layout.REPLY, b"recorded"))
    successor = Successor(side, follower)
    word = "recorded" if is_recorded else "asked anew"
    assert successor.answers == [(1, layout.REPLY, word)]
    # Whoever follows the successor reads what it has written.
    successor.notes[0]()
    third = Side()
    other = third.follow(journal)
    follow_all(other)
    assert third.component.items == side.component.items == [word]
    third.page.close()


def test_each_death_is_counted_and_the_verdict_is_final(leader: Leader, journal: Journal) -> None:
    """The first successor dies of it too; the second one sets it aside."""
    leader.do("put", 1)
    entry = leader.begin("put", "poison")
    first = Side()
    # Written down before it is executed, so that a death in it is known.
    JournalReader(journal).writer().set_deaths(entry, 1)
    second = Side()
    follower = second.follow(journal)
    error = PoisonCall("2 workers died")

    def verdict(deaths: int) -> Any:
        return (layout.ERROR, codec.encode_host_error(error)) if deaths > 1 else None

    successor = Successor(second, follower, verdict)
    assert successor.deaths == [2]
    ((order, kind, answer),) = successor.answers
    assert (order, kind, type(answer)) == (2, layout.ERROR, PoisonCall)
    assert second.component.items == [1]
    successor.notes[0]()
    status = JournalReader(journal).status(entry)
    assert status == layout.STATUS_ANSWERED | layout.STATUS_SKIPPED
    # And for all who follow.
    third = first.follow(journal)
    follow_all(third)
    assert first.component.items == [1]
    assert third.order == 2
    for side in (first, second):
        side.page.close()
