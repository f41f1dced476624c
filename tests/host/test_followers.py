"""Standbys, shadows and canaries: workers that follow a leader."""

from __future__ import annotations

import collections
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from noodle_host import ConfigError, FollowerInfo, Host, HostError, HotSwapError, Role, StateError

_LONG_S = 20.0


def followers(host: Host) -> tuple[FollowerInfo, ...]:
    (info,) = [info for info in host.components() if info.name == "voter"]
    return info.seats[0].followers


def until(done: Callable[[], object]) -> None:
    limit = time.monotonic() + _LONG_S
    while not done():
        assert time.monotonic() < limit
        # Asking the host again is what there is to wait for it with.


def test_a_standby_takes_over_with_every_vote_and_another_takes_its_place(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter")
    for n in range(1, 6):
        assert host.call("voter", "vote") == n
    (standby,) = followers(host)
    assert standby.role is Role.STANDBY
    os.kill(host.call("voter", "pid"), signal.SIGKILL)
    assert host.call("voter", "vote", timeout=_LONG_S) == 6
    assert host.call("voter", "pid") == standby.worker.pid
    # The host hears of it a moment after the callers.
    until(
        lambda: (
            [
                (f.role, f.worker.state)
                for f in followers(host)
                if f.worker.pid != standby.worker.pid
            ]
            == [(Role.STANDBY, "standby")]
        )
    )
    # Nobody was started for the seat, and the next death is survived as well.
    assert host.components()[0].seats[0].restarts == 0
    os.kill(host.call("voter", "pid"), signal.SIGKILL)
    assert host.call("voter", "vote", timeout=_LONG_S) == 7


def test_a_standby_that_dies_is_replaced_and_nobody_notices(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter")
    (standby,) = followers(host)
    assert standby.worker.pid is not None
    os.kill(standby.worker.pid, signal.SIGKILL)
    assert host.call("voter", "vote") == 1
    until(lambda: [f.worker.pid for f in followers(host)] not in ([], [standby.worker.pid]))
    assert host.call("voter", "vote") == 2


def test_a_shadow_does_not_take_over_but_is_swapped_to_without_a_copy(host: Host, log: Any) -> None:
    host.start("voter", "<2")
    host.add_follower("voter", "2.0.0")
    assert [f.role for f in followers(host)] == [Role.SHADOW]
    host.call("voter", "vote")
    os.kill(host.call("voter", "pid"), signal.SIGKILL)
    assert host.call("voter", "read", timeout=_LONG_S) == [1, 1]
    report = host.swap("voter", "2.0.0")
    assert report.state_bytes == 0
    assert host.call("voter", "read") == [2, 1]
    assert followers(host) == ()


def test_a_shadow_that_answers_otherwise_is_dropped_and_the_log_names_the_call(
    host: Host, log: Any
) -> None:
    host.start("voter", "<2")
    host.add_follower("voter", "2.0.0")
    assert host.call("voter", "sign") == [1, 1]
    log.wait_for("command 1, sign(): its reply differs from the leader's")
    until(lambda: followers(host) == ())
    assert host.call("voter", "sign") == [1, 2]


def test_followers_are_removed_by_version_or_all(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter")
    host.add_follower("voter", "2.0.0")
    assert host.remove_followers("voter", "2.0.0") == 1
    assert [f.role for f in followers(host)] == [Role.STANDBY]
    assert host.remove_followers("voter") == 1
    assert host.remove_followers("voter") == 0
    assert host.call("voter", "vote") == 1


@pytest.mark.parametrize("name", ["desk", "ledger"])
def test_what_is_not_replicated_is_not_followed(host: Host, name: str) -> None:
    host.start(name, "<2")
    with pytest.raises(HotSwapError, match="only replicated components are followed"):
        host.add_follower(name)


# -- canary -------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0, 1_000, 5_000, 10_000])
def test_the_share_is_answered_by_the_follower_and_no_vote_is_counted_twice(
    host: Host, weight: int
) -> None:
    host.start("voter", "<2")
    host.add_follower("voter", "2.0.0", compare=False)
    host.set_weight("voter", "2.0.0", weight)
    versions: collections.Counter[int] = collections.Counter()
    for n in range(1, 401):
        version, votes = host.call("voter", "sign")
        assert votes == n
        versions[version] += 1
        # A query sees what was answered before, whoever answers it.
        assert host.call("voter", "read")[1] == n
    # The leader answers by itself where the follower is late, never the other way.
    assert versions[2] <= weight * 400 / 10_000 + 4
    if weight:
        assert versions[2] > 0
    else:
        assert versions[2] == 0


def test_a_key_belongs_to_the_share_or_does_not(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter", "2.0.0", compare=False)
    host.set_weight("voter", "2.0.0", 5_000)
    seen = collections.defaultdict(set)
    for n in range(200):
        seen[n % 20].add(host.call("voter", "sign", key=f"key {n % 20}")[0])
    # One that is the leader's is never the follower's.
    assert any(versions == {1} for versions in seen.values())
    assert any(2 in versions for versions in seen.values())


def test_a_follower_that_dies_with_its_share_leaves_every_call_answered(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter", "2.0.0", compare=False)
    host.set_weight("voter", "2.0.0", 10_000)
    calls = [host.submit("voter", "vote") for _ in range(50)]
    (shadow,) = followers(host)
    assert shadow.worker.pid is not None
    os.kill(shadow.worker.pid, signal.SIGKILL)
    calls += [host.submit("voter", "vote") for _ in range(50)]
    assert sorted(call.result(_LONG_S) for call in calls) == list(range(1, 101))


def test_a_follower_that_is_stopped_costs_patience_and_no_more(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter", "2.0.0", compare=False)
    host.set_weight("voter", "2.0.0", 10_000)
    (shadow,) = followers(host)
    assert shadow.worker.pid is not None
    os.kill(shadow.worker.pid, signal.SIGSTOP)
    try:
        assert [host.call("voter", "sign", timeout=_LONG_S) for _ in range(3)] == [
            [1, 1],
            [1, 2],
            [1, 3],
        ]
        assert host.call("voter", "read", timeout=_LONG_S) == [1, 3]
    finally:
        os.kill(shadow.worker.pid, signal.SIGCONT)
    # It catches up, and its late replies are nobody's.
    until(lambda: host.call("voter", "sign")[0] == 2)


def test_a_leader_that_dies_with_a_share_under_way_loses_no_vote(host: Host) -> None:
    host.start("voter", "<2")
    host.add_follower("voter")
    host.add_follower("voter", "2.0.0", compare=False)
    host.set_weight("voter", "2.0.0", 5_000)
    calls = [host.submit("voter", "vote") for _ in range(200)]
    os.kill(host.components()[0].seats[0].worker.pid, signal.SIGKILL)  # type: ignore[union-attr, arg-type]
    calls += [host.submit("voter", "vote") for _ in range(200)]
    assert sorted(call.result(_LONG_S) for call in calls) == list(range(1, 401))


@pytest.mark.parametrize("weight", [-1, 10_001, 0.5, True, "5%"])
def test_a_weight_is_a_number_of_basis_points(host: Host, weight: Any) -> None:
    host.start("voter", "<2")
    with pytest.raises(ConfigError, match="basis points"):
        host.set_weight("voter", "2.0.0", weight)


def test_a_weight_needs_a_follower(host: Host) -> None:
    host.start("voter", "<2")
    with pytest.raises(StateError, match="no worker of that version follows"):
        host.set_weight("voter", "2.0.0", 100)
    with pytest.raises(HostError, match=r"not running|not found"):
        host.set_weight("desk", "1.0.0", 100)
