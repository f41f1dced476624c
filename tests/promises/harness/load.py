"""Callers that load a host until they are told to stop, and write down what they got."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from harness.history import Diary, History, Operation
from harness.mix import Mix

from noodle_host import Host, HostError

#: All components under ``plugins``.
COMPONENTS = ("kv", "journal", "counter", "adder", "teller", "ticker")
#: Those with a state, and the query that tells all of it.
_WHOLE = {
    "kv": "dump",
    "journal": "items",
    "counter": "dump",
    "teller": "history",
    "ticker": "positions",
}
# Components whose calls are streams cannot be called with submit().
_STREAMS = frozenset({"ticker"})
#: Calls that the pipelining caller has under way.
_WINDOW = 16
# A call that is not answered for so long is lost; it is not waited for for ever.
_LOST_S = 20.0


class Load:
    """Several callers of one host: threads, tasks of an event loop, and one that pipelines.

    Args:
        host: all of ``components``, and what they require, run in it.
        components: what is called.
        threads: how many closed loops on threads of their own.
        tasks: how many closed loops on one event loop.
        pipelines: how many threads that keep 16 calls under way with ``submit()``.
        seed: decides what is asked; when it is asked is up to the machine.
        pace_s: what each caller waits between two calls, for long runs.

    ``history`` is complete once :meth:`stop` has returned.
    """

    def __init__(
        self,
        host: Host,
        components: Sequence[str] = COMPONENTS,
        *,
        threads: int = 3,
        tasks: int = 2,
        pipelines: int = 1,
        seed: int = 0,
        pace_s: float = 0.0,
    ) -> None:
        self.history = History()
        self._host = host
        self._components = tuple(components)
        self._stopping = threading.Event()
        self._seed = seed
        self._pace_s = pace_s
        self._progress = threading.Condition()
        self._answered = 0
        self._callers = 0
        self._threads = [self._thread(f"thread{n}", self._loop) for n in range(threads)]
        if tasks:
            pairs = [self._caller(f"task{n}", self._components) for n in range(tasks)]
            self._threads.append(
                threading.Thread(target=lambda: asyncio.run(self._tasks(pairs)), name="tasks")
            )
        if set(self._components) - _STREAMS:
            self._threads += [self._thread(f"pipe{n}", self._pipeline) for n in range(pipelines)]

    def _thread(self, name: str, work: Any) -> threading.Thread:
        streams = _STREAMS if work == self._pipeline else frozenset()
        components = [c for c in self._components if c not in streams]
        return threading.Thread(target=work, args=self._caller(name, components), name=name)

    def _caller(self, name: str, components: Sequence[str]) -> tuple[Diary, Mix]:
        index, self._callers = self._callers, self._callers + 1
        return self.history.diary(name), Mix(name, index, components, self._seed)

    # -- from outside ------------------------------------------------------

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Operation]:
        """Make no new calls, wait for those under way; return all of them.

        Raises:
            AssertionError: a caller did not come to an end.
        """
        self._stopping.set()
        deadline = time.monotonic() + 2 * _LOST_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        assert not stuck, f"these callers wait for ever: {', '.join(stuck)}"
        return self.history.operations()

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        """Load the host inside the ``with`` block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def wait_for(self, answers: int, within_s: float = _LOST_S) -> None:
        """Return when so many more calls were answered, or failed, since this was called."""
        with self._progress:
            until = self._answered + answers
            reached = self._progress.wait_for(lambda: self._answered >= until, within_s)
            assert reached, f"{until - self._answered} of {answers} answers have not come"

    # -- the callers -------------------------------------------------------

    def _note(self, diary: Diary, operation: Operation, result: Any, error: Any) -> None:
        diary.end(operation, result, error)
        with self._progress:
            self._answered += 1
            self._progress.notify_all()

    def _is_to_go_on(self) -> bool:
        """Whether to make another call, once it is time for it."""
        return not (self._stopping.wait(self._pace_s) if self._pace_s else self._stopping.is_set())

    def _loop(self, diary: Diary, mix: Mix) -> None:
        while self._is_to_go_on():
            component, method, arguments, key = mix.request(diary.next_number)
            operation = diary.begin(component, method, arguments)
            result, failure = None, None
            try:
                if method == "ticks":
                    result = []
                    stream = self._host.stream(component, method, *arguments, timeout=_LOST_S)
                    with stream as items:
                        result.extend(items)
                else:
                    result = self._host.call(
                        component, method, *arguments, key=key, timeout=_LOST_S
                    )
            except HostError as error:
                failure = error
            self._note(diary, operation, result, failure)

    async def _tasks(self, callers: list[tuple[Diary, Mix]]) -> None:
        await asyncio.gather(*(self._task(diary, mix) for diary, mix in callers))

    async def _task(self, diary: Diary, mix: Mix) -> None:
        while not self._stopping.is_set():
            component, method, arguments, key = mix.request(diary.next_number)
            operation = diary.begin(component, method, arguments)
            result, failure = None, None
            try:
                if method == "ticks":
                    result = []
                    async for item in self._host.astream(
                        component, method, *arguments, timeout=_LOST_S
                    ):
                        result.append(item)
                else:
                    result = await self._host.acall(
                        component, method, *arguments, key=key, timeout=_LOST_S
                    )
            except HostError as error:
                failure = error
            self._note(diary, operation, result, failure)
            if self._pace_s:
                await asyncio.sleep(self._pace_s)

    def _pipeline(self, diary: Diary, mix: Mix) -> None:
        under_way: deque[tuple[Operation, Any]] = deque()
        while under_way or not self._stopping.is_set():
            if len(under_way) < _WINDOW and self._is_to_go_on():
                component, method, arguments, key = mix.request(diary.next_number)
                operation = diary.begin(component, method, arguments)
                try:
                    call = self._host.submit(
                        component, method, *arguments, key=key, timeout=_LOST_S
                    )
                except HostError as error:
                    self._note(diary, operation, None, error)
                else:
                    under_way.append((operation, call))
                continue
            operation, call = under_way.popleft()
            result, failure = None, None
            try:
                result = call.result()
            except HostError as error:
                failure = error
            self._note(diary, operation, result, failure)


def final_state(host: Host) -> dict[str, Any]:
    """Component -> all of its state, of those that have one and run; read through queries."""
    running = {info.name for info in host.components()}
    return {
        name: host.call(name, query, timeout=_LOST_S)
        for name, query in _WHOLE.items()
        if name in running
    }
