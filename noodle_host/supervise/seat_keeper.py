"""The keeper of a seat: starts workers for it, replaces who dies, takes checkpoints."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ..config import HostConfig
from ..errors import HostError, StartError, StateError
from ..model import FollowerInfo, Role
from ..registry.manifest import Manifest
from ..router.journal import Journal
from ..router.life import DeathWatch
from ..worker import messages
from ..worker.spec import WorkerSpec, encode_spec
from .backoff import RestartHistory, next_delay_s
from .fork_server import Spawner
from .lifecycle import WorkerState
from .seat import Seat
from .state_copy import StateCopy, receive_copy
from .switchboard import Switchboard
from .waiting import first_of
from .worker_process import WorkerProcess

_LOG: Final = logging.getLogger("noodle_host.supervise")


@dataclass(frozen=True)
class Means:
    """What workers are made with; one for all seats of a host."""

    config: HostConfig
    spawner: Spawner
    deaths: DeathWatch
    switchboard: Switchboard
    salt: int
    lifeline_fd: int
    on_request: Callable[[WorkerProcess, messages.Message], None]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    #: For tests: (component, version) -> what its next worker does to itself at which step.
    traps: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)


class CannotStayUpError(Exception):
    """The seat was given up: so many failures in a row."""


class SeatKeeper:
    """One seat and its workers. Everything runs on the supervisor's event loop."""

    def __init__(self, manifest: Manifest, seat: Seat, means: Means) -> None:
        #: The version that the seat is served with.
        self.manifest = manifest
        self.seat = seat
        self.history = RestartHistory()
        self.restarts = 0
        self.task: asyncio.Task[None] | None = None
        #: Held by whoever changes who leads.
        self.lock = asyncio.Lock()
        #: Those that follow the leader, by number.
        self.followers: dict[int, WorkerProcess] = {}
        self._means = means
        self._enthroned = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._checkpoint: StateCopy | None = None
        self._checkpointing: asyncio.Task[None] | None = None
        if manifest.state.model == "replicated":
            seat.journal = Journal.create(f"noodle-journal-{seat.component}")

    @property
    def is_serving(self) -> bool:
        holder = self.seat.holder
        return holder is not None and holder.state is WorkerState.SERVING

    # -- one worker ----------------------------------------------------------

    async def load(self, manifest: Manifest) -> WorkerProcess:
        """Start a worker and have it load the component; raises StartError."""
        means = self._means
        traps = means.traps.pop((manifest.name, manifest.version), {})
        spec = encode_spec(WorkerSpec(manifest, self.seat.number, means.salt, traps))
        try:
            worker = WorkerProcess(
                manifest, next(means.numbers), self.seat, means.on_request, means.deaths
            )
        except OSError as error:
            raise StartError(
                f"the host has no means left: {error}",
                component=manifest.name,
                version=manifest.version,
                phase="spawn",
            ) from error
        try:
            await worker.spawn(means.spawner, spec, means.lifeline_fd, means.switchboard.routes_fd)
        except BaseException:
            worker.bell.close()
            raise
        self.seat.admit(worker)
        await worker.reach(WorkerState.LOADED, self._startup_timeout_s(manifest), "load")
        return worker

    async def prepare(
        self,
        worker: WorkerProcess,
        copy: StateCopy | None = None,
        *,
        follows: bool = True,
        compares: bool = False,
    ) -> None:
        """Have a worker start and take over a state; from then on it stands by.

        It follows the leader if there is a journal, and unless told not to yet.
        """
        journal = self.seat.journal if follows else None
        fds = [] if journal is None else [journal.segment.fd]
        fds += [] if copy is None else copy.fds
        worker.prepare(messages.Prepare(journal is not None, compares), fds)
        timeout_s = self._startup_timeout_s(worker.manifest)
        await worker.reach(WorkerState.STANDBY, timeout_s, "start")

    async def lead(self, worker: WorkerProcess, dead: WorkerProcess | None = None) -> None:
        """Have a worker serve the seat, which nobody does now."""
        self.introduce_followers(worker)
        worker.lead(dead)
        # Without a limit: it may have a long journal to repeat, or a long command to finish.
        await worker.until(lambda: worker.state in (WorkerState.SERVING, WorkerState.GONE))
        if worker.state is WorkerState.GONE:
            raise worker.failure or StartError(
                f"the worker died before it led: {worker.how_it_ended()}",
                component=worker.manifest.name,
                version=worker.manifest.version,
                worker=worker.pid,
                phase="lead",
            )
        self.enthrone(worker)

    def introduce_followers(self, leader: WorkerProcess) -> None:
        """Tell who is to lead next whom to wait for before it forgets a command."""
        for follower in self.followers.values():
            if follower is not leader and follower.state is WorkerState.STANDBY:
                leader.send(messages.Follow(follower.number), follower.bell.fds())

    def enthrone(self, worker: WorkerProcess) -> None:
        """The worker leads."""
        self.seat.holder = worker
        self.manifest = worker.manifest
        self._enthroned.set()
        self.followers.pop(worker.number, None)

    def _startup_timeout_s(self, manifest: Manifest) -> float:
        return manifest.budget.startup_timeout_s or self._means.config.startup_timeout_s

    async def dismiss(self, worker: WorkerProcess) -> None:
        """End a worker that does not lead."""
        self.followers.pop(worker.number, None)
        holder = self.seat.holder
        if holder is not None and holder is not worker:
            holder.send(messages.Unfollow(worker.number))
        if worker.state is WorkerState.STANDBY:
            worker.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._means.config.stop_timeout_s):
                    await worker.gone.wait()
        await worker.kill()
        self.forget(worker)

    def forget(self, worker: WorkerProcess) -> None:
        """The worker is dead."""
        self.followers.pop(worker.number, None)
        for channel in self.seat.channels.values():
            # It may have died between a reply and the ring that it owed for it.
            channel.caller_bell.ring()
        self.seat.dismiss(worker)
        self._means.switchboard.forget_caller(worker)

    # -- states --------------------------------------------------------------

    async def copy_state(
        self, leader: WorkerProcess, follower: WorkerProcess | None = None
    ) -> StateCopy:
        """Have the leader's state written, for a follower to start from; raises StateError."""
        number = next(self._means.numbers) if follower is None else follower.number
        fork = leader.manifest.state.fork
        schema = 0 if follower is None else follower.manifest.state.schema

        def send(fd: int) -> None:
            fds = [fd] if follower is None else [fd, *follower.bell.fds()]
            leader.send(messages.Snapshot(number, fork, schema), fds)

        try:
            copy = await receive_copy(send, leader.gone.wait, self._means.config.snapshot_timeout_s)
            if copy.has_blocks:
                copy.close()
                raise StateError(
                    "its state holds shared memory, which goes on changing while it is followed",
                    hint='say model = "snapshot" in the manifest, or keep that in the process',
                )
            copy.manifest = leader.manifest
            return copy
        except StateError as error:
            leader.send(messages.Unfollow(number))
            raise self._named(error, leader) from error.__cause__

    async def yield_with_state(self, leader: WorkerProcess, schema: int) -> StateCopy:
        """Have the leader stop serving and write its state; raises StateError."""

        def send(fd: int) -> None:
            leader.send(messages.Yield(copy=True, schema=schema), [fd])

        try:
            return await receive_copy(send, leader.gone.wait, self._means.config.snapshot_timeout_s)
        except StateError as error:
            raise self._named(error, leader) from error.__cause__

    @staticmethod
    def _named(error: StateError, worker: WorkerProcess) -> StateError:
        error.component = worker.manifest.name
        error.version = worker.manifest.version
        error.worker = worker.pid
        return error

    def hear(self, worker: WorkerProcess, message: messages.Message) -> None:
        """A worker of this seat has something to tell about following."""
        match message:
            case messages.Dropped(number):
                follower = self.followers.get(number)
                if follower is not None:
                    self._drop(follower, "it lags too far behind the leader")
            case messages.Diverged(order, method, what):
                self._drop(worker, f"command {order}, {method}(): {what}")

    def _drop(self, follower: WorkerProcess, why: str) -> None:
        _LOG.error("%s follows no more: %s", follower.label, why)
        follower.dropped = why
        follower.tell()
        self._later(self.dismiss(follower))

    def want_checkpoint(self) -> None:
        """The journal fills up: of whoever leads by the time that it can be done."""
        if self._checkpointing is None:
            self._checkpointing = asyncio.create_task(self._take_checkpoint())

    async def _take_checkpoint(self) -> None:
        try:
            # While a worker is joining there is no other copy, or an older one might be kept.
            async with self.lock:
                worker = self.seat.holder
                if worker is None or not self.is_serving:
                    return
                try:
                    copy = await self.copy_state(worker)
                except StateError as error:
                    worker.send(messages.Checkpointed(0))
                    if worker.state is not WorkerState.GONE:
                        _LOG.error("%s: no checkpoint: %s", worker.label, str(error))
                else:
                    self.keep_copy(copy, worker)
        finally:
            self._checkpointing = None

    async def take_copy(self) -> int:
        """Have the state written while it is served; return its size. Raises StateError."""
        async with self.lock:
            leader = self.seat.holder
            if leader is None or not self.is_serving or self.manifest.state.model == "stateless":
                raise StateError(
                    "it keeps no state" if self.is_serving else "nobody leads",
                    component=self.manifest.name,
                    version=self.manifest.version,
                )
            copy = await self.copy_state(leader)
            self.keep_copy(copy, leader)
            return copy.size_bytes

    @property
    def patience_s(self) -> float:
        """How long a worker is waited for that may be busy with something else."""
        return self._means.config.stop_timeout_s

    def keep_copy(self, copy: StateCopy, leader: WorkerProcess) -> None:
        """Start from that copy if the leader dies; it takes the place of an older one."""
        if self._checkpoint is not None:
            self._checkpoint.close()
        self._checkpoint = copy
        leader.send(messages.Checkpointed(copy.order))

    # -- keeping -------------------------------------------------------------

    async def keep(self) -> None:
        """Put another worker in the place of each leader that dies.

        Raises:
            CannotStayUpError: it cannot be done.
        """
        while True:
            worker = self.seat.holder
            assert worker is not None
            began_s = time.monotonic()
            await self._until_gone_or_replaced(worker)
            async with self.lock:
                if self.seat.holder is worker and worker.state is WorkerState.GONE:
                    how = worker.how_it_ended()
                    _LOG.warning("%s (worker %s) died: %s", worker.label, worker.pid, how)
                    self.forget(worker)
                    self.history.record(self._means.config.restart, time.monotonic() - began_s, how)
                    await self.succeed(worker)

    async def _until_gone_or_replaced(self, worker: WorkerProcess) -> None:
        # One that was replaced may live on for long, and follow.
        self._enthroned.clear()
        await first_of(worker.gone.wait(), self._enthroned.wait())

    async def succeed(self, dead: WorkerProcess) -> None:
        """Have a follower lead, or a new worker; raises CannotStayUpError."""
        while (follower := self._best_follower()) is not None:
            try:
                await self.lead(follower, dead)
                if self._restorable() != self.manifest:
                    self.want_checkpoint()
                if follower.role is Role.STANDBY:
                    self._later(self._add_standby())
                return
            except HostError as error:
                _LOG.warning("%s could not take over: %s", follower.label, str(error))
                await follower.kill()
                self.forget(follower)
                dead = follower
        policy = self._means.config.restart
        while True:
            delay_s = next_delay_s(policy, self.history.failures)
            if delay_s is None:
                raise CannotStayUpError
            await asyncio.sleep(delay_s)
            try:
                worker = await self.load(self._restorable())
                await self.prepare(worker, self._checkpoint)
                await self.lead(worker, dead)
            except HostError as error:
                # The text: whoever keeps the record would keep the seat with the error.
                _LOG.warning("%s could not be restarted: %s", self.seat.component, str(error))
                for member in list(self.seat.members):
                    await member.kill()
                    self.forget(member)
                self.history.record(policy, 0.0, str(error))
            else:
                self.restarts += 1
                return

    def _restorable(self) -> Manifest:
        """The version to start from the last copy: an older one cannot read a newer form.

        Such a copy is there for the moment between the death of a newer version, when an
        older one that follows takes over, and the next checkpoint.
        """
        copy = self._checkpoint
        if copy is None or copy.schema <= self.manifest.state.schema or copy.manifest is None:
            return self.manifest
        _LOG.warning("%s is started from a state that only it can read", copy.manifest)
        return copy.manifest

    # -- who follows -----------------------------------------------------------

    async def add_follower(self, manifest: Manifest, role: Role, *, compares: bool) -> None:
        """Start a worker that follows the leader; return when it has caught up.

        Raises:
            HostError: it does not, and why. The leader is not touched by it.
        """
        async with self.lock:
            leader = self.seat.holder
            if leader is None or not self.is_serving:
                raise StateError(
                    "nobody leads that could be followed",
                    component=manifest.name,
                    version=manifest.version,
                    phase="follow",
                    hint="try again when it is running",
                )
            worker = await self.load(manifest)
            worker.role = role
            try:
                await self.prepare(worker, follows=False)
                self.followers[worker.number] = worker
                copy = await self.copy_state(leader, worker)
                try:
                    await self.prepare(worker, copy, compares=compares)
                finally:
                    copy.close()
                async with asyncio.timeout(self._means.config.swap_timeout_s):
                    await worker.until_caught_up()
                self._check_follows(worker)
            except BaseException:
                await asyncio.shield(self._end_follower(worker))
                raise
        self._watch(worker)

    async def _add_standby(self) -> None:
        """Start one in the place of one that led, died, or is of another version."""
        try:
            await self.add_follower(self.manifest, Role.STANDBY, compares=True)
        except HostError as error:
            _LOG.error("%s has no standby: %s", self.seat.component, str(error))

    def adopt(self, worker: WorkerProcess, role: Role) -> None:
        """A worker that has led follows from now on."""
        worker.role = role
        self.followers[worker.number] = worker
        self._watch(worker)

    def renew_standbys(self) -> None:
        """Another version leads: let those who stand by be of that version."""
        for follower in list(self.followers.values()):
            if follower.role is Role.STANDBY and follower.manifest != self.manifest:
                self._later(self._renew(follower))

    async def _renew(self, follower: WorkerProcess) -> None:
        follower.role = Role.SHADOW
        await self._add_standby()
        await self.dismiss(follower)

    async def set_weight(self, version: str, basis_points: int) -> None:
        """Let the follower of a version supply so many replies; raises StateError."""
        async with self.lock:
            follower, leader = self.follower_of(version), self.seat.holder
            if follower is None or leader is None:
                raise StateError(
                    "no worker of that version follows",
                    component=self.manifest.name,
                    version=version,
                    phase="follow",
                    hint="add it as a follower first",
                )
            if not follower.relays:
                opened = self._means.switchboard.open_channel(self.seat.number, follower)
                assert opened is not None
                fds = [opened[1].segment.fd, *self.seat.bell.fds()]
                follower.send(messages.Relay(), fds)
                follower.relays = True
            leader.send(messages.Share(follower.number, basis_points))

    @staticmethod
    def _check_follows(worker: WorkerProcess) -> None:
        if worker.state is WorkerState.GONE or worker.dropped:
            why = worker.dropped or f"it died: {worker.how_it_ended()}"
            raise worker.failure or StateError(
                f"it does not follow: {why}",
                component=worker.manifest.name,
                version=worker.manifest.version,
                worker=worker.pid,
                phase="follow",
            )

    async def _end_follower(self, worker: WorkerProcess) -> None:
        await worker.kill()
        self.forget(worker)
        if self.seat.holder is not None:
            self.seat.holder.send(messages.Unfollow(worker.number))

    def _watch(self, worker: WorkerProcess) -> None:
        """Clear up after a follower that dies, and start another standby for one."""

        async def watch() -> None:
            await worker.gone.wait()
            if worker.number not in self.followers or self._is_ending:
                return
            _LOG.warning(
                "%s (worker %s), %s, died: %s",
                worker.label,
                worker.pid,
                worker.role,
                worker.how_it_ended(),
            )
            await self._end_follower(worker)
            if worker.role is Role.STANDBY and not worker.dropped:
                await self._add_standby()

        self._later(watch())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def follower_infos(self) -> tuple[FollowerInfo, ...]:
        """A picture of now."""
        leader = self.seat.holder
        return tuple(
            FollowerInfo(
                worker.info(),
                worker.role,
                0 if leader is None else max(0, leader.order - worker.order),
            )
            for worker in self.followers.values()
            if worker.state is not WorkerState.GONE
        )

    def follower_of(self, version: str) -> WorkerProcess | None:
        """A worker of that version that follows already."""
        for follower in self.followers.values():
            if follower.manifest.version == version and follower.state is WorkerState.STANDBY:
                return follower
        return None

    def _best_follower(self) -> WorkerProcess | None:
        """Who leads if the leader dies; a version that was never served does not."""
        able = [
            follower
            for follower in self.followers.values()
            if follower.state is WorkerState.STANDBY
            and follower.role in (Role.STANDBY, Role.BAKE)
            and not follower.dropped
        ]
        return min(able, key=lambda follower: follower.role is Role.BAKE, default=None)

    async def end(self, *, in_order: bool) -> None:
        """End all workers of the seat, the leader in order if it can."""
        self._is_ending = True
        for task in list(self._tasks):
            task.cancel()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        if self._checkpointing is not None:
            self._checkpointing.cancel()
        holder = self.seat.holder
        for member in list(self.seat.members):
            if member is not holder:
                await member.kill()
        if holder is not None and holder.state is WorkerState.SERVING and in_order:
            holder.stop()
            try:
                async with asyncio.timeout(self._means.config.stop_timeout_s):
                    await holder.gone.wait()
            except TimeoutError:
                _LOG.warning("%s did not stop in time and is killed", holder.label)
        for member in list(self.seat.members):
            # What does not serve has nothing to finish.
            await member.kill()
            self.forget(member)
        if self._checkpoint is not None:
            self._checkpoint.close()
            self._checkpoint = None
