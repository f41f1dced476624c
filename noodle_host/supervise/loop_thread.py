"""An event loop on a thread of its own, which others hand work to until it is closed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..errors import HostError

T = TypeVar("T")


class LoopThread:
    """Runs what other threads hand over, then ``shut_down``, then ``at_the_end``.

    ``shut_down`` runs on the loop once :meth:`refuse` was called and what was
    under way is cancelled; ``at_the_end`` when the loop is closed.
    """

    def __init__(
        self,
        name: str,
        shut_down: Callable[[], Coroutine[Any, Any, None]],
        at_the_end: Callable[[], None],
    ) -> None:
        self._shut_down = shut_down
        self._at_the_end = at_the_end
        # What others have asked for and wait for.
        self._operations: set[asyncio.Task[Any]] = set()
        # The event loop itself holds its tasks only weakly.
        self._tasks: set[asyncio.Task[Any]] = set()
        # Held while it is decided whether something is still taken on.
        self._gate = threading.Lock()
        self._refusal: HostError | None = None
        self._closing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._wait_for_the_end())
        finally:
            self._loop.close()
            self._at_the_end()

    async def _wait_for_the_end(self) -> None:
        await self._closing.wait()
        operations = set(self._operations)
        for operation in operations:
            operation.cancel()
        await asyncio.gather(*operations, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._shut_down()
        finally:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    # -- from any thread ---------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result.

        Raises:
            HostError: nothing is taken on any more.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise HostError(
                "this thread looks after the workers and cannot wait for itself",
                hint="do not call the host from a log handler",
            )
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C: what nobody waits for any more is taken back.
            future.cancel()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop; raises what :meth:`run` raises."""
        with self._gate:
            refusal = self._refusal
            if refusal is None:
                return asyncio.run_coroutine_threadsafe(self._operate(work), self._loop)
        work.close()
        raise copy.copy(refusal)

    async def _operate(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._operations.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if self._refusal is None:
                raise
            raise copy.copy(self._refusal) from None
        finally:
            self._operations.discard(task)

    def call_soon(self, step: Callable[[], object]) -> None:
        """Call something on the loop; a loop that is closed has no use for it."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(step)

    def refuse(self, refusal: HostError) -> None:
        """Take nothing on any more, and end. May be called again."""
        # Under the gate, so that what was taken on before comes first.
        with self._gate:
            if self._refusal is None:
                self._refusal = refusal
            self.call_soon(self._closing.set)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def disown(self, refusal: HostError) -> None:
        """In a forked child, where the thread is not: refuse everything."""
        # Another thread may have held the gate.
        self._gate = threading.Lock()
        self._refusal = refusal

    # -- on the loop -------------------------------------------------------

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that goes on if nobody waits for it any more."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)
