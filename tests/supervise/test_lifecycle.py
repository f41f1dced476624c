"""The life of a worker: the table, its picture, and every way through it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noodle_host.supervise.lifecycle import (
    TRANSITIONS,
    WorkerEvent,
    WorkerState,
    mermaid,
    next_state,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_documents_diagram_is_the_table() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in DOCUMENT.read_text(encoding="utf-8")


def test_every_state_can_be_reached_and_left_but_the_last() -> None:
    reached = {WorkerState.SPAWNING}
    while (
        more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
    ):
        reached |= more
    assert reached == set(WorkerState)
    left = {before for before, _ in TRANSITIONS}
    assert left == set(WorkerState) - {WorkerState.GONE}


@pytest.mark.parametrize("state", [state for state in WorkerState if state is not WorkerState.GONE])
def test_death_comes_in_every_state(state: WorkerState) -> None:
    assert next_state(state, WorkerEvent.EXITED) is WorkerState.GONE


def test_what_cannot_happen_is_refused_with_both_words() -> None:
    with pytest.raises(ValueError, match=r"gone .* event leading"):
        next_state(WorkerState.GONE, WorkerEvent.LEADING)


@given(st.lists(st.sampled_from(WorkerEvent), max_size=30))
def test_nobody_serves_who_was_told_to_stop(events: list[WorkerEvent]) -> None:
    state, stopped = WorkerState.SPAWNING, False
    for event in events:
        if (state, event) not in TRANSITIONS:
            continue
        state = next_state(state, event)
        stopped = stopped or event is WorkerEvent.STOP
        assert not (stopped and state is WorkerState.SERVING)
        if state is WorkerState.GONE:
            assert all((state, later) not in TRANSITIONS for later in WorkerEvent)
            return
