"""The hot swap engine: swaps under the names that users of NoodleCore know."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ..errors import ComponentNotFoundError, HostError
from ..host import Host
from ..model import SwapEvent, SwapReport

#: ``callback(operation_type, component_name, status, details)``
Callback = Callable[[str, str, str, dict[str, Any]], object]

_OPERATION: Final = "hot_swap"


@dataclass(frozen=True)
class UpgradeOperation:
    """Something to be done to a component.

    ``parameters`` holds ``target_version``, and for a swap ``bake`` and ``compare``
    as in :meth:`Host.swap`.
    """

    component_name: str
    operation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    operation_type: str = _OPERATION
    parameters: dict[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 300.0
    retry_count: int = 3
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SwapContext:
    """A swap that was found possible, and not begun."""

    operation_id: str
    component_name: str
    from_version: str
    to_version: str
    state_model: str
    bake: bool = False
    compare: bool = True
    timeout_seconds: float = 300.0


@dataclass(frozen=True)
class SwapResult:
    """What came of a swap; ``execution_time`` is in seconds.

    ``report`` is None and ``error_message`` is set if it was not made.
    """

    operation_id: str
    success: bool
    component_name: str
    from_version: str
    to_version: str
    execution_time: float
    integrity_check_passed: bool = False
    error_message: str = ""
    report: SwapReport | None = None
    events: tuple[SwapEvent, ...] = ()


@dataclass(frozen=True)
class ComponentSnapshot:
    """A copy of a component's state that the host keeps; ``size_bytes`` of it."""

    snapshot_id: str
    component_name: str
    version: str
    created_at: datetime
    size_bytes: int


class HotSwapEngine:
    """Prepares, makes and cancels swaps of a host's components.

    Attributes:
        active_swaps: operation id -> ``status`` (``preparing``, ``executing``,
            ``completed``, ``failed`` or ``cancelled``), ``component``, ``step`` and
            ``at_s``, seconds since it began.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._callbacks: list[Callback] = []
        self._running: dict[str, asyncio.Task[SwapReport]] = {}
        self.active_swaps: dict[str, dict[str, Any]] = {}

    async def prepare_swap(
        self, component_name: str, new_version: str | None = None, **options: Any
    ) -> SwapContext:
        """Check that a swap can be made; begin nothing.

        Args:
            options: ``bake``, ``compare``, ``operation_id``, ``timeout_seconds``.

        Raises:
            ComponentNotFoundError: the component does not run, or has no such version.
            HotSwapError, RequirementError: the versions do not go together.
        """
        options.setdefault("operation_id", str(uuid.uuid4()))
        old, new = await self._host.acheck_swap(component_name, new_version)
        return SwapContext(
            component_name=component_name,
            from_version=old.version,
            to_version=new.version,
            state_model=new.state.model,
            **options,
        )

    async def execute_swap(self, operation: SwapContext | UpgradeOperation) -> SwapResult:
        """Make a swap; never raises what the swap raises, but says so in the result."""
        began_s = time.monotonic()
        name, operation_id = operation.component_name, operation.operation_id
        seen: list[SwapEvent] = []
        status = {"status": "preparing", "component": name, "step": "", "at_s": 0.0}
        self.active_swaps[operation_id] = status
        from_version = to_version = ""
        try:
            context = await self._context(operation)
            from_version, to_version = context.from_version, context.to_version
            self._tell(status, "executing", {"operation_id": operation_id})
            loop = asyncio.get_running_loop()

            def on_event(event: SwapEvent) -> None:
                loop.call_soon_threadsafe(self._on_event, status, seen, event)

            swap = self._host.aswap(
                name,
                f"=={to_version}",
                bake=context.bake,
                compare=context.compare,
                on_event=on_event,
            )
            task = self._running[operation_id] = asyncio.ensure_future(swap)
            async with asyncio.timeout(context.timeout_seconds):
                report = await task
            result = SwapResult(
                operation_id, True, name, from_version, to_version, 0.0, report=report
            )
            passed = await self.validate_swap_integrity(result)
            end = "completed"
            error = ""
        except HostError as failure:
            report, passed, end = None, False, "failed"
            error = str(failure)
            if isinstance(failure, ComponentNotFoundError):
                error = f"Component not found: {error}"
        except TimeoutError:
            report, passed, end = None, False, "failed"
            error = "the swap took too long and was taken back [HS_0002]"
        except asyncio.CancelledError:
            if operation_id not in self._running or not self._running[operation_id].cancelled():
                raise
            report, passed, end, error = None, False, "cancelled", "the swap was cancelled"
        finally:
            self._running.pop(operation_id, None)
        self._tell(status, end, {"operation_id": operation_id, "error": error})
        return SwapResult(
            operation_id,
            not error,
            name,
            from_version,
            to_version,
            time.monotonic() - began_s,
            passed,
            error,
            report,
            tuple(seen),
        )

    async def _context(self, operation: SwapContext | UpgradeOperation) -> SwapContext:
        if isinstance(operation, SwapContext):
            return operation
        parameters = dict(operation.parameters)
        return await self.prepare_swap(
            operation.component_name,
            parameters.pop("target_version", None) or parameters.pop("new_version", None),
            operation_id=operation.operation_id,
            timeout_seconds=operation.timeout_seconds,
            bake=bool(parameters.pop("bake", False)),
            compare=bool(parameters.pop("compare", True)),
        )

    async def cancel_swap(self, operation_id: str) -> bool:
        """Take a swap back that has not come to the cut; whether it was taken back."""
        if operation_id not in self._running:
            return False
        return await self._host.acancel_swap(self.active_swaps[operation_id]["component"])

    async def create_snapshot(self, component_name: str) -> ComponentSnapshot:
        """Have the state of a component written while it serves; the host keeps it.

        Raises:
            ComponentNotFoundError: it does not run.
            StateError: it keeps no state, or that cannot be written.
        """
        version, size_bytes = await self._host.asnapshot(component_name)
        return ComponentSnapshot(
            str(uuid.uuid4()), component_name, version, datetime.now(UTC), size_bytes
        )

    async def validate_swap_integrity(self, result: SwapResult) -> bool:
        """Whether the component now runs in the version that it was swapped to, in health."""
        infos = await asyncio.to_thread(self._host.components)
        for info in infos:
            if info.name == result.component_name and info.version == result.to_version:
                health = await asyncio.to_thread(self._host.health, info.name)
                return all(problem is None for problem in health.values())
        return False

    def can_hot_swap(self, component_name: str) -> bool:
        """Whether the component runs, so that it can be swapped."""
        return any(
            info.name == component_name and info.state == "running"
            for info in self._host.components()
        )

    def get_status(self) -> str:
        """``ready``, or ``swapping`` while a swap is under way."""
        return "swapping" if self._running else "ready"

    def add_callback(self, callback: Callback) -> None:
        """Call ``callback`` whenever a swap comes to another status or step."""
        self._callbacks.append(callback)

    def reset(self) -> None:
        """Forget the swaps that have ended."""
        for operation_id in list(self.active_swaps):
            if operation_id not in self._running:
                del self.active_swaps[operation_id]

    def _on_event(self, status: dict[str, Any], seen: list[SwapEvent], event: SwapEvent) -> None:
        seen.append(event)
        status["step"], status["at_s"] = event.step, event.at_s
        self._tell(status, status["status"], {"step": event.step, "at_s": event.at_s})

    def _tell(self, status: dict[str, Any], word: str, details: dict[str, Any]) -> None:
        status["status"] = word
        for callback in self._callbacks:
            callback(_OPERATION, status["component"], word, details)
