"""The checker: it believes every correct history, and finds every fault."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from harness.checker import violations
from harness.faults import FAULTS
from harness.load import COMPONENTS
from harness.register import Access, apply, unexplained
from harness.simulator import Simulation, load_class
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

_SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def classes() -> dict[str, Any]:
    return {name: load_class(name, "1.0.0") for name in COMPONENTS}


@given(seed=_SEEDS, wanted=st.sets(st.sampled_from(COMPONENTS), min_size=1))
@settings(max_examples=60, deadline=None)
def test_a_correct_history_has_no_violation(
    classes: dict[str, Any], seed: int, wanted: set[str]
) -> None:
    simulation = Simulation(seed, classes, tuple(sorted(wanted)))
    operations, final = simulation.run()
    assert violations(operations, final) == []
    assert len(operations) == 90
    # Without the states, what is left must still be explained.
    assert violations(operations, {}) == []


@given(seed=_SEEDS, share=st.floats(0.05, 0.5))
@settings(max_examples=60, deadline=None)
def test_calls_that_end_in_an_error_may_have_been_executed_or_not(
    classes: dict[str, Any], seed: int, share: float
) -> None:
    simulation = Simulation(seed, classes, COMPONENTS, calls=60, error_share=share)
    operations, final = simulation.run()
    assert any(operation.error for operation in operations)
    assert violations(operations, final, errors_are_allowed=True) == []


@given(seed=_SEEDS)
@settings(max_examples=60, deadline=None)
def test_calls_without_an_answer_are_believed_without_a_state(
    classes: dict[str, Any], seed: int
) -> None:
    simulation = Simulation(seed, classes, COMPONENTS, calls=40, error_share=0.1)
    operations, _ = simulation.run()
    assert violations(operations, {}, errors_are_allowed=True) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@given(seed=_SEEDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_fault_is_found(classes: dict[str, Any], fault: type[Simulation], seed: int) -> None:
    share = 0.3 if fault.__name__ == "UnacknowledgedTwice" else 0.0
    simulation = fault(seed, classes, FAULTS[fault], error_share=share)
    operations, final = simulation.run()
    assume(simulation.struck)
    assert violations(operations, final, errors_are_allowed=share > 0)


# -- registers, against all orders there are ----------------------------------------------


def _some_order_explains(accesses: Sequence[Access]) -> bool:
    """Try every order of every subset that holds what is known to have happened."""
    certain = [a for a in accesses if a.is_known]
    doubtful = [a for a in accesses if not a.is_known]
    for size in range(len(doubtful) + 1):
        for chosen in itertools.combinations(doubtful, size):
            for order in itertools.permutations([*certain, *chosen]):
                if _is_allowed(order) and _gives_its_results(order):
                    return True
    return False


def _is_allowed(order: Sequence[Access]) -> bool:
    for later, earlier in itertools.combinations(reversed(order), 2):
        if earlier.caller == later.caller and earlier.number > later.number:
            return False
        if later.returned_at_ns is not None and later.returned_at_ns < earlier.invoked_at_ns:
            return False
    return True


def _gives_its_results(order: Sequence[Access]) -> bool:
    value = None
    for access in order:
        value, result = apply(access.method, access.argument, value)
        if access.is_known and result != access.result:
            return False
    return True


@st.composite
def _accesses(draw: st.DrawFn) -> list[Access]:
    """Up to five accesses with few values, so that many are wrong and many are right."""
    small = st.integers(0, 3)
    value = st.none() | small
    made = []
    numbers = {"a": 0, "b": 0, "c": 0}
    times = {"a": 0, "b": 0, "c": 0}
    for _ in range(draw(st.integers(1, 5))):
        caller = draw(st.sampled_from("abc"))
        # Calls of one caller are invoked in order, and may overlap.
        invoked = times[caller] = times[caller] + 1 + draw(st.integers(0, 4))
        method = draw(st.sampled_from(("put", "put", "add", "get", "get", "delete")))
        is_open = draw(st.integers(0, 3)) == 0
        happened = is_open and draw(st.booleans())
        made.append(
            Access(
                caller,
                numbers[caller],
                method,
                draw(small) if method in ("put", "add") else None,
                draw(small if method == "add" else value) if happened or not is_open else None,
                invoked,
                None if is_open else invoked + 1 + draw(st.integers(0, 6)),
                happened=happened,
            )
        )
        numbers[caller] += 1
    return made


@given(_accesses())
@settings(max_examples=1500, deadline=None)
def test_a_register_is_judged_as_by_trying_all_orders(accesses: list[Access]) -> None:
    assert (unexplained(accesses) is None) == _some_order_explains(accesses)


@st.composite
def _explained_accesses(draw: st.DrawFn) -> list[Access]:
    """Up to six accesses with an order that explains them, most often a narrow one."""
    value = None
    made = []
    for number in range(draw(st.integers(1, 6))):
        at = 10 * number
        method = draw(st.sampled_from(("put", "add", "get", "delete")))
        argument = draw(st.integers(0, 3)) if method in ("put", "add") else None
        value, result = apply(method, argument, value)
        open_ended = draw(st.integers(0, 3)) == 0
        made.append(
            Access(
                draw(st.sampled_from("abc")),
                number,
                method,
                argument,
                None if open_ended else result,
                at - draw(st.integers(0, 25)),
                None if open_ended else at + draw(st.integers(0, 25)),
            )
        )
    # A caller invokes in the order of its numbers.
    for earlier, later in itertools.combinations(made, 2):
        assume(earlier.caller != later.caller or earlier.invoked_at_ns < later.invoked_at_ns)
    return made


@given(_explained_accesses())
@settings(max_examples=300, deadline=None)
def test_a_register_that_can_be_explained_is(accesses: list[Access]) -> None:
    assert unexplained(accesses) is None


def test_many_calls_without_an_answer_are_looked_through() -> None:
    lost = [Access(f"x{n}", 0, "put", n, None, 0, None) for n in range(300)]
    reads = [Access("a", n, "get", None, n, 10 * n + 1, 10 * n + 5) for n in range(300)]
    assert unexplained([*lost, *reads]) is None
    again = Access("b", 0, "get", None, 7, 5000, 5001, "the last read")
    assert unexplained([*lost, *reads, again]) is again
