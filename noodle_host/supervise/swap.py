"""A swap: another version takes a seat over, in the middle of traffic.

The plan of a swap is a list of steps, made from the state model alone (:func:`plan`);
:class:`Swap` takes them. Up to the cut it can be taken back by ending the new worker.
After it the old worker stands by until the new one serves: if the new one dies first,
the old one leads again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..errors import HostError, HotSwapError
from ..model import Role, SwapEvent
from ..registry.manifest import Manifest
from ..worker import messages
from .lifecycle import WorkerState
from .seat_keeper import SeatKeeper
from .state_copy import StateCopy
from .waiting import first_of
from .worker_process import WorkerProcess


class SwapStep(StrEnum):
    """What is done, in the order in which a plan may have it."""

    LOAD = "load"  #: start a worker, have it import and check the new version
    START = "start"  #: call its start hook
    SNAPSHOT = "snapshot"  #: have the old version's state written while it serves
    RESTORE = "restore"  #: have the new version take it over
    FOLLOW = "follow"  #: until it has executed what was executed meanwhile
    YIELD = "yield"  #: the cut: the old version stops, the new one reads on
    YIELD_WITH_STATE = "yield_with_state"  #: the cut, and the state is written after it
    LEAD = "lead"  #: until the new version serves
    RETIRE = "retire"  #: end the old worker
    BAKE = "bake"  #: or have it follow the new one


#: The steps that begin the cut: up to them a swap can be cancelled.
CUTS = (SwapStep.YIELD, SwapStep.YIELD_WITH_STATE)


def plan(model: str, *, follows: bool, bakes: bool) -> list[SwapStep]:
    """The steps of a swap, by state model. Pure.

    Args:
        follows: whether a worker of the new version follows already.
        bakes: whether the old worker is to follow the new one after the cut.
    """
    s = SwapStep
    end = s.BAKE if bakes and model == "replicated" else s.RETIRE
    if follows:
        return [s.FOLLOW, s.YIELD, s.LEAD, end]
    match model:
        case "replicated":
            return [s.LOAD, s.START, s.SNAPSHOT, s.RESTORE, s.FOLLOW, s.YIELD, s.LEAD, end]
        case "snapshot":
            return [s.LOAD, s.START, s.YIELD_WITH_STATE, s.RESTORE, s.LEAD, end]
    return [s.LOAD, s.START, s.YIELD, s.LEAD, end]


@dataclass(frozen=True)
class Cut:
    """What a swap cost: the seat was served by nobody for ``pause_s`` seconds."""

    pause_s: float
    total_s: float
    state_bytes: int
    old_pid: int | None
    new_pid: int | None


class Swap:
    """One swap of one seat. Everything runs on the supervisor's event loop."""

    def __init__(
        self,
        keeper: SeatKeeper,
        manifest: Manifest,
        *,
        bakes: bool,
        compares: bool,
        emit: Callable[[SwapEvent], None],
    ) -> None:
        self._keeper = keeper
        self._manifest = manifest
        self._bakes = bakes
        self._compares = compares
        self._emit = emit
        self._began_s = time.monotonic()
        old = keeper.seat.holder
        assert old is not None
        self._old = old
        self._new = keeper.follower_of(manifest.version)
        self._copy: StateCopy | None = None
        self._state_bytes = 0
        #: The step under way.
        self.step = SwapStep.LOAD

    async def run(self) -> Cut:
        """Take all steps, or take them back.

        Raises:
            HotSwapError: the old version serves on; why the new one does not.
        """
        follows = self._new is not None
        steps = plan(self._manifest.state.model, follows=follows, bakes=self._bakes)
        cut = next(i for i, step in enumerate(steps) if step in CUTS)
        try:
            await self._take(steps[:cut])
            # The order to yield cannot be taken back: from here on to the end, whoever
            # gives up waiting for it.
            await _to_the_end(self._take(steps[cut:]))
        except BaseException as error:
            await _to_the_end(self._take_back())
            if isinstance(error, HostError):
                raise self._failed(error) from error
            raise
        self._keeper.renew_standbys()
        self._tell("done")
        return self._cut()

    async def _take(self, steps: Sequence[SwapStep]) -> None:
        for step in steps:
            self.step = step
            self._tell(step)
            await getattr(self, f"_{step}")()

    def _tell(self, step: str) -> None:
        new = self._new
        self._emit(
            SwapEvent(
                self._manifest.name,
                self._keeper.seat.number,
                step,
                time.monotonic() - self._began_s,
                self._old.pid,
                None if new is None else new.pid,
            )
        )

    def _failed(self, error: HostError) -> HotSwapError:
        manifest = self._manifest
        return HotSwapError(
            f"Failed to swap component {manifest.name!r} from "
            f"{self._old.manifest.version} to {manifest.version}: {error.message}",
            component=manifest.name,
            version=manifest.version,
            worker=error.worker,
            phase=str(self.step),
            hint=error.hint or f"version {self._keeper.manifest.version} serves on",
        )

    def _cut(self) -> Cut:
        assert self._new is not None
        new, old = self._new, self._old
        pause_ns = 0
        if new.led is not None and old.yielded is not None:
            pause_ns = max(0, new.led.at_ns - old.yielded.at_ns)
        return Cut(
            pause_ns / 1e9,
            time.monotonic() - self._began_s,
            self._state_bytes,
            old.pid,
            new.pid,
        )

    @property
    def _candidate(self) -> WorkerProcess:
        assert self._new is not None
        return self._new

    # -- steps ----------------------------------------------------------------

    async def _load(self) -> None:
        self._new = await self._keeper.load(self._manifest)

    async def _start(self) -> None:
        await self._keeper.prepare(self._candidate, follows=False)

    async def _snapshot(self) -> None:
        keeper, new = self._keeper, self._candidate
        keeper.followers[new.number] = new
        copy = await keeper.copy_state(self._old, new)
        self._state_bytes = copy.size_bytes
        self._copy = copy

    async def _restore(self) -> None:
        assert self._copy is not None
        await self._keeper.prepare(self._candidate, self._copy, compares=self._compares)

    async def _follow(self) -> None:
        new = self._candidate
        await new.until_caught_up()
        if new.dropped:
            raise HotSwapError(f"the new version does not do what the old one does: {new.dropped}")
        self._check_alive(new)

    async def _yield(self) -> None:
        old, new = self._old, self._candidate
        self._keeper.introduce_followers(new)
        if self._bakes and self._keeper.seat.journal is not None:
            new.send(messages.Follow(old.number), old.bell.fds())
        old.kept, old.yielded = "", None
        old.send(messages.Yield(successor=new.number), new.bell.fds())

    async def _yield_with_state(self) -> None:
        self._old.kept, self._old.yielded = "", None
        self._copy = await self._keeper.yield_with_state(self._old, self._manifest.state.schema)
        self._state_bytes = self._copy.size_bytes

    async def _lead(self) -> None:
        old, new, keeper = self._old, self._candidate, self._keeper
        if self._copy is not None and keeper.seat.journal is None:
            self._copy.close()
            new.lead(None)
        await first_of(
            new.until(lambda: new.state in (WorkerState.SERVING, WorkerState.GONE)),
            old.until(lambda: old.kept or self._is_gone(old)),
        )
        if old.kept:
            raise HotSwapError(f"the old version keeps its seat: {old.kept}")
        if self._is_gone(old) and new.state is WorkerState.STANDBY:
            # It died with the baton in its hand, or had passed it on.
            new.lead(old)
        await new.until(lambda: new.state in (WorkerState.SERVING, WorkerState.GONE))
        self._check_alive(new)
        if self._copy is not None and keeper.seat.journal is not None:
            # Not before: it may be in the form of an older schema, and nobody knew whether
            # it can be taken over.
            keeper.keep_copy(self._copy, new)
            self._copy = None
        keeper.enthrone(new)

    async def _retire(self) -> None:
        # Its last words say when it stopped.
        old = self._old
        await old.until(lambda: old.yielded or self._is_gone(old))
        await self._keeper.dismiss(self._old)

    async def _bake(self) -> None:
        old = self._old
        await old.until(lambda: old.state in (WorkerState.STANDBY, WorkerState.GONE))
        self._keeper.adopt(old, Role.BAKE)

    # -- help -----------------------------------------------------------------

    @staticmethod
    def _is_gone(worker: WorkerProcess) -> bool:
        return worker.state is WorkerState.GONE

    def _check_alive(self, worker: WorkerProcess) -> None:
        if self._is_gone(worker):
            raise worker.failure or HotSwapError(f"the new worker died: {worker.how_it_ended()}")

    # -- taking it back ---------------------------------------------------------

    async def _take_back(self) -> None:
        """See that the old version serves, whatever was done."""
        old, new, keeper = self._old, self._new, self._keeper
        if new is not None and keeper.seat.holder is new:
            # It leads; what failed came after that.
            return
        if new is not None:
            await new.kill()
            keeper.forget(new)
            if old.state is not WorkerState.GONE:
                old.send(messages.Unfollow(new.number))
        if self._copy is not None:
            self._copy.close()
        # It may have yielded, or have the order to; it leads again after that.
        if self.step in (
            SwapStep.YIELD,
            SwapStep.YIELD_WITH_STATE,
            SwapStep.RESTORE,
            SwapStep.LEAD,
        ):
            if self._is_gone(old):
                return
            old.lead(new)
            # One that is still in its snapshot hook leads when it is out of it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(keeper.patience_s):
                    await old.until(
                        lambda: old.kept or old.state in (WorkerState.SERVING, WorkerState.GONE)
                    )


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work that must not be cut short, whoever is cancelled that waits for it."""
    task = asyncio.create_task(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()
