"""The load alone, without a swap: every promise is kept, and everything was really called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

#: Answers to wait for, for each component that is called: about a second.
_ANSWERS = 4000


@pytest.mark.parametrize("version", ["<2", ">=2"])
@pytest.mark.parametrize("name", ["kv", "journal", "counter", "adder", "teller", "ticker"])
def test_a_component_keeps_the_promises_under_load(
    name: str,
    version: str,
    new_promise_host: Callable[..., Any],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    host = new_promise_host(name, version=version)
    load = new_load(host, [name], seed=1)
    load.start()
    load.wait_for(_ANSWERS)
    operations = assert_kept(load, host)
    assert len(operations) >= _ANSWERS
    callers = Counter(operation.caller.rstrip("0123456789") for operation in operations)
    assert callers.keys() == {"thread", "task"} | ({"pipe"} if name != "ticker" else set())
    assert host.call(name, "version") == ("1.0.0" if version == "<2" else "2.0.0")


def test_all_components_together_keep_the_promises_under_load(
    new_promise_host: Callable[..., Any],
    new_load: Callable[..., Any],
    assert_kept: Callable[..., Any],
) -> None:
    host = new_promise_host()
    load = new_load(host)
    with load.running():
        load.wait_for(2 * _ANSWERS)
    operations = assert_kept(load, host)
    methods = {(operation.component, operation.method) for operation in operations}
    assert methods >= {
        ("kv", "put"),
        ("kv", "add"),
        ("kv", "delete"),
        ("kv", "get"),
        ("journal", "append"),
        ("journal", "items"),
        ("counter", "add"),
        ("counter", "total"),
        ("adder", "add"),
        ("teller", "transfer"),
        ("ticker", "ticks"),
        ("ticker", "position"),
    }
