"""The keeper of a journal: what it forgets, whom it drops, when it wants a checkpoint."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from noodle_host.router import layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.journal import Journal, JournalReader
from noodle_host.worker.keeper import NUDGE_EVERY, Keeper

_LANE_BYTES = 1 << 23
_PAYLOAD = bytes(8000)
#: So many commands fill the journal up to the point where it counts as full.
_FULL = _LANE_BYTES // (layout.HEADER_BYTES + len(_PAYLOAD))


class Keeping:
    """A keeper, who follows it, and what it has asked for."""

    def __init__(self) -> None:
        self.journal = Journal.create("test-journal", lane_bytes=_LANE_BYTES)
        self.checkpoints = 0
        self.dropped: list[int] = []
        writer = JournalReader(self.journal).writer()
        self.keeper = Keeper(writer, self._want_checkpoint, self.dropped.append)
        self.order = 0

    def _want_checkpoint(self) -> None:
        self.checkpoints += 1

    def follow(self, number: int, order: int = 0) -> Doorbell:
        bell = Doorbell.create(f"test-{number}")
        bell.words[layout.BELL_ORDER] = order
        self.keeper.followers[number] = bell
        return bell

    def answer(self, commands: int) -> int:
        """Answer so many commands, as far as there is room; return how many."""
        for number in range(commands):
            if not self.keeper.has_room():
                return number
            self.order += 1
            writer = self.keeper.writer
            entry = writer.write(layout.CALL, 0, self.order, 0, 0, self.order, _PAYLOAD)
            assert entry >= 0
            writer.set_status(entry, layout.STATUS_ANSWERED)
            self.keeper.after(self.order)
        return commands


@pytest.fixture
def keeping() -> Iterator[Keeping]:
    keeping = Keeping()
    yield keeping
    keeping.keeper.close()
    keeping.journal.close()


def has_rung(bell: Doorbell) -> bool:
    """Whether a sleeper on the bell would wake up."""
    return bool(select.select([bell.fd], [], [], 0)[0])


def first_order(keeping: Keeping) -> int:
    """The first order that still stands in the journal."""
    record = JournalReader(keeping.journal).read()
    assert record is not None
    return record[7]


def test_a_short_journal_is_left_alone(keeping: Keeping) -> None:
    assert keeping.answer(_FULL // 32) == _FULL // 32
    keeping.keeper.care()
    assert keeping.checkpoints == 0
    assert first_order(keeping) == 1


def test_one_checkpoint_is_asked_for_at_a_time(keeping: Keeping) -> None:
    keeping.answer(_FULL // 4)
    for _ in range(3):
        keeping.keeper.care()
    assert keeping.checkpoints == 1
    keeping.keeper.checkpointed(keeping.order)
    assert first_order(keeping) > keeping.order - 64
    keeping.answer(_FULL // 4)
    keeping.keeper.care()
    assert keeping.checkpoints == 2


def test_without_a_checkpoint_a_full_journal_takes_no_more(keeping: Keeping) -> None:
    taken = keeping.answer(2 * _FULL)
    assert _FULL // 2 < taken < _FULL
    assert keeping.checkpoints == 1
    # All of it still stands there: it is the only copy.
    assert first_order(keeping) == 1
    assert keeping.answer(1) == 0
    keeping.keeper.checkpointed(keeping.order)
    assert keeping.answer(_FULL // 2) == _FULL // 2


def test_a_checkpoint_frees_no_more_than_it_holds(keeping: Keeping) -> None:
    keeping.answer(_FULL // 2)
    keeping.keeper.checkpointed(200)
    assert 200 - 64 < first_order(keeping) <= 201
    # One that comes late takes nothing back.
    keeping.keeper.checkpointed(100)
    assert 200 - 64 < first_order(keeping) <= 201


def test_a_follower_that_keeps_up_is_waited_for(keeping: Keeping) -> None:
    """Around the ring many times, with a checkpoint whenever one is wanted."""
    fast, slow = keeping.follow(1), keeping.follow(2)
    for _ in range(40):
        assert keeping.answer(_FULL // 4) == _FULL // 4
        fast.words[layout.BELL_ORDER] = keeping.order
        slow.words[layout.BELL_ORDER] = keeping.order - _FULL // 8
        keeping.keeper.checkpointed(keeping.order)
        assert first_order(keeping) <= keeping.order - _FULL // 8 + 1
    assert keeping.dropped == []


def test_only_who_lags_too_far_is_dropped(keeping: Keeping) -> None:
    fast, slow = keeping.follow(1), keeping.follow(2)
    for _ in range(8):
        assert keeping.answer(_FULL // 4) == _FULL // 4
        fast.words[layout.BELL_ORDER] = keeping.order
        # Callers are not made to wait for it.
        keeping.keeper.checkpointed(keeping.order)
    assert keeping.dropped == [2]
    assert list(keeping.keeper.followers) == [1]
    assert slow.words[layout.BELL_DROPPED] == 1
    assert fast.words[layout.BELL_DROPPED] == 0
    slow.close()


def test_who_is_dropped_knows_before_anything_is_overwritten(keeping: Keeping) -> None:
    slow = keeping.follow(1)
    retired: list[int] = []

    def on_dropped(number: int) -> None:
        assert slow.words[layout.BELL_DROPPED] == 1
        retired.append(keeping.journal.retired)

    keeping.keeper._on_dropped = on_dropped
    for _ in range(8):
        keeping.answer(_FULL // 4)
        keeping.keeper.checkpointed(keeping.order)
    # What it had not executed, all of it, stood there until then.
    assert retired == [0]
    assert keeping.journal.retired > 0
    slow.close()


def test_followers_that_sleep_are_told_once_in_a_while(keeping: Keeping) -> None:
    asleep, awake = keeping.follow(1), keeping.follow(2)
    asleep.fall_asleep()
    keeping.answer(NUDGE_EVERY - 1)
    assert not has_rung(asleep)
    keeping.answer(1)
    assert has_rung(asleep)
    # With nothing new, nobody is woken.
    asleep.drain()
    keeping.keeper.nudge(keeping.order)
    assert not has_rung(asleep)
    keeping.answer(1)
    keeping.keeper.nudge(keeping.order)
    assert has_rung(asleep)
    assert not has_rung(awake)
