"""The server: executes the calls of a seat, one at a time, on the main thread."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from ..errors import ArgumentError, CallError, EncodeError, HostError, NoSuchMethod
from ..router import codec, layout
from ..router.corrupt import CorruptError
from ..router.lane import CorruptLaneError, Record
from ..router.native import LaneReader
from .inlet import Inlet
from .methods import Method
from .task import Task


class Server:
    """Serves the inlets of one seat with the methods of one component."""

    def __init__(self, component: str, version: str, methods: dict[int, Method]) -> None:
        self._component = component
        self._version = version
        self._methods = methods
        self._pid = os.getpid()
        self._order = 0
        self._tasks: dict[tuple[int, int], Task] = {}
        self.inlets: dict[int, Inlet] = {}
        #: The deadline of the call under way, for the calls that it makes.
        self.deadline_ns = 0

    # -- inlets ------------------------------------------------------------

    def attach(self, inlet: Inlet) -> None:
        self.inlets[inlet.channel] = inlet

    def detach(self, channel: int) -> None:
        """The caller is gone: its tasks end, its requests are dropped."""
        inlet = self.inlets.pop(channel, None)
        for key, task in list(self._tasks.items()):
            if key[0] == channel:
                self._close(task)
                del self._tasks[key]
        if inlet is not None:
            inlet.end.close()

    # -- one turn ----------------------------------------------------------

    def has_work(self) -> bool:
        """Whether a turn would do something."""
        for inlet in self.inlets.values():
            if inlet.reader.has_record() and inlet.can_take():
                return True
        return any(task.can_step() for task in self._tasks.values())

    def watched(self) -> list[LaneReader]:
        """The lanes that requests come in."""
        return [inlet.reader for inlet in self.inlets.values()]

    def turn(self) -> bool:
        """Serve one request of each caller and step each task; True if there was any."""
        worked = False
        for inlet in tuple(self.inlets.values()):
            try:
                if inlet.reader.has_record():
                    if inlet.can_take():
                        worked = True
                        self._take(inlet)
                elif inlet.has_backlog:
                    inlet.can_take()
            except (CorruptLaneError, CorruptError) as error:
                worked = True
                self._distrust(inlet, error)
        if self._tasks:
            worked = self._step_tasks() or worked
        return worked

    def _distrust(self, inlet: Inlet, error: Exception) -> None:
        """A caller writes nonsense: it is read no more, and the others go on."""
        self.detach(inlet.channel)
        self.on_corrupt(inlet.channel, str(error))

    def on_corrupt(self, channel: int, what: str) -> None:
        """A channel holds what the protocol does not allow; replaced by the worker's main."""
        os.write(2, f"channel {channel} is corrupt: {what}\n".encode())

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and nothing waits, not even unsent replies."""
        return (
            not self._tasks
            and not self.has_work()
            and not any(inlet.has_backlog for inlet in self.inlets.values())
        )

    def _take(self, inlet: Inlet) -> None:
        reader = inlet.reader
        record = reader.read()
        if record is None:
            return
        kind = record[1]
        if kind == layout.CALL:
            self._call(inlet, record)
        elif kind == layout.STREAM:
            self._begin_task(inlet, record)
        elif kind == layout.CREDIT:
            task = self._tasks.get((inlet.channel, record[4]))
            if task is not None:
                # The method word.
                task.grant(record[5])
        elif kind == layout.CANCEL:
            task = self._tasks.pop((inlet.channel, record[4]), None)
            if task is not None:
                self._close(task)
        elif kind == layout.NOTIFY:
            self._notify(record, inlet)
        reader.retire(reader.position)

    # -- calls -------------------------------------------------------------

    def _call(self, inlet: Inlet, record: Record) -> None:
        position, _, _, _, call_id, _, _, deadline_ns, _, _, mark, _ = record
        if mark or (deadline_ns and time.monotonic_ns() >= deadline_ns):
            self._drop_payload(inlet, record)
            return
        self._order += 1
        stamp = inlet.reader.memory.stamp
        stamp(position, layout.WORD_ORDER, self._order)
        kind = layout.REPLY
        try:
            method = self._methods.get(record[5]) or self._no_method()
            if method.is_stream:
                raise ArgumentError(
                    f"{method.name}() streams its items", hint="use stream() instead of call()"
                )
            arguments = self._arguments(inlet, record, method)
            self.deadline_ns = deadline_ns
            body: Any = codec.encode_result(method.function(*arguments))
            if type(body) is not bytes or len(body) > layout.INLINE_BYTES:
                inlet.check_size(body)
        except BaseException as error:
            kind = layout.ERROR
            body = self._error(error)
        inlet.reply(kind, call_id, body)
        stamp(position, layout.WORD_STATUS, layout.STATUS_ANSWERED)

    def _notify(self, record: Record, inlet: Inlet) -> None:
        if self._is_void(record):
            self._drop_payload(inlet, record)
            return
        self._order += 1
        inlet.reader.memory.stamp(record[0], layout.WORD_ORDER, self._order)
        try:
            method = self._method(record)
            self.deadline_ns = record[7]
            method.function(*self._arguments(inlet, record, method))
        except BaseException as error:
            self.on_lost_error(error)
        if os.getpid() != self._pid:
            # It has forked, and this is the child.
            self.leave()

    def on_lost_error(self, error: BaseException) -> None:
        """A one-way message raised: there is nobody to tell but the log."""
        # Replaced by the worker's main; standard error arrives in the host's log.
        os.write(2, f"one-way message failed: {type(error).__name__}: {error}\n".encode())

    def _method(self, record: Record) -> Method:
        return self._methods.get(record[5]) or self._no_method()

    def _no_method(self) -> NoReturn:
        known = ", ".join(sorted(m.name for m in self._methods.values()))
        raise NoSuchMethod(
            NoSuchMethod.unnamed,
            component=self._component,
            version=self._version,
            hint=f"it has: {known or 'none'}",
        )

    @staticmethod
    def _arguments(inlet: Inlet, record: Record, method: Method) -> tuple[Any, ...]:
        flags = record[2]
        if not flags & layout.SLAB:
            return method.decode_arguments(record[11], bool(flags & layout.BY_NAME))
        slab = inlet.end.inbox.slab(record)
        assert slab is not None
        # The lease frees the slab when the last view of it is dropped.
        body = inlet.end.inbox.arena.lease(*slab)
        return method.decode_arguments(body, bool(flags & layout.BY_NAME))

    @staticmethod
    def _is_void(record: Record) -> bool:
        """Taken back by its caller, or too late to be of use."""
        if record[10]:
            return True
        return record[7] != 0 and time.monotonic_ns() >= record[7]

    @staticmethod
    def _drop_payload(inlet: Inlet, record: Record) -> None:
        slab = inlet.end.inbox.slab(record)
        if slab is not None:
            inlet.end.inbox.arena.free(slab[0])

    def _error(self, error: BaseException) -> bytes:
        if isinstance(error, NoSuchMethod | ArgumentError | EncodeError) and not error.component:
            error.component = self._component
            error.version = self._version
        if (
            isinstance(error, HostError)
            and error.worker is None
            and error.component == self._component
        ):
            error.worker = self._pid
        return codec.encode_exception(error, self._component, self._version, self._pid)

    # -- tasks -------------------------------------------------------------

    def _begin_task(self, inlet: Inlet, record: Record) -> None:
        call_id = record[4]
        if self._is_void(record):
            self._drop_payload(inlet, record)
            return
        slot = inlet.take_slot(call_id)
        try:
            method = self._method(record)
            arguments = self._arguments(inlet, record, method)
            if not method.is_stream:
                raise ArgumentError(
                    f"{method.name}() does not stream", hint="use call() instead of stream()"
                )
            if slot < 0:
                # Letting it wait would let the credits behind it wait, and so all
                # the others, for ever.
                raise CallError(
                    f"{layout.TASK_SLOTS} streams are open from one caller to one worker",
                    component=self._component,
                    version=self._version,
                    hint="end or close some before opening more, or start more replicas",
                )
            self.deadline_ns = record[7]
            items = method.function(*arguments)
            assert isinstance(items, Iterator)
        except BaseException as error:
            if slot >= 0:
                inlet.free_slot(slot)
            inlet.reply(layout.ERROR, call_id, self._error(error))
            return
        self._tasks[inlet.channel, call_id] = Task(inlet, call_id, slot, items, record[7])

    def _step_tasks(self) -> bool:
        worked = False
        for key, task in tuple(self._tasks.items()):
            if task.expired:
                self._close(task)
            elif task.can_step():
                worked = True
                self.deadline_ns = task.deadline_ns
                try:
                    task.step()
                except BaseException as error:
                    self._fail(task, error)
            if task.ended:
                self._tasks.pop(key, None)
        return worked

    def _fail(self, task: Task, error: BaseException) -> None:
        body = self._error(error)
        try:
            task.fail(body)
        except BaseException as second:
            self.on_lost_error(second)

    def _close(self, task: Task) -> None:
        # It may call others to clean up, whatever the deadline of the last call was.
        self.deadline_ns = 0
        try:
            task.close()
        except BaseException as error:
            self.on_lost_error(error)

    def suspend_tasks(self) -> None:
        """Close all tasks' generators; whoever holds the seat next tells their callers."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.keep_slot()
            self._close(task)

    # -- a fork ------------------------------------------------------------

    def disown(self) -> None:
        """In a forked child: do nothing more in the parent's place."""
        for inlet in self.inlets.values():
            inlet.cut_off(self.leave)
        self.turn = self.leave  # type: ignore[method-assign]

    def leave(self, *_: object) -> NoReturn:
        """A forked child has come back from the component's code: it is not the worker."""
        os.write(2, b"a child that was forked by a method has returned from it, and is ended\n")
        os._exit(1)
