"""Many swaps there and back under load, for each state model: nobody notices."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from noodle_host import Host

_SWAPS = 1000 if os.environ.get("NOODLE_HOST_FULL") == "1" else 25
# What was executed is part of the states: a long run must not make them large.
_PACE_S = 0.01 if _SWAPS > 25 else 0.0
#: Answers between two swaps.
_BETWEEN = 20
#: What a call may take in all of it, whatever else the machine does.
_LONGEST_S = 5.0


@pytest.mark.parametrize(
    ("name", "called", "bakes"),
    [
        ("adder", ["adder"], False),
        ("counter", ["counter"], False),
        ("kv", ["kv"], False),
        ("kv", ["kv"], True),
        ("kv", ["kv", "teller"], False),
        ("teller", ["kv", "teller"], False),
        ("teller", ["kv", "teller"], True),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else str(value),
)
def test_a_component_is_swapped_many_times_and_nobody_notices(
    name: str,
    called: list[str],
    bakes: bool,
    new_promise_host: Callable[..., Host],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    host = new_promise_host(*called)
    load = new_load(host, called, threads=2, tasks=1, seed=6, pace_s=_PACE_S)
    pauses_s = []
    with load.running():
        for number in range(_SWAPS):
            load.wait_for(_BETWEEN)
            version = "1.0.0" if number % 2 else "2.0.0"
            pauses_s.append(host.swap(name, version, bake=bakes).pause_s)
            assert host.call(name, "version") == version
        load.wait_for(_BETWEEN)
    operations = assert_kept(load, host)
    assert {operation.component for operation in operations} == set(called)
    longest_s = max((o.returned_at_ns - o.invoked_at_ns) / 1e9 for o in operations)
    pauses_s.sort()
    # With -rP.
    sys.stdout.write(
        f"{len(operations)} calls, the longest {1e3 * longest_s:.1f} ms; pauses: "
        f"median {1e3 * pauses_s[_SWAPS // 2]:.2f} ms, longest {1e3 * pauses_s[-1]:.2f} ms\n"
    )
    assert longest_s < _LONGEST_S
