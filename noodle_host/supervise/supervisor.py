"""The supervisor: starts, keeps and stops components, on a thread of its own.

Whatever the embedder does with its threads, workers are watched. The data plane
does not pass through here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import functools
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from ..config import HostConfig
from ..errors import (
    ComponentNotFoundError,
    ConfigError,
    HostClosedError,
    HostError,
    HotSwapError,
    RequirementError,
    StartError,
)
from ..model import ComponentInfo, Role, SwapEvent
from ..registry.manifest import Manifest
from ..registry.registry import RuntimeComponentRegistry
from ..router.bell import Doorbell
from ..router.channel import ChannelEnd
from ..router.life import DeathWatch
from ..router.route import BASIS_POINTS, MAX_SEATS, even_shares
from ..worker import messages
from .component import Component
from .fork_server import Spawner
from .loop_thread import LoopThread
from .seat_keeper import CannotStayUpError, Means, SeatKeeper
from .swap import Cut
from .swapping import check_follower, check_swap, find_component, swap_component
from .switchboard import Switchboard
from .worker_process import WorkerProcess

T = TypeVar("T")
_LOG: Final = logging.getLogger("noodle_host.supervise")


class Supervisor:
    """Holds the event loop; its coroutines run there, :meth:`run` waits for them.

    It takes the spawner over. ``on_seat_closed`` is called when a seat of a component
    is gone for good and all calls to it are answered, ``on_seat_lost`` when the
    host's own channel to a seat is corrupt, so that nothing on it will be answered.
    """

    def __init__(
        self,
        config: HostConfig,
        registry: RuntimeComponentRegistry,
        spawner: Spawner,
        host_bell: Doorbell,
        salt: int,
        on_seat_closed: Callable[[str], None],
        on_seat_lost: Callable[[int, HostError], None],
    ) -> None:
        self._config = config
        self._registry = registry
        self._spawner = spawner
        self._salt = salt
        self._on_seat_closed = on_seat_closed
        self._components: dict[str, Component] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._in_a_hurry = False
        self._swapping: dict[str, asyncio.Task[Any]] = {}
        self._last: list[Callable[[], object]] = []
        with contextlib.ExitStack() as undo:
            undo.callback(spawner.close)
            self.switchboard = Switchboard(host_bell, self._is_known, on_seat_lost)
            undo.callback(self.switchboard.close)
            # Held open by the host alone: when it goes, the kernel kills the workers.
            self._lifeline_r, self._lifeline_w = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, self._lifeline_r)
            undo.callback(os.close, self._lifeline_w)
            self._deaths = DeathWatch()
            undo.callback(self._deaths.close)
            self.means = Means(
                config,
                spawner,
                self._deaths,
                self.switchboard,
                salt,
                self._lifeline_r,
                self._on_request,
            )
            self._loop = LoopThread("noodle-host supervisor", self._shut_down, self._let_go)
            self.buffers = self.switchboard.buffers.own(self._loop.call_soon)
            undo.pop_all()

    # -- from any thread ---------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the supervisor's loop and wait for its result.

        Raises:
            HostClosedError: nothing is taken on any more.
        """
        return self._loop.run(work)

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the supervisor's loop; raises what :meth:`run` raises."""
        return self._loop.submit(work)

    def slot(self, component: str) -> int:
        return self.run(self._slot(component))

    async def _slot(self, component: str) -> int:
        started = self._components.get(component)
        if started is not None and started.refusal is not None:
            raise copy.copy(started.refusal)
        return self.switchboard.slot(component)

    def connect(self, component: str, seat_number: int) -> ChannelEnd:
        """The host's end of a channel to a seat."""
        return self.run(self._connect(component, seat_number))

    async def _connect(self, component: str, seat_number: int) -> ChannelEnd:
        opened = self.switchboard.open_channel(seat_number, None)
        if opened is None:
            raise HostClosedError("the component is not running", component=component)
        seat, channel = opened
        return ChannelEnd(channel.segment, seat.bell, caller=True)

    def report_corrupt(self, seat_number: int, what: str) -> None:
        """Whoever holds that seat writes nonsense: end it."""
        self._loop.call_soon(functools.partial(self._end_corrupt, seat_number, what))

    def disown(self, error: HostError) -> None:
        """In a forked child of the host: let go of what keeps workers alive."""
        self._loop.disown(error)
        self._spawner.release_inherited()
        if self._lifeline_w >= 0:
            os.close(self._lifeline_w)
            self._lifeline_w = -1

    # -- starting ----------------------------------------------------------

    async def start(self, name: str, version: str | None, replicas: int) -> ComponentInfo:
        """Start a component and what it requires; wait until all serve."""
        if type(replicas) is not int or not 1 <= replicas <= MAX_SEATS:
            raise ConfigError(
                f"replicas must be a number from 1 to {MAX_SEATS}, not {replicas!r}",
                component=name,
                phase="start",
            )

        def plan(running: dict[str, str]) -> list[Manifest]:
            if name in running:
                return []
            order = self._registry.start_order(name, version, running)
            _check_replicas(order[-1], replicas)
            return order

        while True:
            if name in self._components:
                info = await self._already_running(name, version, replicas)
                if info is not None:
                    return info
            elif name in await self._start_planned(plan, {name: replicas}):
                return self._components[name].info()

    async def start_all(self, wanted: Mapping[str, str | None]) -> list[ComponentInfo]:
        """Start several components, one worker each, at once: all of them or none."""
        for name in wanted.keys() & self._components.keys():
            replicas = len(self._components[name].seats)
            await self._already_running(name, wanted[name], replicas)

        def plan(running: dict[str, str]) -> list[Manifest]:
            order: list[Manifest] = []
            # Those with a wish for a version come first, so that what requires them sees it.
            for name in sorted(wanted, key=lambda name: wanted[name] is None):
                if name not in running:
                    order += self._registry.start_order(name, wanted[name], running)
                    running.update({manifest.name: manifest.version for manifest in order})
                elif wanted[name] is not None:
                    self._check_version(name, wanted[name], running[name])
            return order

        await self._start_planned(plan, dict.fromkeys(wanted, 1))
        return [self._components[name].info() for name in wanted]

    async def _start_planned(
        self,
        plan: Callable[[dict[str, str]], list[Manifest]],
        replicas: Mapping[str, int],
    ) -> set[str]:
        """Start what is to be started given what runs; return the names.

        ``replicas`` has everything that is wanted; what else is started gets one.
        """
        while True:
            order = plan(self._component_versions())
            # What is wanted, and what that requires, stays as it is meanwhile.
            names = {required for manifest in order for required in manifest.requires}
            names |= replicas.keys() | {manifest.name for manifest in order}
            async with contextlib.AsyncExitStack() as held:
                # By name, whatever the order of starting: two starts cannot dead-lock.
                for locked in sorted(names):
                    await held.enter_async_context(self._lock(locked))
                if plan(self._component_versions()) == order:
                    await self._start_in_order(order, replicas)
                    return {manifest.name for manifest in order}

    async def _start_in_order(self, order: list[Manifest], replicas: Mapping[str, int]) -> None:
        fresh: list[Component] = []
        try:
            for manifest in order:
                component = Component(manifest, self.switchboard.slot(manifest.name))
                self._components[manifest.name] = component
                fresh.append(component)
                for _ in range(replicas.get(component.name, 1)):
                    seat = self.switchboard.add_seat(component.name)
                    component.seats[seat.number] = SeatKeeper(manifest, seat, self.means)
            await self._bring_up(fresh)
        except BaseException as error:
            # To its end, also if nobody waits for it any more.
            await self._loop.to_the_end(self._give_up(fresh))
            if isinstance(error, OSError):
                raise StartError(f"the host has no means left: {error}", phase="start") from error
            raise

    def _check_version(self, name: str, wanted: str | None, here: str) -> None:
        if wanted is not None and self._registry.manifest(name, wanted).version != here:
            raise RequirementError(
                f"version {here} is running, not {wanted}",
                component=name,
                version=here,
                phase="start",
                hint="stop it first, or upgrade it",
            )

    async def _already_running(
        self, name: str, version: str | None, replicas: int
    ) -> ComponentInfo | None:
        """Check that it runs as it is wanted; None if it has gone meanwhile."""
        async with self._lock(name):
            component = self._components.get(name)
            if component is None:
                return None
            here = component.manifest.version
            self._check_version(name, version, here)
            if component.refusal is not None:
                raise copy.copy(component.refusal)
            if len(component.seats) != replicas:
                raise RequirementError(
                    f"it runs with {len(component.seats)} replicas, not {replicas}",
                    component=name,
                    version=here,
                    phase="start",
                    hint="stop it first",
                )
            return component.info()

    async def _bring_up(self, components: list[Component]) -> None:
        """Load all at once, which takes the time; start in dependency order."""
        try:
            # The first failure ends all of it, wherever it comes from.
            async with asyncio.TaskGroup() as group:
                loads = [
                    (component, keeper, group.create_task(keeper.load(component.manifest)))
                    for component in components
                    for keeper in component.seats.values()
                ]
                for component in components:
                    for owner, keeper, load in loads:
                        if owner is component:
                            worker = await load
                            await keeper.prepare(worker)
                            await keeper.lead(worker)
                            work = self._keep(component, keeper)
                            keeper.task = asyncio.create_task(work)
                    component.has_started = True
                    self._publish_route(component)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__

    def _publish_route(self, component: Component) -> None:
        shares = [] if component.is_ending else even_shares(list(component.seats))
        component.weights = {share.seat: share.weight for share in shares}
        self.switchboard.table.write(component.slot, shares)

    async def _give_up(self, components: list[Component]) -> None:
        for component in reversed(components):
            await self._end(component)

    # -- keeping -----------------------------------------------------------

    async def _keep(self, component: Component, keeper: SeatKeeper) -> None:
        try:
            await keeper.keep()
        except CannotStayUpError:
            await self._quarantine(component, keeper)
        except Exception as error:
            # Whatever it is, those who wait must not wait for ever.
            _LOG.exception("%s cannot be looked after any more", component.name)
            keeper.history.reasons.append(f"{type(error).__name__}: {error}")
            await self._quarantine(component, keeper)

    async def _quarantine(self, component: Component, keeper: SeatKeeper) -> None:
        reasons = "; ".join(keeper.history.reasons[-3:])
        reason = f"it failed {keeper.history.failures} times in a row; last: {reasons}"
        component.quarantined.append(reason)
        error = HostClosedError(
            f"the component is quarantined: {reason}",
            component=component.name,
            version=component.manifest.version,
            hint="stop it, mend it, and start it again",
        )
        _LOG.error("%s", error)
        if len(component.seats) == 1:
            component.refusal = error
        await self._close_seat(component, keeper, error)

    # -- swapping ----------------------------------------------------------

    async def swap(
        self,
        name: str,
        version: str | None,
        *,
        bakes: bool,
        compares: bool,
        emit: Callable[[SwapEvent], None],
    ) -> list[Cut]:
        """Have another version serve a component; raises HotSwapError and others."""
        component = find_component(self._components, name)
        if name in self._swapping:
            raise HotSwapError(
                "another swap of it is under way",
                code="HS_0001",
                component=name,
                hint="wait for that, or cancel it",
            )
        manifest = self._registry.manifest(name, version)
        task = asyncio.current_task()
        assert task is not None
        self._swapping[name] = task
        try:
            async with asyncio.timeout(self._config.swap_timeout_s), self._lock(name):
                await self.check_swap(name, version)
                return await swap_component(
                    component, manifest, bakes=bakes, compares=compares, emit=emit
                )
        except TimeoutError:
            raise HotSwapError(
                f"it was not done within {self._config.swap_timeout_s:g} s",
                code="HS_0002",
                component=name,
                version=manifest.version,
                hint="allow more time (swap_timeout_s), or swap when there is less to do",
            ) from None
        finally:
            self._swapping.pop(name, None)
            self._on_seat_closed(name)

    async def cancel_swap(self, name: str) -> bool:
        """Take back the swap of a component; False if there is none, or it was made."""
        task = self._swapping.get(name)
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    async def check_swap(self, name: str, version: str | None) -> tuple[Manifest, Manifest]:
        """The manifests of what runs and of what it can be swapped for."""
        component = find_component(self._components, name)
        manifest = self._registry.manifest(name, version)
        running = {c.name: c.manifest for c in self._components.values()}
        check_swap(component.manifest, manifest, running)
        return component.manifest, manifest

    async def snapshot(self, name: str) -> tuple[str, int]:
        """Have a component's state written, and keep it; return version and size."""
        component = find_component(self._components, name)
        size_bytes = 0
        for keeper in component.seats.values():
            size_bytes += await keeper.take_copy()
        return component.manifest.version, size_bytes

    async def add_follower(self, name: str, version: str | None, *, compares: bool) -> None:
        """Have another worker follow a component's leader."""
        component = find_component(self._components, name)
        async with self._lock(name):
            manifest = component.manifest
            if version is not None:
                manifest = self._registry.manifest(name, version)
            role = Role.STANDBY if manifest == component.manifest else Role.SHADOW
            check_follower(component.manifest, manifest)
            for keeper in component.seats.values():
                await keeper.add_follower(manifest, role, compares=compares)

    async def set_weight(self, name: str, version: str, basis_points: int) -> None:
        """Let those that follow in a version supply so many of the replies."""
        if type(basis_points) is not int or not 0 <= basis_points <= BASIS_POINTS:
            raise ConfigError(
                f"a weight is a number of basis points from 0 to {BASIS_POINTS}, "
                f"not {basis_points!r}",
                component=name,
                phase="set_weight",
            )
        component = find_component(self._components, name)
        wanted = self._registry.manifest(name, version).version
        for keeper in component.seats.values():
            await keeper.set_weight(wanted, basis_points)

    async def remove_followers(self, name: str, version: str | None) -> int:
        """End those that follow, of one version or of all; return how many."""
        component = find_component(self._components, name)
        async with self._lock(name):
            wanted = None if version is None else self._registry.manifest(name, version).version
            ended = 0
            for keeper in component.seats.values():
                async with keeper.lock:
                    for follower in list(keeper.followers.values()):
                        if wanted in (None, follower.manifest.version):
                            await keeper.dismiss(follower)
                            ended += 1
            return ended

    # -- stopping ----------------------------------------------------------

    async def stop(self, name: str) -> None:
        """Stop a component in order: calls that were sent are answered."""
        await self._loop.to_the_end(self._stop(name))

    async def _stop(self, name: str) -> None:
        async with self._lock(name):
            component = self._components.get(name)
            if component is None:
                raise ComponentNotFoundError(
                    f"Component {name!r} is not running", component=name, phase="stop"
                )
            needing = [c for c in self._components.values() if name in c.manifest.requires]
            if needing:
                raise RequirementError(
                    f"{needing[0].manifest} requires it",
                    component=name,
                    phase="stop",
                    hint=f"stop {needing[0].name} first",
                )
            await self._end(component)

    async def _end(self, component: Component) -> None:
        component.is_ending = True
        self.switchboard.table.write(component.slot, [])
        error = HostClosedError(
            "the component was stopped",
            component=component.name,
            version=component.manifest.version,
        )
        try:
            await asyncio.gather(
                *(
                    self._end_seat(component, keeper, error)
                    for keeper in list(component.seats.values())
                )
            )
        finally:
            self._components.pop(component.name, None)

    async def _end_seat(self, component: Component, keeper: SeatKeeper, error: HostError) -> None:
        await keeper.end(in_order=not self._in_a_hurry)
        await self._close_seat(component, keeper, error)

    async def _close_seat(self, component: Component, keeper: SeatKeeper, error: HostError) -> None:
        seat = keeper.seat
        seat.holder = None
        component.seats.pop(seat.number, None)
        self._publish_route(component)
        seat.close_channels()
        await self.switchboard.settle(seat, error)
        self._on_seat_closed(component.name)
        self.switchboard.remove_seat(seat)

    # -- the end -----------------------------------------------------------

    def close(self) -> None:
        """Stop everything, dependants first, and the thread; may be called again."""
        self._loop.refuse(HostClosedError("the host is closed"))
        try:
            self._loop.join()
        except BaseException:
            # Ctrl-C: no time for an ordered stop.
            self._loop.call_soon(self._kill_all)
            raise

    def abandon(self, *last: Callable[[], object]) -> None:
        """Kill everything, without waiting for it; may be called from a finalizer.

        ``last`` is called at the end, on the supervisor's thread.
        """
        self._last += last
        self._loop.refuse(HostClosedError("the host was dropped"))
        self._loop.call_soon(self._kill_all)

    def _kill_all(self) -> None:
        self._in_a_hurry = True
        for component in self._components.values():
            for keeper in component.seats.values():
                for member in keeper.seat.members:
                    if member.child is not None:
                        member.child.kill()

    async def _shut_down(self) -> None:
        while self._components:
            needed = {name for c in self._components.values() for name in c.manifest.requires}
            leaves = [c for c in self._components.values() if c.name not in needed]
            # A cycle cannot have been started; if one is there, end it all the same.
            await asyncio.gather(*(self._end(c) for c in leaves or list(self._components.values())))
        self.switchboard.close()

    def _let_go(self) -> None:
        self._deaths.close()
        self._spawner.close()
        os.close(self._lifeline_r)
        # A child that is forked now must not close another's.
        lifeline_w, self._lifeline_w = self._lifeline_w, -1
        os.close(lifeline_w)
        for step in self._last:
            step()

    # -- looking -----------------------------------------------------------

    async def info(self) -> list[ComponentInfo]:
        return [component.info() for component in self._components.values()]

    async def health(self, name: str) -> dict[int, str | None]:
        """Worker process id -> None or what is wrong."""
        component = self._components.get(name)
        if component is None:
            raise ComponentNotFoundError(
                f"Component {name!r} is not running", component=name, phase="health"
            )
        timeout_s = self._config.health_timeout_s

        async def ask(keeper: SeatKeeper) -> tuple[int, str | None]:
            worker = keeper.seat.holder
            if worker is None or worker.pid is None:
                return -keeper.seat.number, f"no worker: {component.state}"
            return worker.pid, await worker.check_health(timeout_s)

        return dict(await asyncio.gather(*map(ask, component.seats.values())))

    def _on_request(self, worker: WorkerProcess, message: messages.Message) -> None:
        match message:
            case messages.Corrupt(seat_number, what):
                self._end_corrupt(seat_number, what)
            case messages.CorruptCaller(channel, what):
                self.switchboard.distrust_number(worker, channel, what)
            case messages.WantCheckpoint():
                self._keeper(worker).want_checkpoint()
            case messages.Dropped() | messages.Diverged():
                self._keeper(worker).hear(worker, message)
            case _:
                self.switchboard.answer(worker, message)

    def _keeper(self, worker: WorkerProcess) -> SeatKeeper:
        return self._components[worker.manifest.name].seats[worker.seat.number]

    def _end_corrupt(self, seat_number: int, what: str) -> None:
        worker = self.switchboard.holder(seat_number)
        if worker is not None and worker.child is not None:
            _LOG.error("%s wrote corrupt replies and is killed: %s", worker.label, what)
            worker.child.kill()

    def _is_known(self, name: str) -> bool:
        if name in self._components:
            return True
        try:
            return bool(self._registry.versions(name))
        except HostError:
            return False

    def _component_versions(self) -> dict[str, str]:
        return {name: c.manifest.version for name, c in self._components.items()}

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def _check_replicas(manifest: Manifest, replicas: int) -> None:
    if replicas > 1 and manifest.state.model != "stateless":
        raise ConfigError(
            f"it keeps a state ({manifest.state.model}): one worker, not {replicas} replicas",
            component=manifest.name,
            version=manifest.version,
            phase="start",
            hint="only stateless components can share their calls between workers",
        )
