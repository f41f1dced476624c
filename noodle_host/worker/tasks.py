"""The tasks of a leader: begun, stepped and closed, each written down before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ArgumentError, CallError, HostError, InvalidBuffer
from ..router import codec, layout
from ..router.journal import source
from ..router.lane import Record
from .executor import Executor, no_buffers
from .inlet import Inlet
from .keeper import Keeper
from .methods import Method
from .moment import Moment
from .task import Task, close, step
from .task_slot import TaskSlot

Key = tuple[int, int]
#: ``resume(method, arguments, items_sent)``: the component's hook.
Resume = Callable[[str, list[object], int], object]


class Tasks:
    """What runs between the calls. With a keeper, a step of a command is a command."""

    def __init__(
        self,
        executor: Executor,
        moment: Moment,
        resume: Resume | None,
        on_lost_error: Callable[[BaseException], None],
        *,
        has_state: bool,
    ) -> None:
        #: What to answer to a task that so many workers died of; None: go on.
        self._verdict: Callable[[int, int], HostError | None] = lambda method, deaths: None
        self._executor = executor
        self._moment = moment
        self._resume = resume
        self._on_lost_error = on_lost_error
        self._has_state = has_state
        self.keeper: Keeper | None = None
        #: Generators of commands that ran before this worker led, and go on.
        self.inherited: dict[Key, Iterator[object]] = {}
        self._running: dict[Key, Task] = {}

    def set_verdict(self, verdict: Callable[[int, int], HostError | None]) -> None:
        """Have ``verdict(method id, deaths)`` decide about tasks that workers died of."""
        self._verdict = verdict

    def __bool__(self) -> bool:
        return bool(self._running)

    def can_step(self) -> bool:
        return any(task.can_step() for task in self._running.values())

    # -- beginning -----------------------------------------------------------

    def begin(self, inlet: Inlet, record: Record, lease: bytes | memoryview) -> bool:
        """Begin the task of a request, or answer why not; False if the journal has no room."""
        call_id, number, flags = record[4], record[5], record[2]
        try:
            method = self._executor.method(number)
            if flags & layout.BUFFERS and self._has_state and not method.is_query:
                raise no_buffers()
            arguments = method.decode_arguments(lease, bool(flags & layout.BY_NAME))
            body = bytes(lease)
            if not method.is_stream:
                raise ArgumentError(
                    f"{method.name}() does not stream", hint="use call() instead of stream()"
                )
            slot = TaskSlot.take(inlet.end, call_id, number, flags, record[7], body)
            if slot is None:
                # Letting it wait would let the credits behind it wait, and so all
                # the others, for ever.
                raise CallError(
                    f"{layout.TASK_SLOTS} streams are open from one caller to one worker",
                    component=self._executor.component,
                    version=self._executor.version,
                    hint="end or close some before opening more, or start more replicas",
                )
        except BaseException as error:
            inlet.reply(layout.ERROR, call_id, self._executor.error(error))
            return True
        is_command = self._has_state and not method.is_query
        entry = -1
        if is_command and self.keeper is not None:
            order = self._moment.order + 1
            inlet.stamp(record[0], layout.WORD_ORDER, order)
            entry = self._write(layout.STREAM, inlet.channel, call_id, number, flags, body)
            if entry < 0:
                inlet.stamp(record[0], layout.WORD_ORDER, 0)
                slot.free()
                return False
        self._moment.deadline_ns = record[7]
        try:
            items = _iterator(method.function(*arguments))
        except BaseException as error:
            slot.free()
            inlet.reply(layout.ERROR, call_id, self._executor.error(error))
        else:
            task = Task(inlet, slot, items, is_command=is_command)
            self._running[inlet.channel, call_id] = task
        if entry >= 0:
            self._answered(entry, layout.STATUS_ANSWERED)
        return True

    def take_up(self, inlet: Inlet) -> None:
        """Go on with the tasks that an earlier holder has left in a channel."""
        unread = inlet.peek()
        for first in list(inlet.end.task_slots()):
            slot = TaskSlot(inlet.end, first)
            key = inlet.channel, slot.call_id
            is_unread = unread is not None and unread[1] == layout.STREAM and unread[4] == key[1]
            if is_unread and key not in self.inherited:
                # Its holder died before it was begun; the request still stands.
                continue
            method = self._executor.methods.get(slot.method)
            is_command = self._has_state and (method is None or not method.is_query)
            slot.settle_item()
            items = self.inherited.pop(key, None)
            deaths = slot.count_death()
            dropping = 0
            if items is None:
                try:
                    self._check_repeatable(method, deaths)
                    items, dropping = self._resumed(method, slot)
                except BaseException as error:
                    inlet.reply(layout.ERROR, slot.call_id, self._executor.error(error))
                    slot.free()
                    continue
            self._running[key] = Task(inlet, slot, items, is_command=is_command, dropping=dropping)

    def _check_repeatable(self, method: Method | None, deaths: int) -> None:
        error = self._verdict(0 if method is None else method.method_id, deaths)
        if error is not None:
            raise error

    def _resumed(self, method: Method | None, slot: TaskSlot) -> tuple[Iterator[object], int]:
        if method is None:
            self._executor.method(slot.method)
        assert method is not None
        if slot.has_buffers:
            raise InvalidBuffer(
                f"{method.name}() was called with buffers, and cannot go on in another worker",
                hint="call it again",
            )
        if self._has_state and not method.is_query and self.keeper is not None:
            # It is not among those that were followed: it had not begun.
            raise self._cannot_move(method)
        if self._resume is None and (method.is_query or not self._has_state):
            arguments = method.decode_arguments(slot.body, slot.by_name)
            return _iterator(method.function(*arguments)), slot.items
        return self.resumed(method, slot.body, slot.by_name, slot.items), 0

    def resumed(
        self, method: Method, body: bytes, by_name: bool, items_sent: int
    ) -> Iterator[object]:
        """The component's own generator that goes on with a task.

        Raises:
            HostError: it has none.
            Exception: what the component raised.
        """
        if self._resume is None:
            raise self._cannot_move(method)
        arguments: Any = codec.decoder_for(None).decode(body)
        if by_name:
            arguments = [*arguments[0], arguments[1]]
        return _iterator(self._resume(method.name, list(arguments), items_sent))

    def _cannot_move(self, method: Method) -> HostError:
        return CallError(
            f"the task {method.name}() cannot go on in another worker",
            component=self._executor.component,
            version=self._executor.version,
            hint="implement resume(), or mark it @query if it only reads",
        )

    # -- under way -----------------------------------------------------------

    def grant(self, channel: int, call_id: int, items: int) -> None:
        """The consumer has made room for more items."""
        task = self._running.get((channel, call_id))
        if task is not None:
            task.grant(items)

    def step(self) -> bool:
        """Step each task once that can be; True if there was any."""
        worked = False
        for key, task in tuple(self._running.items()):
            if task.expired:
                worked = self._close(key) or worked
            elif task.can_step():
                worked = self._step(key, task) or worked
        return worked

    def _step(self, key: Key, task: Task) -> bool:
        moment = self._moment
        effects, numbers = moment.effects, moment.numbers
        # Its steps have no order of their own that a successor would give again.
        moment.numbers = None
        entry = -1
        if task.is_command and self.keeper is not None:
            entry = self._write(layout.STEP, key[0], key[1], 0, 0, b"")
            if entry < 0:
                moment.numbers = numbers
                return False
        else:
            moment.effects = None
        moment.deadline_ns = task.deadline_ns
        task.slot.set_stepping(True)
        kind, body = step(task.items, self._executor)
        moment.effects, moment.numbers = effects, numbers
        task.send(kind, body, moment.order)
        task.slot.set_stepping(False)
        if task.ended:
            self._running.pop(key, None)
        if entry >= 0:
            assert self.keeper is not None
            self._answered(entry, self.keeper.answered(kind, body))
        return True

    def cancel(self, channel: int, call_id: int) -> None:
        """The caller has taken the stream back."""
        key = channel, call_id
        if key in self._running and not self._close(key):
            # Without room to write it down, it ends at its next step.
            self._running[key].deadline_ns = 1

    def detach(self, channel: int) -> None:
        """The caller is gone: its tasks end."""
        for key in [key for key in self._running if key[0] == channel]:
            self.cancel(*key)

    def _close(self, key: Key) -> bool:
        task = self._running[key]
        entry = -1
        if task.is_command and self.keeper is not None:
            entry = self._write(layout.CLOSE, key[0], key[1], 0, 0, b"")
            if entry < 0:
                return False
        del self._running[key]
        # It may call others to clean up, whatever the deadline of the last call was.
        self._moment.deadline_ns = 0
        effects = self._moment.effects
        if entry < 0:
            self._moment.effects = None
        error = close(task.items)
        self._moment.effects = effects
        if error is not None:
            self._on_lost_error(error)
        task.end()
        if entry >= 0:
            self._answered(entry, layout.STATUS_ANSWERED)
        return True

    def _write(
        self, kind: int, channel: int, call_id: int, number: int, flags: int, body: bytes
    ) -> int:
        keeper = self.keeper
        assert keeper is not None
        if not keeper.has_room():
            return -1
        order = self._moment.order + 1
        origin = source(0, channel)
        entry = keeper.writer.write(
            kind, flags & ~layout.SLAB, call_id, number, origin, order, body
        )
        if entry >= 0:
            self._moment.order = order
        return entry

    def _answered(self, entry: int, status: int) -> None:
        keeper = self.keeper
        assert keeper is not None
        keeper.writer.set_status(entry, status)
        keeper.after(self._moment.order)

    # -- handing over --------------------------------------------------------

    def kept(self) -> list[tuple[int, int, int, bool, bytes, int]]:
        """What a snapshot holds of commands that are under way."""
        return [
            (*key, task.slot.method, task.slot.by_name, task.slot.body, task.slot.items)
            for key, task in self._running.items()
            if task.is_command
        ]

    def check_can_move(self) -> None:
        """Raise HostError if a command is under way that no other worker can go on with."""
        for task in self._running.values():
            if task.is_command and self._resume is None:
                raise self._cannot_move(self._executor.method(task.slot.method))

    def end(self) -> None:
        """Close all; whoever holds the seat next tells their callers."""
        for items in self.suspend().values():
            error = close(items)
            if error is not None:
                self._on_lost_error(error)

    def suspend(self) -> dict[Key, Iterator[object]]:
        """Run them no more; return the generators of commands, if they are journaled.

        The slots stay: whoever holds the seat next goes on.
        """
        running, self._running = self._running, {}
        keep = {}
        for key, task in running.items():
            if task.is_command and self.keeper is not None:
                keep[key] = task.items
            else:
                error = close(task.items)
                if error is not None:
                    self._on_lost_error(error)
        return keep


def _iterator(items: object) -> Iterator[object]:
    if not isinstance(items, Iterator):
        raise TypeError(f"an iterator is needed, not {type(items).__name__}")
    return items
