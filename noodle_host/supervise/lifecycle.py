"""The life of a worker as one table. Pure.

The documentation's diagram and the tests are made from it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class WorkerState(StrEnum):
    SPAWNING = "spawning"  #: the fork server was asked for a process
    LOADING = "loading"  #: the plugin is being imported and checked
    LOADED = "loaded"  #: it fits its contract; it holds nothing yet
    PREPARING = "preparing"  #: its start hook runs, a state is being taken over
    STANDBY = "standby"  #: it could lead; follows the leader if there is a journal
    SERVING = "serving"  #: it holds its seat
    STOPPING = "stopping"  #: it finishes what is in its lanes
    GONE = "gone"  #: its death is proved


class WorkerEvent(StrEnum):
    SPAWNED = "spawned"
    LOADED = "loaded"
    PREPARE = "prepare"
    READY = "ready"
    LEADING = "leading"
    YIELDED = "yielded"
    STOP = "stop"
    EXITED = "exited"


S, E = WorkerState, WorkerEvent

TRANSITIONS: Final[dict[tuple[WorkerState, WorkerEvent], WorkerState]] = {
    (S.SPAWNING, E.SPAWNED): S.LOADING,
    (S.SPAWNING, E.EXITED): S.GONE,
    (S.LOADING, E.LOADED): S.LOADED,
    (S.LOADING, E.EXITED): S.GONE,
    (S.LOADED, E.PREPARE): S.PREPARING,
    (S.LOADED, E.EXITED): S.GONE,
    (S.PREPARING, E.READY): S.STANDBY,
    # A state is brought to it after it has started.
    (S.STANDBY, E.PREPARE): S.PREPARING,
    (S.PREPARING, E.EXITED): S.GONE,
    # It says so by itself: the seat may have been handed over by its last leader.
    (S.STANDBY, E.LEADING): S.SERVING,
    # Only what has started is stopped in order: what has not has nothing to finish,
    # and its stop hook must not run without start. It is killed.
    (S.STANDBY, E.STOP): S.STOPPING,
    (S.STANDBY, E.EXITED): S.GONE,
    (S.SERVING, E.YIELDED): S.STANDBY,
    (S.SERVING, E.STOP): S.STOPPING,
    (S.SERVING, E.EXITED): S.GONE,
    (S.STOPPING, E.EXITED): S.GONE,
}


def next_state(state: WorkerState, event: WorkerEvent) -> WorkerState:
    """The state after an event.

    Raises:
        ValueError: the event cannot happen in that state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"a worker that is {state} cannot see the event {event}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {WorkerState.SPAWNING}"]
    lines += [
        f"    {before} --> {after}: {event}" for (before, event), after in TRANSITIONS.items()
    ]
    return "\n".join([*lines, f"    {WorkerState.GONE} --> [*]"])
