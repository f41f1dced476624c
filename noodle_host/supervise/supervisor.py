"""The supervisor: starts, keeps and stops components, on a thread of its own.

Whatever the embedder does with its threads, workers are watched. The data plane
does not pass through here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from ..config import HostConfig
from ..errors import (
    ComponentNotFoundError,
    ConfigError,
    HostClosedError,
    HostError,
    RequirementError,
    WorkerDied,
)
from ..model import ComponentInfo
from ..registry.manifest import Manifest
from ..registry.registry import RuntimeComponentRegistry
from ..router.bell import Doorbell
from ..router.channel import ChannelEnd
from ..router.life import DeathWatch
from ..router.route import even_shares
from ..worker import messages
from ..worker.spec import WorkerSpec, encode_spec
from .backoff import next_delay_s
from .component import Component, SeatRecord
from .fork_server import Spawner
from .lifecycle import WorkerState
from .switchboard import Switchboard
from .worker_process import WorkerProcess

T = TypeVar("T")
_LOG: Final = logging.getLogger("noodle_host.supervise")


class Supervisor:
    """Holds the event loop; its coroutines run there, :meth:`run` waits for them."""

    def __init__(
        self,
        config: HostConfig,
        registry: RuntimeComponentRegistry,
        spawner: Spawner,
        host_bell: Doorbell,
        salt: int,
        on_seat_closed: Callable[[int, HostError], None],
    ) -> None:
        self._config = config
        self._registry = registry
        self._spawner = spawner
        self._salt = salt
        self._on_seat_closed = on_seat_closed
        self._components: dict[str, Component] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.switchboard = Switchboard(host_bell, self._is_known)
        # Held open by the host alone: when it goes, the kernel kills the workers.
        self._lifeline_r, self._lifeline_w = os.pipe2(os.O_CLOEXEC)
        self._deaths = DeathWatch()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="noodle-host supervisor", daemon=True
        )
        self._thread.start()

    # -- from any thread ---------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the supervisor's loop and wait for its result."""
        return self.submit(work).result()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the supervisor's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def slot(self, component: str) -> int:
        return self.run(self._slot(component))

    async def _slot(self, component: str) -> int:
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
        self._loop.call_soon_threadsafe(self._end_corrupt, seat_number, what)

    def release_inherited(self) -> None:
        """In a forked child of the host: let go of what keeps workers alive."""
        os.close(self._lifeline_w)

    # -- starting ----------------------------------------------------------

    async def start(self, name: str, version: str | None, replicas: int) -> ComponentInfo:
        """Start a component and what it requires; wait until all serve."""
        if replicas < 1:
            raise ConfigError(
                f"replicas must be 1 or more, not {replicas}", component=name, phase="start"
            )
        running = self._component_versions()
        if name in running:
            return await self._already_running(name, version, replicas)
        order = self._registry.start_order(name, version, running)
        manifest = order[-1]
        if replicas > 1 and manifest.state.model != "stateless":
            raise ConfigError(
                f"it keeps a state ({manifest.state.model}): one worker, not {replicas} replicas",
                component=name,
                version=manifest.version,
                phase="start",
                hint="only stateless components can share their calls between workers",
            )
        await self._start_in_order(order, {name: replicas})
        return self._components[name].info()

    async def start_all(self, wanted: Mapping[str, str | None]) -> list[ComponentInfo]:
        """Start several components, one worker each, at once: all of them or none."""
        planned = self._component_versions()
        for name in wanted.keys() & planned.keys():
            await self._already_running(name, wanted[name], len(self._components[name].seats))
        order: list[Manifest] = []
        # Those with a wish for a version come first, so that what requires them sees it.
        for name in sorted(wanted, key=lambda name: wanted[name] is None):
            if name not in planned:
                order += self._registry.start_order(name, wanted[name], planned)
                planned.update({manifest.name: manifest.version for manifest in order})
            elif wanted[name] is not None:
                self._check_version(name, wanted[name], planned[name])
        await self._start_in_order(order, {})
        return [self._components[name].info() for name in wanted]

    async def _start_in_order(self, order: list[Manifest], replicas: Mapping[str, int]) -> None:
        fresh: list[Component] = []
        try:
            async with contextlib.AsyncExitStack() as held:
                # By name, whatever the order of starting: two starts cannot dead-lock.
                for locked in sorted(manifest.name for manifest in order):
                    await held.enter_async_context(self._lock(locked))
                for manifest in order:
                    if manifest.name not in self._components:
                        component = Component(manifest, self.switchboard.slot(manifest.name))
                        self._components[manifest.name] = component
                        fresh.append(component)
                for component in fresh:
                    for _ in range(replicas.get(component.name, 1)):
                        seat = self.switchboard.add_seat(component.name)
                        component.seats[seat.number] = SeatRecord(seat)
                await self._bring_up(fresh)
        except BaseException:
            await self._give_up(fresh)
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
    ) -> ComponentInfo:
        async with self._lock(name):
            component = self._components.get(name)
            if component is None:
                raise HostClosedError("it was stopped meanwhile", component=name, phase="start")
            here = component.manifest.version
            self._check_version(name, version, here)
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
        loads = {
            component.name: [
                self._loop.create_task(self._load(component, record))
                for record in component.seats.values()
            ]
            for component in components
        }
        try:
            for component in components:
                for load in loads[component.name]:
                    await self._lead(component, await load)
                component.state = "running"
                self._publish_route(component)
        finally:
            rest = [load for group in loads.values() for load in group if not load.done()]
            for load in rest:
                load.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
        for component in components:
            for record in component.seats.values():
                record.keeper = self._loop.create_task(self._keep(component, record))

    async def _load(self, component: Component, record: SeatRecord) -> WorkerProcess:
        manifest = component.manifest
        worker = WorkerProcess(manifest, record.seat.bell, self._on_request, self._deaths)
        spec = encode_spec(WorkerSpec(manifest, record.seat.number, self._salt))
        await worker.spawn(self._spawner, spec, self._lifeline_r, self.switchboard.routes_fd)
        record.seat.give_to(worker)
        await worker.reach(WorkerState.LOADED, self._startup_timeout_s(manifest), "load")
        return worker

    async def _lead(self, component: Component, worker: WorkerProcess) -> None:
        worker.lead()
        timeout_s = self._startup_timeout_s(component.manifest)
        await worker.reach(WorkerState.SERVING, timeout_s, "start")

    def _startup_timeout_s(self, manifest: Manifest) -> float:
        return manifest.budget.startup_timeout_s or self._config.startup_timeout_s

    def _publish_route(self, component: Component) -> None:
        shares = even_shares(list(component.seats))
        component.weights = {share.seat: share.weight for share in shares}
        self.switchboard.table.write(component.slot, shares)

    async def _give_up(self, components: list[Component]) -> None:
        for component in reversed(components):
            for record in component.seats.values():
                if record.seat.holder is not None:
                    await record.seat.holder.kill()
            await self._end(component)

    # -- keeping -----------------------------------------------------------

    async def _keep(self, component: Component, record: SeatRecord) -> None:
        """Wait for the holder's death, answer for it, put another in its place."""
        while True:
            worker = record.seat.holder
            assert worker is not None
            began_s = time.monotonic()
            await worker.gone.wait()
            how = worker.how_it_ended()
            _LOG.warning("%s (worker %s) died: %s", worker.label, worker.pid, how)
            component.state = "restarting"
            record.seat.holder = None
            self.switchboard.forget_caller(worker)
            died = self._died(worker, how)
            await self.switchboard.settle(record.seat, lambda _, error=died: error, died)  # type: ignore[misc]
            record.history.record(self._config.restart, time.monotonic() - began_s, how)
            if not await self._replace(component, record):
                return
            record.restarts += 1
            component.state = "running"

    async def _replace(self, component: Component, record: SeatRecord) -> bool:
        policy = self._config.restart
        while True:
            delay_s = next_delay_s(policy, record.history.failures)
            if delay_s is None:
                await self._quarantine(component, record)
                return False
            await asyncio.sleep(delay_s)
            try:
                worker = await self._load(component, record)
                await self._lead(component, worker)
            except HostError as error:
                _LOG.warning("%s could not be restarted: %s", component.name, error)
                record.seat.holder = None
                record.history.record(policy, 0.0, str(error))
            else:
                return True

    async def _quarantine(self, component: Component, record: SeatRecord) -> None:
        reasons = record.history.reasons[-3:]
        component.reason = (
            f"it failed {record.history.failures} times in a row; last: {'; '.join(reasons)}"
        )
        component.state = "quarantined"
        _LOG.error("%s is quarantined: %s", component.name, component.reason)
        error = HostClosedError(
            f"the component is quarantined: {component.reason}",
            component=component.name,
            version=component.manifest.version,
            hint="stop it, mend it, and start it again",
        )
        await self._close_seat(component, record, error)

    def _died(self, worker: WorkerProcess, how: str) -> WorkerDied:
        return WorkerDied(
            f"the worker died before it answered: {how}",
            component=worker.manifest.name,
            version=worker.manifest.version,
            worker=worker.pid,
            hint="the component is started again; whether the call took effect is not known",
        )

    # -- stopping ----------------------------------------------------------

    async def stop(self, name: str) -> None:
        """Stop a component in order: calls that were sent are answered."""
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
        component.state = "stopping"
        self.switchboard.table.write(component.slot, [])
        error = HostClosedError(
            "the component was stopped",
            component=component.name,
            version=component.manifest.version,
        )
        await asyncio.gather(
            *(self._end_seat(component, record, error) for record in component.seats.values())
        )
        self._components.pop(component.name, None)

    async def _end_seat(self, component: Component, record: SeatRecord, error: HostError) -> None:
        if record.keeper is not None:
            record.keeper.cancel()
        worker = record.seat.holder
        if worker is not None and worker.state is not WorkerState.GONE:
            worker.stop()
            try:
                async with asyncio.timeout(self._config.stop_timeout_s):
                    await worker.gone.wait()
            except TimeoutError:
                _LOG.warning("%s did not stop in time and is killed", worker.label)
                await worker.kill()
        if worker is not None:
            self.switchboard.forget_caller(worker)
        await self._close_seat(component, record, error)

    async def _close_seat(self, component: Component, record: SeatRecord, error: HostError) -> None:
        seat = record.seat
        seat.holder = None
        seat.close_channels()
        await self.switchboard.settle(seat, lambda _: error, error)
        self._on_seat_closed(seat.number, error)
        self.switchboard.remove_seat(seat)
        component.seats.pop(seat.number, None)
        if component.seats:
            self._publish_route(component)
        else:
            self.switchboard.table.write(component.slot, [])

    def close(self) -> None:
        """Stop everything, dependants first, and the thread."""
        try:
            self.run(self._close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._deaths.close()
            self._loop.close()
            self._spawner.close()
            os.close(self._lifeline_r)
            os.close(self._lifeline_w)

    async def _close(self) -> None:
        while self._components:
            needed = {name for c in self._components.values() for name in c.manifest.requires}
            leaves = [c for c in self._components.values() if c.name not in needed]
            # A cycle cannot have been started; if one is there, end it all the same.
            await asyncio.gather(*(self._end(c) for c in leaves or list(self._components.values())))
        self.switchboard.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        found: dict[int, str | None] = {}
        for record in component.seats.values():
            worker = record.seat.holder
            if worker is None or worker.pid is None:
                found[-record.seat.number] = f"no worker: {component.state}"
            else:
                found[worker.pid] = await worker.check_health(self._config.health_timeout_s)
        return found

    def _on_request(self, worker: WorkerProcess, message: messages.Message) -> None:
        if isinstance(message, messages.Corrupt):
            self._end_corrupt(message.seat, message.what)
        else:
            self.switchboard.answer(worker, message)

    def _end_corrupt(self, seat_number: int, what: str) -> None:
        worker = self.switchboard.holder(seat_number)
        if worker is not None:
            _LOG.error("%s wrote corrupt replies and is killed: %s", worker.label, what)
            self._ending.add(task := self._loop.create_task(worker.kill()))
            task.add_done_callback(self._ending.discard)

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
