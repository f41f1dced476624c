"""At every step of a swap and of a succession a worker dies or stops: nobody notices.

The matrix is made from the steps there are. A worker is told, before it is started, to
send itself a signal at one of them; ``_REACHED`` says which it gets to.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from harness.warden import Warden

from noodle_host import Host, HotSwapError
from noodle_host.errors import StartError
from noodle_host.supervise.swap import SwapEvent, SwapStep, plan
from noodle_host.worker.steps import Step

_FULL = os.environ.get("NOODLE_HOST_FULL") == "1"
#: Answers before the worker is hit, and after all is over.
_BEFORE, _AFTER = 150, 300

#: Who is called, for a component of each state model.
_CALLED = {
    "replicated": ("kv", ["kv", "teller"]),
    "stateless": ("adder", ["adder"]),
    "snapshot": ("counter", ["counter"]),
}

_S = Step
_UNTIL_IT_STANDS_BY = {_S.SPAWNED, _S.LOADED, _S.STARTED, _S.RESTORED}
_UNTIL_IT_LEADS = {*_UNTIL_IT_STANDS_BY, _S.CATCHING_UP, _S.TAKING_LANES, _S.LEADING}
_WHILE_IT_YIELDS = {_S.YIELDING, _S.YIELDED}
#: What a worker of that role gets to. ``old`` serves at first, and is swapped for ``new``;
#: ``baked`` is a new one that is swapped back. ``successor`` is started in the place of one
#: that died, ``heir`` as well, when the host has a copy of the state.
_REACHED = {
    ("replicated", "old"): {
        *_UNTIL_IT_LEADS,
        _S.FOLLOWING,
        _S.FORKING,
        _S.FORKED,
        _S.WRITING,
        *_WHILE_IT_YIELDS,
        _S.BATON_PASSED,
    },
    ("replicated", "new"): {*_UNTIL_IT_LEADS, _S.FOLLOWING, _S.RESTORING},
    ("replicated", "baked"): {
        *_UNTIL_IT_LEADS,
        _S.FOLLOWING,
        _S.RESTORING,
        *_WHILE_IT_YIELDS,
        _S.BATON_PASSED,
    },
    ("replicated", "successor"): {*_UNTIL_IT_LEADS, _S.FOLLOWING},
    ("replicated", "heir"): {*_UNTIL_IT_LEADS, _S.FOLLOWING, _S.RESTORING},
    ("stateless", "old"): {*_UNTIL_IT_LEADS, *_WHILE_IT_YIELDS, _S.BATON_PASSED},
    ("stateless", "new"): _UNTIL_IT_LEADS,
    ("stateless", "successor"): _UNTIL_IT_LEADS,
    # Of its own accord it loses what it has done since its last copy.
    ("snapshot", "new"): {*_UNTIL_IT_LEADS, _S.RESTORING},
}


@dataclass(frozen=True)
class Case:
    """Who is hit where, and how: ``kill``, or ``stop`` for a second."""

    model: str
    role: str
    step: Step
    how: str

    def __str__(self) -> str:
        return f"{self.model}-{self.role}-{self.step}-{self.how}"

    @property
    def is_reached(self) -> bool:
        return self.step in _REACHED[self.model, self.role]


_ALL = [
    Case(model, role, step, how)
    for model, role in _REACHED
    for step in Step
    for how in ("kill", "stop")
]


def _sample() -> list[Case]:
    """For each step one kill and one stop, each of another model and role than the last."""
    chosen = []
    for number, step in enumerate(Step):
        for offset, how in enumerate(("kill", "stop")):
            able = [c for c in _ALL if (c.step, c.how) == (step, how) and c.is_reached]
            chosen.append(able[(number + offset) % len(able)])
    return chosen


def test_every_step_is_reached_by_some_worker() -> None:
    assert set().union(*_REACHED.values()) == set(Step)
    assert {case.step for case in _sample()} == set(Step)


@pytest.mark.parametrize("case", _ALL if _FULL else _sample(), ids=str)
def test_a_worker_that_dies_or_stops_at_a_step_costs_nobody_anything(
    case: Case,
    leftovers: Any,
    new_promise_host: Callable[..., Host],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    name, called = _CALLED[case.model]
    number = signal.SIGKILL if case.how == "kill" else signal.SIGSTOP
    host = new_promise_host("journal")
    traps = host._supervisor.means.traps

    def set_trap(version: str) -> None:
        traps[name, version] = {case.step: number}

    with Warden(leftovers.processes) as warden:
        if case.role == "old":
            set_trap("1.0.0")
        fails_to_start = _start(host, dict.fromkeys([*called, name], "<2"))
        load = new_load(host, called, seed=3)
        with load.running():
            load.wait_for(_BEFORE)
            expected = "1.0.0"
            if case.role == "heir":
                expected = _swap(host, name)
            if case.role in ("successor", "heir"):
                set_trap(expected)
                os.kill(_pid(host, name), signal.SIGKILL)
                load.wait_for(_AFTER)
                # Whoever came after it has no trap any more.
                assert not traps
            else:
                if case.role in ("new", "baked"):
                    set_trap("2.0.0")
                expected = _swap(host, name, bakes=case.role == "baked")
                if case.role == "baked" and expected == "2.0.0":
                    load.wait_for(_BEFORE)
                    expected = _swap(host, name, back=True)
            load.wait_for(_AFTER)
    if case.how == "stop":
        assert bool(warden.stopped) == case.is_reached
    elif case.role == "old" and case.step in _UNTIL_IT_LEADS | {_S.FOLLOWING}:
        assert fails_to_start == case.is_reached
    assert_kept(load, host)
    _assert_runs(host, name, expected)


def _start(host: Host, wanted: dict[str, str | None]) -> bool:
    """Start components, and once more if that fails; whether it did."""
    try:
        host.start_all(wanted)
    except StartError:
        host.start_all(wanted)
        return True
    return False


def _swap(
    host: Host,
    name: str,
    on_event: Callable[[SwapEvent], None] | None = None,
    *,
    bakes: bool = False,
    back: bool = False,
) -> str:
    """Swap to 2.0.0, or back to 1.0.0; return which version must serve now."""
    versions = ("2.0.0", "1.0.0") if back else ("1.0.0", "2.0.0")
    try:
        host.swap(name, versions[1], bake=bakes, on_event=on_event)
    except HotSwapError:
        return versions[0]
    return versions[1]


def _pid(host: Host, name: str) -> int:
    seats = next(info.seats for info in host.components() if info.name == name)
    assert seats[0].worker is not None
    assert seats[0].worker.pid is not None
    return seats[0].worker.pid


def _assert_runs(host: Host, name: str, version: str) -> None:
    assert host.call(name, "version", timeout=20) == version
    info = next(info for info in host.components() if info.name == name)
    assert (info.state, info.version) == ("running", version)


# -- between two steps ------------------------------------------------------------------------


def _events_of(model: str, bakes: bool) -> list[str]:
    return [*map(str, plan(model, follows=False, bakes=bakes)), "done"]


#: (state model, bakes, event, role, how): the swap is at that event, the worker anywhere.
_AT_EVENTS = [
    (model, bakes, event, role, how)
    for model in _CALLED
    for bakes in ((False, True) if model == "replicated" else (False,))
    for event in _events_of(model, bakes)
    for role in (("new",) if model == "snapshot" else ("old", "new"))
    for how in ("kill", "stop")
    # There is no new worker yet, and what has a state that nobody follows is lost with it.
    if not (role == "new" and event == "load")
    and not (model == "snapshot" and how == "kill" and event in ("retire", "done"))
]


@pytest.mark.parametrize(
    ("model", "bakes", "event", "role", "how"), _AT_EVENTS if _FULL else _AT_EVENTS[::7]
)
def test_a_worker_that_dies_or_stops_between_two_steps_costs_nobody_anything(
    model: str,
    bakes: bool,
    event: str,
    role: str,
    how: str,
    leftovers: Any,
    new_promise_host: Callable[..., Host],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    name, called = _CALLED[model]
    host = new_promise_host(*called)
    load = new_load(host, called, seed=7)
    hit: list[int] = []

    def on_event(what: SwapEvent) -> None:
        pid = what.old_pid if role == "old" else what.new_pid
        # The old one has ended when the swap is done, unless it is kept.
        if what.step == event and pid is not None and psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            hit.append(pid)

    with Warden(leftovers.processes) as warden, load.running():
        load.wait_for(_BEFORE)
        expected = _swap(host, name, on_event, bakes=bakes)
        load.wait_for(_AFTER)
    assert len(hit) == (0 if (role, event, bakes) == ("old", "done", False) else 1)
    # One that is to end may have been killed while it was stopped.
    assert how == "stop" or not warden.stopped
    assert_kept(load, host)
    if bakes and role == "new" and event in ("bake", "done") and how == "kill":
        # The one that is kept has taken over.
        expected = host.call(name, "version", timeout=20)
        assert expected == "1.0.0"
    _assert_runs(host, name, expected)


# -- the other side ---------------------------------------------------------------------------

#: What a swap of a replicated component tells, and that it is done.
_EVENTS = [*map(str, plan("replicated", follows=False, bakes=False)), "done"]


def _of_each(name: str) -> list[tuple[str, str, str]]:
    ways = [(name, event, how) for event in _EVENTS for how in ("kill", "stop")]
    return ways if _FULL else ways[:: 3 if name == "kv" else 5]


def test_the_events_are_steps_of_a_swap() -> None:
    assert set(_EVENTS) - {"done"} <= set(SwapStep)


@pytest.mark.parametrize(("swapped", "event", "how"), [*_of_each("kv"), *_of_each("journal")])
def test_a_caller_that_dies_or_stops_while_what_it_calls_is_swapped(
    swapped: str,
    event: str,
    how: str,
    leftovers: Any,
    new_promise_host: Callable[..., Host],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    host = new_promise_host("teller")
    load = new_load(host, ["kv", "teller"], seed=4)
    hit: list[int] = []
    with Warden(leftovers.processes) as warden, load.running():
        load.wait_for(_BEFORE)
        teller = _pid(host, "teller")

        def on_event(what: SwapEvent) -> None:
            if what.step == event:
                os.kill(teller, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
                hit.append(teller)

        expected = _swap(host, swapped, on_event)
        load.wait_for(_AFTER)
    assert hit == [teller]
    assert warden.stopped == (hit if how == "stop" else [])
    assert_kept(load, host)
    _assert_runs(host, swapped, expected)
    _assert_runs(host, "teller", "1.0.0")
    assert (_pid(host, "teller") == teller) == (how == "stop")


@pytest.mark.parametrize("event", _EVENTS if _FULL else _EVENTS[::5])
@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("hit", ["kv", "journal", "teller"])
def test_a_caller_is_swapped_while_it_or_what_it_calls_dies_or_stops(
    hit: str,
    how: str,
    event: str,
    leftovers: Any,
    new_promise_host: Callable[..., Host],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    host = new_promise_host("teller")
    load = new_load(host, ["kv", "journal", "teller"], seed=5)
    with Warden(leftovers.processes) as warden, load.running():
        load.wait_for(_BEFORE)
        pid = _pid(host, hit)

        def on_event(what: SwapEvent) -> None:
            # The one that it is swapped for is hit in the matrix above.
            if what.step == event and (hit != "teller" or what.step not in ("retire", "done")):
                os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)

        expected = _swap(host, "teller", on_event)
        load.wait_for(_AFTER)
    if how == "stop" and hit != "teller":
        assert warden.stopped == [pid]
    assert_kept(load, host)
    _assert_runs(host, "teller", expected)
    for name in ("kv", "journal"):
        _assert_runs(host, name, "1.0.0")


# -- the host -----------------------------------------------------------------------------------


def _deaths_of_the_host() -> list[tuple[str, str]]:
    """(component, step at which the host dies): all that a swap of each state model has."""
    found = []
    for model, (name, _) in _CALLED.items():
        for bakes in (False, True):
            steps = [*map(str, plan(model, follows=False, bakes=bakes)), "done"]
            found += [(name, step) for step in steps if (name, step) not in found]
    return found


@pytest.mark.parametrize(
    ("name", "step"), _deaths_of_the_host() if _FULL else _deaths_of_the_host()[::3]
)
def test_a_host_that_is_killed_at_a_step_of_a_swap_leaves_nothing(
    name: str, step: str, leftovers: Any, new_hosting: Callable[..., Any]
) -> None:
    process = new_hosting("<2", name, step)
    pids = json.loads(process.stdout.readline())
    assert len(leftovers.processes()) > len(pids)
    process.stdin.write("swap\n")
    process.stdin.flush()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    leftovers.check()
