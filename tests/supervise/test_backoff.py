"""How long a worker that died waits for its successor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from noodle_host import RestartPolicy
from noodle_host.supervise.backoff import RestartHistory, next_delay_s


def test_at_once_then_longer_then_never() -> None:
    policy = RestartPolicy(
        first_delay_s=0.1, factor=2.0, longest_delay_s=0.3, stable_s=10.0, quarantine_after=6
    )
    delays = [next_delay_s(policy, failures) for failures in range(1, 8)]
    assert delays == [0.0, 0.1, 0.2, 0.3, 0.3, None, None]


@given(st.floats(0, 10), st.floats(1, 4), st.floats(0, 60), st.integers(1, 20), st.integers(1, 40))
def test_delays_grow_up_to_the_longest(
    first: float, factor: float, longest: float, limit: int, failures: int
) -> None:
    policy = RestartPolicy(
        first_delay_s=first,
        factor=factor,
        longest_delay_s=longest,
        stable_s=1.0,
        quarantine_after=limit,
    )
    delay, later = next_delay_s(policy, failures), next_delay_s(policy, failures + 1)
    if delay is None:
        assert failures >= limit
        assert later is None
    else:
        assert 0 <= delay <= longest
        assert later is None or later >= delay


def test_a_worker_that_served_for_long_starts_anew() -> None:
    policy = RestartPolicy(stable_s=10.0)
    history = RestartHistory()
    history.record(policy, 1.0, "first")
    history.record(policy, 9.9, "second")
    assert (history.failures, history.reasons) == (2, ["first", "second"])
    history.record(policy, 10.0, "third")
    assert (history.failures, history.reasons) == (1, ["third"])
