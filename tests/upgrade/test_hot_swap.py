"""The hot swap engine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from noodle_host import (
    ComponentNotFoundError,
    Host,
    HotSwapEngine,
    HotSwapError,
    StateError,
    UpgradeOperation,
)
from noodle_host.supervise.swap import plan


def operation(version: str = "2.0.0", **parameters: Any) -> UpgradeOperation:
    return UpgradeOperation("voter", parameters={"target_version": version, **parameters})


def test_a_swap_is_made_and_told(host: Host) -> None:
    host.start("voter", "<2")
    host.call("voter", "vote")
    engine = HotSwapEngine(host)
    told: list[tuple[str, str, str, dict[str, Any]]] = []
    engine.add_callback(lambda *what: told.append(what))
    assert engine.active_swaps == {}
    assert engine.get_status() == "ready"
    assert engine.can_hot_swap("voter")
    wanted = operation()
    result = asyncio.run(engine.execute_swap(wanted))
    assert result.success, result
    assert result.integrity_check_passed
    assert (result.operation_id, result.component_name) == (wanted.operation_id, "voter")
    assert (result.from_version, result.to_version) == ("1.0.0", "2.0.0")
    assert result.execution_time > 0
    assert result.report is not None
    assert engine.active_swaps[wanted.operation_id]["status"] == "completed"
    assert host.call("voter", "read") == [2, 1]
    steps = [event.step for event in result.events]
    assert steps == [*plan("replicated", follows=False, bakes=False), "done"]
    times = [event.at_s for event in result.events]
    assert times == sorted(times)
    assert [details["step"] for *_, details in told if "step" in details] == steps
    assert {(what, name) for what, name, *_ in told} == {("hot_swap", "voter")}
    engine.reset()
    assert engine.active_swaps == {}


def test_a_component_that_is_not_there(host: Host) -> None:
    engine = HotSwapEngine(host)
    result = asyncio.run(engine.execute_swap(UpgradeOperation("nobody")))
    assert not result.success
    assert "Component not found" in result.error_message
    assert not engine.can_hot_swap("nobody")
    with pytest.raises(ComponentNotFoundError):
        asyncio.run(engine.prepare_swap("nobody", "1.0.0"))


def test_what_cannot_be_is_refused_before_it_begins(host: Host) -> None:
    host.start("voter", "<2")
    engine = HotSwapEngine(host)
    with pytest.raises(HotSwapError, match="running already"):
        asyncio.run(engine.prepare_swap("voter", "1.0.0"))
    result = asyncio.run(engine.execute_swap(operation("1.0.0")))
    assert (result.success, result.report, result.events) == (False, None, ())
    assert "running already" in result.error_message


def test_a_prepared_swap_is_executed_as_it_was_prepared(host: Host) -> None:
    host.start("voter", "<2")

    async def swap() -> None:
        engine = HotSwapEngine(host)
        context = await engine.prepare_swap("voter", bake=True)
        assert (context.from_version, context.to_version) == ("1.0.0", "2.0.0")
        assert (context.state_model, context.bake) == ("replicated", True)
        assert await asyncio.to_thread(host.call, "voter", "read") == [1, 0]
        result = await engine.execute_swap(context)
        assert result.success
        assert [event.step for event in result.events][-2:] == ["bake", "done"]
        back = await engine.execute_swap(operation("1.0.0"))
        assert back.report is not None
        assert back.report.state_bytes == 0

    asyncio.run(swap())
    assert host.call("voter", "read") == [1, 0]


def test_a_swap_is_cancelled_before_the_cut_and_not_after(host: Host, fifo: Any) -> None:
    host.start("voter", "<2")
    path: Path = fifo("busy")

    async def swap() -> None:
        engine = HotSwapEngine(host)
        # The old version is busy, so that its state cannot be written yet.
        busy = host.submit("voter", "wait_for", str(path))
        wanted = operation()
        reached = asyncio.Event()
        engine.add_callback(
            lambda _, __, ___, details: details.get("step") == "snapshot" and reached.set()
        )
        swapping = asyncio.create_task(engine.execute_swap(wanted))
        await reached.wait()
        assert engine.get_status() == "swapping"
        cancelling = asyncio.create_task(engine.cancel_swap(wanted.operation_id))
        os.close(os.open(path, os.O_WRONLY))
        assert await cancelling
        result = await swapping
        assert not result.success
        assert engine.active_swaps[wanted.operation_id]["status"] == "cancelled"
        assert await asyncio.wrap_future(busy) == 1
        assert not await engine.cancel_swap(wanted.operation_id)
        # Nothing of it is left in the way.
        again = await engine.execute_swap(operation())
        assert again.success, again

    asyncio.run(swap())
    assert host.call("voter", "read") == [2, 1]


def test_snapshots_of_what_has_a_state(host: Host) -> None:
    host.start("voter", "<2")
    host.start("desk", "<2")
    engine = HotSwapEngine(host)
    snapshot = asyncio.run(engine.create_snapshot("voter"))
    assert (snapshot.component_name, snapshot.version) == ("voter", "1.0.0")
    assert snapshot.snapshot_id
    assert snapshot.size_bytes > 0
    assert snapshot.created_at.tzinfo is not None
    with pytest.raises(StateError, match="keeps no state"):
        asyncio.run(engine.create_snapshot("desk"))
