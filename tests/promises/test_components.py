"""The components of this folder: both versions do the same, also when they take turns."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from harness.checker import expected_items, violations
from harness.history import Operation
from harness.load import COMPONENTS
from harness.simulator import SimulatedContext, Simulation, load_class
from hypothesis import given, settings
from hypothesis import strategies as st

from hookspecs import SAFE_POINT

Classes = dict[str, tuple[Any, Any]]


@pytest.fixture(scope="module")
def both() -> Classes:
    """Component -> its classes of schema 1 and 2."""
    return {name: (load_class(name, "1.0.0"), load_class(name, "2.0.0")) for name in COMPONENTS}


class Swapping(Simulation):
    """Before some calls the component's state moves to the other version."""

    def __init__(self, seed: int, both: Classes, components: tuple[str, ...]) -> None:
        super().__init__(seed, {name: first for name, (first, _) in both.items()}, components)
        self.both = both
        self.schemas = dict.fromkeys(both, 1)

    def execute(self, operation: Operation) -> Any:
        # The teller has no call under way when it is about to execute one.
        if self.random.random() < 0.2:
            self.swap(operation.component)
        return super().execute(operation)

    def swap(self, component: str) -> None:
        schema = self.schemas[component]
        self.schemas[component] = 3 - schema
        old = self.instances[component]
        new = self.both[component][2 - schema]()
        new.start(SimulatedContext(self))
        if component != "adder":
            able = old if schema == 2 else new
            state = copy.deepcopy(old.snapshot())
            new.restore(able.migrate(state, schema, 3 - schema))
        self.instances[component] = new


@given(seed=st.integers(0, 2**32), first=st.sets(st.sampled_from(COMPONENTS), min_size=1))
@settings(max_examples=60, deadline=None)
def test_no_promise_is_broken_by_versions_that_take_turns(
    both: Classes, seed: int, first: set[str]
) -> None:
    operations, final = Swapping(seed, both, tuple(sorted(first))).run()
    assert violations(operations, final) == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_state_that_goes_up_and_down_is_the_same(both: Classes, seed: int) -> None:
    simulation = Simulation(seed, {name: first for name, (first, _) in both.items()}, COMPONENTS)
    simulation.run()
    for name, (_, second) in both.items():
        if name == "adder":
            continue
        state = copy.deepcopy(simulation.instances[name].snapshot())
        up = second().migrate(copy.deepcopy(state), 1, 2)
        assert up != state or not state
        assert second().migrate(copy.deepcopy(up), 2, 1) == state


@pytest.mark.parametrize("name", [name for name in COMPONENTS if name != "adder"])
def test_a_schema_that_nobody_knows_is_refused(both: Classes, name: str) -> None:
    instance = both[name][1]()
    with pytest.raises(ValueError, match="no way from schema 1 to 3"):
        instance.migrate(instance.snapshot(), 1, 3)


@given(turns=st.lists(st.integers(0, 9), max_size=8), n=st.integers(0, 20))
@settings(deadline=None)
def test_a_stream_goes_on_where_the_other_version_was(
    both: Classes, turns: list[int], n: int
) -> None:
    simulation = Swapping(0, both, ("ticker",))
    sent: list[Any] = []
    for steps in [*turns, 2 * n + 2]:
        stream = simulation.instances["ticker"].ticks("stream", n)
        # It is swapped at a safe point or between two items, whichever comes.
        for _, item in zip(range(steps), stream, strict=False):
            if item is not SAFE_POINT:
                sent.append(item)
        simulation.swap("ticker")
    assert sent == expected_items("stream", n)
    assert simulation.instances["ticker"].position("stream") == n
