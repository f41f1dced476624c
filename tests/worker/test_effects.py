"""What commands take from outside: recorded, read back, and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from noodle_host.errors import HostError
from noodle_host.router import layout
from noodle_host.router.journal import Journal, JournalReader
from noodle_host.worker.effects import DivergedError, Numbers, Outcome, Recorder, Replayer
from noodle_host.worker.moment import Moment


class Outside:
    """Answers each question with another number, and remembers the ids it was asked with."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, call_id: int) -> Outcome:
        self.asked.append(call_id)
        return layout.REPLY, f"answer {len(self.asked)}".encode()


def nested_id(order: int, index: int) -> int:
    return order << 16 | index


def never(_: int) -> Outcome:
    raise AssertionError("what was recorded is not asked for again")


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.create("test-journal", lane_bytes=1 << 18)
    yield journal
    journal.close()


@pytest.fixture
def moment() -> Moment:
    moment = Moment()
    moment.order = 7
    return moment


@pytest.fixture
def record(journal: Journal, moment: Moment) -> Callable[..., list[Outcome]]:
    """``record(*what)``: have a leader's command 7 take these; returns what came of it."""

    def record(*what: int) -> list[Outcome]:
        recorder = Recorder(moment, JournalReader(journal).writer())
        outside = Outside()
        return [recorder.take(one, outside) for one in what]

    return record


def test_each_call_of_a_command_has_an_id_of_its_own(moment: Moment) -> None:
    numbers = Numbers(moment)
    asked = []
    for order in (7, 8):
        moment.order = order
        asked += [numbers.next_id() for _ in range(2)]
    # Whoever executes it again asks with the same ids.
    assert asked == [nested_id(order, index) for order in (7, 8) for index in (1, 2)]


def test_what_is_recorded_is_there_before_it_is_told(journal: Journal, moment: Moment) -> None:
    reader = JournalReader(journal)
    recorder = Recorder(moment, JournalReader(journal).writer())
    outside = Outside()
    for index in (1, 2, 3):
        assert recorder.take(40 + index, outside) == (layout.REPLY, b"answer %d" % index)
        written = reader.read()
        assert written is not None
        assert written[1] == layout.EFFECT
        assert written[4:8] == (nested_id(7, index), 40 + index, layout.REPLY, 7)
        assert written[11] == b"answer %d" % index


def test_a_follower_reads_back_what_was_recorded(
    journal: Journal, moment: Moment, record: Callable[..., list[Outcome]]
) -> None:
    outcomes = record(1, 2, 2)
    replayer = Replayer(moment, JournalReader(journal))
    replayer.begin()
    assert [replayer.take(what, never) for what in (1, 2, 2)] == outcomes
    replayer.finish()
    assert replayer.problem == ""


def test_a_large_answer_is_read_back(journal: Journal, moment: Moment) -> None:
    recorder = Recorder(moment, JournalReader(journal).writer())
    large = bytes(range(256)) * 4096
    recorder.take(1, lambda _: (layout.ERROR, large))
    assert Replayer(moment, JournalReader(journal)).take(1, never) == (layout.ERROR, large)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((1, 3), "something else from outside"),
        ((2,), "something else from outside"),
        ((1, 2, 3), "takes more from outside"),
    ],
)
def test_a_follower_that_asks_otherwise_has_diverged(
    journal: Journal,
    moment: Moment,
    record: Callable[..., list[Outcome]],
    asked: tuple[int, ...],
    words: str,
) -> None:
    record(1, 2)
    replayer = Replayer(moment, JournalReader(journal))
    replayer.begin()
    with pytest.raises(DivergedError, match=words):
        [replayer.take(what, never) for what in asked]
    assert words in replayer.problem
    # A handler that catches everything does not hide it.
    assert not issubclass(DivergedError, Exception)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_follower_that_asks_for_less_has_diverged_and_goes_on(
    journal: Journal, moment: Moment, record: Callable[..., list[Outcome]], taken: int
) -> None:
    record(1, 2)
    moment.order = 8
    after = record(5)
    moment.order = 7
    replayer = Replayer(moment, JournalReader(journal))
    replayer.begin()
    for what in (1, 2)[:taken]:
        replayer.take(what, never)
    replayer.finish()
    assert replayer.problem == "it takes less from outside than the leader's did"
    moment.order = 8
    replayer.begin()
    assert [replayer.take(5, never)] == after
    replayer.finish()
    assert replayer.problem == ""


def test_what_is_asked_beyond_the_record_is_not_the_next_commands(
    journal: Journal, moment: Moment, record: Callable[..., list[Outcome]]
) -> None:
    record(1)
    moment.order = 8
    after = record(1)
    moment.order = 7
    replayer = Replayer(moment, JournalReader(journal))
    replayer.begin()
    replayer.take(1, never)
    with pytest.raises(DivergedError, match="takes more"):
        replayer.take(1, never)
    replayer.finish()
    moment.order = 8
    replayer.begin()
    assert [replayer.take(1, never)] == after


@pytest.mark.parametrize("recorded", [0, 1, 2, 3])
def test_a_successor_goes_on_where_the_record_ends(
    journal: Journal, moment: Moment, record: Callable[..., list[Outcome]], recorded: int
) -> None:
    """A leader died in command 7, after it had taken some of three things."""
    outcomes = record(*[1, 2, 3][:recorded])
    reader = JournalReader(journal)
    recorder = Recorder(moment, reader.writer())
    outside = Outside()
    replayer = Replayer(moment, reader, recorder)
    replayer.begin()
    taken = [replayer.take(what, outside) for what in (1, 2, 3)]
    assert taken[:recorded] == outcomes
    # With the ids that the dead one would have asked with.
    assert outside.asked == [nested_id(7, index) for index in range(recorded + 1, 4)]
    # The next command begins anew, and a third one that executes 7 reads all of it.
    moment.order = 8
    recorder.take(9, outside)
    assert outside.asked[-1] == nested_id(8, 1)
    moment.order = 7
    third = Replayer(moment, JournalReader(journal))
    assert [third.take(what, never) for what in (1, 2, 3)] == taken
    third.finish()
    assert third.problem == ""


def test_a_successor_that_asks_otherwise_of_the_recorded_has_diverged(
    journal: Journal, moment: Moment, record: Callable[..., list[Outcome]]
) -> None:
    record(1)
    reader = JournalReader(journal)
    replayer = Replayer(moment, reader, Recorder(moment, reader.writer()))
    with pytest.raises(DivergedError, match="something else"):
        replayer.take(2, never)


def test_what_does_not_fit_the_journal_is_said(journal: Journal, moment: Moment) -> None:
    recorder = Recorder(moment, JournalReader(journal).writer())
    with pytest.raises(HostError, match=r"does not fit its journal of 262,144 bytes"):
        [recorder.take(1, lambda _: (layout.REPLY, bytes(layout.INLINE_BYTES))) for _ in range(99)]


def test_a_command_has_a_limit_of_ids(moment: Moment) -> None:
    numbers = Numbers(moment)
    for _ in range((1 << layout.NESTED_INDEX_BITS) - 1):
        last = numbers.next_id()
    assert last == nested_id(8, 0) - 1
    with pytest.raises(HostError, match=r"more than 65,535 things from outside"):
        numbers.next_id()
