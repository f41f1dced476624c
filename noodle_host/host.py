"""The host: what an embedder holds."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from .config import HostConfig
from .contract_types import ContractTypes
from .errors import HostClosedError, HostError
from .model import BufferUsage, ComponentInfo, SwapEvent, SwapReport
from .registry.manifest import Manifest
from .registry.registry import RuntimeComponentRegistry
from .router.aio import LoopWatch
from .router.bell import Doorbell
from .router.buffer import Buffer
from .router.call import Call
from .router.endpoint import Endpoint
from .router.stream import Stream
from .supervise.fork_server import ForkServer
from .supervise.supervisor import Supervisor
from .worker.deadline import deadline_after, span_ns
from .worker.forked import cut_off, tell_in_child


class _Default:
    def __repr__(self) -> str:
        return "the host's call_timeout_s"


DEFAULT: Final = _Default()
Timeout = float | None | _Default
Key = str | bytes | int | None


class Host:
    """Runs components, each in a process of its own, and calls them.

    Use it as a context manager, sync or async; it is safe from any number of threads.

    Args:
        plugin_path: folders laid out as ``<component>/<version>/``; None is the
            folder of the plugins that come with noodle_host.
        config: settings; every one has a default.
        registry: use this registry instead of one of ``plugin_path``.

    All methods raise :class:`HostError`; see ``noodle_host.errors``.
    """

    def __init__(
        self,
        plugin_path: str | Path | Sequence[str | Path] | None = None,
        *,
        config: HostConfig | None = None,
        registry: RuntimeComponentRegistry | None = None,
    ) -> None:
        self.config = config or HostConfig()
        self.registry = registry or RuntimeComponentRegistry(_folders(plugin_path))
        # Why nothing is taken on any more.
        self._refusal: HostError | None = None
        self._is_over = True
        self._close_lock = threading.RLock()
        self._types = ContractTypes()
        self._kinds: dict[str, str] = {}
        self._decoders: dict[tuple[str, str], Callable[[Any], Any]] = {}
        self._default_span_ns = span_ns(self.config.call_timeout_s)
        salt = self.config.hash_seed
        if salt is None:
            salt = random.SystemRandom().getrandbits(32)
        with contextlib.ExitStack() as undo:
            fork_server = ForkServer(salt)
            undo.callback(fork_server.close)
            # First of all: it imports while the rest is set up.
            fork_server.start()
            self._bell = Doorbell.create("noodle-host")
            undo.callback(self._bell.close)
            # Weak, or the supervisor's thread would keep a host that nobody else has.
            me = weakref.ref(self)

            def on_seat_closed(component: str) -> None:
                host = me()
                if host is not None:
                    host._on_seat_closed(component)

            def on_seat_lost(seat: int, error: HostError) -> None:
                host = me()
                if host is not None:
                    host._endpoint.drop(seat, error)

            self._supervisor = Supervisor(
                self.config,
                self.registry,
                fork_server,
                self._bell,
                salt,
                on_seat_closed,
                on_seat_lost,
            )
            undo.callback(self._supervisor.close)
            self._endpoint = Endpoint(
                self._bell,
                self._supervisor.switchboard.table,
                self._supervisor,
                salt=salt,
                buffers=self._supervisor.buffers,
            )
            self._watch = LoopWatch(self._endpoint, self._bell)
            self._is_over = False
            undo.pop_all()
        tell_in_child(self)

    # -- components --------------------------------------------------------

    def start(self, name: str, version: str | None = None, replicas: int = 1) -> ComponentInfo:
        """Start a component, and first what it requires; return when it serves.

        Args:
            version: a version or a PEP 440 range; None is the newest.
            replicas: how many workers share its calls (stateless ones only).
        """
        self._check_open()
        return self._supervisor.run(self._supervisor.start(name, version, replicas))

    async def astart(
        self, name: str, version: str | None = None, replicas: int = 1
    ) -> ComponentInfo:
        """Like :meth:`start`, without blocking the event loop."""
        self._check_open()
        work = self._supervisor.submit(self._supervisor.start(name, version, replicas))
        return await asyncio.wrap_future(work)

    def start_all(self, wanted: Mapping[str, str | None]) -> list[ComponentInfo]:
        """Start several components at once, with what they require: all or none.

        Args:
            wanted: component -> a version, a PEP 440 range, or None for the newest.
        """
        self._check_open()
        return self._supervisor.run(self._supervisor.start_all(wanted))

    def stop(self, name: str) -> None:
        """Stop a component; calls that were sent are answered, tasks are cancelled."""
        self._check_open()
        self._supervisor.run(self._supervisor.stop(name))

    async def astop(self, name: str) -> None:
        """Like :meth:`stop`, without blocking the event loop."""
        self._check_open()
        await asyncio.wrap_future(self._supervisor.submit(self._supervisor.stop(name)))

    def swap(
        self,
        name: str,
        version: str | None = None,
        *,
        bake: bool = False,
        compare: bool = True,
        on_event: Callable[[SwapEvent], None] | None = None,
    ) -> SwapReport:
        """Have another version serve a component, with its state, while it is being called.

        Callers notice nothing but a pause. If anything fails before the new version
        serves, the old one serves on.

        Args:
            version: a version or a PEP 440 range; None is the newest.
            bake: keep the old version, following the new one, so that swapping back
                to it copies no state (replicated components).
            compare: give up if the new version answers, while it follows, otherwise
                than the old one (replicated components).
            on_event: called at each step, on a thread of the host's own; must not block.

        Raises:
            HotSwapError: it was not made, and why; the old version serves.
            ComponentNotFoundError: the component does not run, or has no such version.
            RequirementError: another component does not go with that version.
        """
        self._check_open()
        work = self._supervisor.swap(
            name, version, bakes=bake, compares=compare, emit=on_event or _ignore
        )
        return SwapReport.of(name, self._supervisor.run(work))

    async def aswap(
        self,
        name: str,
        version: str | None = None,
        *,
        bake: bool = False,
        compare: bool = True,
        on_event: Callable[[SwapEvent], None] | None = None,
    ) -> SwapReport:
        """Like :meth:`swap`, without blocking the event loop."""
        self._check_open()
        work = self._supervisor.swap(
            name, version, bakes=bake, compares=compare, emit=on_event or _ignore
        )
        return SwapReport.of(name, await asyncio.wrap_future(self._supervisor.submit(work)))

    async def acancel_swap(self, name: str) -> bool:
        """Take back a swap that has not come to the cut; whether it was taken back."""
        self._check_open()
        return await asyncio.wrap_future(
            self._supervisor.submit(self._supervisor.cancel_swap(name))
        )

    async def acheck_swap(self, name: str, version: str | None = None) -> tuple[Manifest, Manifest]:
        """The manifests of what runs and of what :meth:`swap` would put in its place.

        Raises what :meth:`swap` would raise before it begins.
        """
        self._check_open()
        work = self._supervisor.submit(self._supervisor.check_swap(name, version))
        return await asyncio.wrap_future(work)

    async def asnapshot(self, name: str) -> tuple[str, int]:
        """Have a component's state written while it serves; return version and size in bytes.

        The host keeps it, to start from if the worker dies.

        Raises:
            StateError: it keeps no state, or that cannot be written.
        """
        self._check_open()
        return await asyncio.wrap_future(self._supervisor.submit(self._supervisor.snapshot(name)))

    def add_follower(self, name: str, version: str | None = None, *, compare: bool = True) -> None:
        """Have another worker follow a replicated component; return when it has caught up.

        It executes what the leader has executed. One of the running version stands by:
        it leads at once if the leader dies. One of another version is a shadow: nobody
        gets its replies, but swapping to it copies no state.

        Args:
            version: a version or a PEP 440 range; None is the one that is running.
            compare: drop it, and say so in the log, when its replies differ from the
                leader's.
        """
        self._check_open()
        self._supervisor.run(self._supervisor.add_follower(name, version, compares=compare))

    def set_weight(self, name: str, version: str, weight: int) -> None:
        """Let a follower supply the replies of a part of the calls (canary).

        The leader executes everything all the same, and sends its own reply when the
        follower's does not come within 20 ms. The weight is 0 again after a swap.

        Args:
            version: that of a follower; see :meth:`add_follower`.
            weight: basis points, 0 to 10,000; calls with a key go by the key.
        """
        self._check_open()
        self._supervisor.run(self._supervisor.set_weight(name, version, weight))

    def remove_followers(self, name: str, version: str | None = None) -> int:
        """End the workers that follow a component, of one version or all; return how many."""
        self._check_open()
        return self._supervisor.run(self._supervisor.remove_followers(name, version))

    def components(self) -> list[ComponentInfo]:
        """What was started, in that order, as it is now."""
        self._check_open()
        return self._supervisor.run(self._supervisor.info())

    def health(self, name: str) -> dict[int, str | None]:
        """Ask the health hook of each worker: process id -> None or what is wrong."""
        self._check_open()
        return self._supervisor.run(self._supervisor.health(name))

    # -- calls -------------------------------------------------------------

    def call(
        self,
        name: str,
        method: str,
        /,
        *args: object,
        timeout: Timeout = DEFAULT,
        key: Key = None,
        result_type: Any = None,
        **kwargs: object,
    ) -> Any:
        """Call a method and wait for its result.

        Args:
            timeout: seconds; None waits for ever.
            key: calls with the same key go to the same seat, in order.
            result_type: decode the result as this; by default as the contract
                of the component's kind says, else as builtins.
        """
        return self._endpoint.submit(
            name,
            method,
            args,
            kwargs,
            deadline_ns=self._deadline(timeout),
            key=key,
            decode=self._decoder(name, method, result_type),
        ).result()

    def submit(
        self,
        name: str,
        method: str,
        /,
        *args: object,
        timeout: Timeout = DEFAULT,
        key: Key = None,
        result_type: Any = None,
        **kwargs: object,
    ) -> Call:
        """Send a call; return a ``concurrent.futures.Future`` of its result."""
        return self._endpoint.submit(
            name,
            method,
            args,
            kwargs,
            deadline_ns=self._deadline(timeout),
            key=key,
            decode=self._decoder(name, method, result_type),
        )

    async def acall(
        self,
        name: str,
        method: str,
        /,
        *args: object,
        timeout: Timeout = DEFAULT,
        key: Key = None,
        result_type: Any = None,
        **kwargs: object,
    ) -> Any:
        """Like :meth:`call`, from a coroutine."""

        def submit() -> Call:
            return self.submit(
                name,
                method,
                *args,
                timeout=timeout,
                key=key,
                result_type=result_type,
                **kwargs,
            )

        return await self._watch.call(name, key, submit)

    def notify(
        self, name: str, method: str, /, *args: object, key: Key = None, **kwargs: object
    ) -> None:
        """Send a one-way message: no result, and an error goes to the log."""
        self._endpoint.notify(name, method, args, kwargs, key=key)

    def stream(
        self,
        name: str,
        method: str,
        /,
        *args: object,
        timeout: float | None = None,
        key: Key = None,
        item_type: Any = None,
        **kwargs: object,
    ) -> Stream:
        """Start a method that yields; iterate over its items as they come.

        The deadline is for the whole stream. Closing it cancels the task.
        """
        return self._endpoint.stream(
            name,
            method,
            args,
            kwargs,
            deadline_ns=self._deadline(timeout),
            key=key,
            decode=self._decoder(name, method, item_type),
        )

    def astream(
        self,
        name: str,
        method: str,
        /,
        *args: object,
        timeout: float | None = None,
        key: Key = None,
        item_type: Any = None,
        **kwargs: object,
    ) -> AsyncIterator[Any]:
        """Like :meth:`stream`, for ``async for``."""

        def start() -> Stream:
            return self.stream(
                name, method, *args, timeout=timeout, key=key, item_type=item_type, **kwargs
            )

        return self._watch.items(name, key, start)

    # -- buffers -----------------------------------------------------------

    def buffer(self, nbytes: int) -> Buffer:
        """Make shared memory of ``nbytes`` zeros, to be passed and returned without a copy.

        Raises:
            InvalidBuffer: that is no number of bytes that this machine could have, or no
                memory or descriptor is left.
        """
        self._check_open()
        return self._supervisor.buffers.create(nbytes)

    def buffers(self) -> BufferUsage:
        """How many buffers any process of this host holds, or are on their way."""
        self._check_open()
        # Replies that wait to be read hold theirs.
        self._endpoint.nudge()
        return self._supervisor.run(self._supervisor.switchboard.buffers.usage())

    def _deadline(self, timeout: Timeout) -> int:
        return deadline_after(
            self._default_span_ns if isinstance(timeout, _Default) else span_ns(timeout)
        )

    def _decoder(self, name: str, method: str, wanted: Any) -> Callable[[Any], Any]:
        if wanted is not None:
            return self._types.decoder(wanted)
        known = self._decoders.get((name, method))
        return self._contract_decoder(name, method) if known is None else known

    def _contract_decoder(self, name: str, method: str) -> Callable[[Any], Any]:
        kind = self._kinds.get(name)
        if kind is None:
            self._check_open()
            self._kinds.update({info.name: info.kind for info in self.components()})
            kind = self._kinds.get(name)
            if kind is None:
                # It is not running; what is sent to it will say so.
                return self._types.contract_decoder("service", method)
        decode = self._decoders[name, method] = self._types.contract_decoder(kind, method)
        return decode

    # -- end ---------------------------------------------------------------

    def close(self) -> None:
        """Stop all components in order and free everything; may be called again.

        Calls that are not answered by then raise :class:`HostClosedError`. A
        close that is interrupted, by Ctrl-C, kills the workers.
        """
        self._refusal = self._refusal or HostClosedError("the host is closed")
        with self._close_lock:
            if self._is_over:
                return
            try:
                self._supervisor.close()
            finally:
                self._endpoint.close()
                self._bell.close()
            self._is_over = True

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_is_over", True) and not sys.is_finalizing():
            # Of a process that ends the kernel takes care.
            self._supervisor.abandon(self._endpoint.close, self._bell.close)
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)

    def on_forked(self) -> None:
        """This is a copy of the host in a child of its process: it can do nothing."""
        if self._is_over:
            return
        self._is_over = True
        self._refusal = HostClosedError(
            "this is the copy of a host in a forked child",
            phase="fork",
            hint="make a host of its own in each process, after the fork",
        )
        self._close_lock = threading.RLock()
        self._supervisor.disown(self._refusal)
        cut_off(self._endpoint, self._refusal)

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise copy.copy(self._refusal)

    def _on_seat_closed(self, component: str) -> None:
        # The next version may be of another kind.
        self._kinds.clear()
        self._decoders.clear()
        # Answers that nobody has fetched yet still count: a channel that has some
        # is let go of later.
        self._endpoint.nudge()
        self._endpoint._forget_closed(component)


def _ignore(_: object) -> None:
    """Nobody wants to know."""


def _folders(plugin_path: str | Path | Iterable[str | Path] | None) -> list[Path] | None:
    if plugin_path is None:
        return None
    if isinstance(plugin_path, str | Path):
        return [Path(plugin_path)]
    return [Path(folder) for folder in plugin_path]
