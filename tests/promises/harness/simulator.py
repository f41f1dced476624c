"""A host in one thread, with the real components and a clock of steps: histories to check.

What it does is right: each component executes one call at a time, callers' calls in
order, and answers come at any time later. Its subclasses in ``faults`` do one thing
that breaks a promise.
"""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path
from typing import Any

from harness.effects import is_command
from harness.history import Diary, Operation
from harness.mix import Mix

from hookspecs import SAFE_POINT

PLUGINS = Path(__file__).parent.parent / "plugins"
#: What calls under way one caller may have.
_WINDOW = 3


def load_class(name: str, version: str) -> Any:
    """The class of a component, imported into this process."""
    path = PLUGINS / name / version / f"{name}.py"
    # Not imported: that would leave compiled files among the plugins.
    module = {"__name__": f"{name}_{version[0]}"}
    exec(compile(path.read_text(), path, "exec"), module)
    return module[name.title()]


class SimulatedContext:
    """The context of a component: nested calls go straight to the other component."""

    version = "1.0.0"

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.random = random.Random(0)

    def time_s(self) -> float:
        return float(self._simulation.clock_ns())

    def call(self, component: str, method: str, *arguments: Any, key: Any = None) -> Any:
        return self._simulation.call_nested(component, method, arguments)


class Simulation:
    """One run.

    Args:
        seed: decides everything.
        components: those that callers call.
        calls: how many each of the three callers makes.
        error_share: the part of the calls that end in an error; some of these are
            executed before, some later, some never.
    """

    def __init__(
        self,
        seed: int,
        classes: dict[str, Any],
        components: tuple[str, ...],
        calls: int = 30,
        error_share: float = 0.0,
    ) -> None:
        self.random = random.Random(seed)
        #: Whether the fault of a subclass has happened.
        self.struck = False
        self.instances = {name: cls() for name, cls in classes.items()}
        self._now_ns = 0
        for instance in self.instances.values():
            instance.start(SimulatedContext(self))
        self._calls = calls
        self._error_share = error_share
        names = [f"caller{n}" for n in range(3)]
        self.diaries = {name: Diary(name, self.clock_ns) for name in names}
        self._mixes = {
            name: Mix(name, n, components, self.random.getrandbits(32))
            for n, name in enumerate(names)
        }
        self.lanes: dict[tuple[str, str], deque[Operation]] = {
            (name, component): deque() for name in names for component in components
        }
        self._answers: list[tuple[Operation, Any]] = []
        #: Calls that were answered, by (caller, number), and with what.
        self.answered: dict[tuple[str, int], Any] = {}
        self._strike_after = self.random.randrange(3)

    def clock_ns(self) -> int:
        self._now_ns += 1
        return self._now_ns

    def run(self) -> tuple[list[Operation], dict[str, Any]]:
        """Return the history and the final state."""
        while actions := self._actions():
            action, *what = self.random.choice(actions)
            action(*what)
        operations = [o for diary in self.diaries.values() for o in diary.operations()]
        operations.sort(key=lambda o: o.invoked_at_ns)
        queries = {
            "kv": "dump",
            "journal": "items",
            "counter": "dump",
            "teller": "history",
            "ticker": "positions",
        }
        final = {c: getattr(self.instances[c], query)() for c, query in queries.items()}
        return self.finish(operations, final)

    # -- what subclasses get wrong -----------------------------------------

    def execute(self, operation: Operation) -> Any:
        """Execute a call; return its result."""
        return self.perform(operation.component, operation.method, operation.arguments)

    def call_nested(self, component: str, method: str, arguments: tuple[Any, ...]) -> Any:
        """Execute a call that another component makes; others come in between."""
        waiting = [lane for lane in self.lanes if lane[1] in ("kv", "journal") and self.lanes[lane]]
        if waiting and self.random.random() < 0.3:
            self._execute(self.random.choice(waiting))
        return self.perform(component, method, arguments)

    def take(self, lane: deque[Operation]) -> Operation:
        """Take the call that is executed next from a caller's lane."""
        return lane.popleft()

    def answer(self, operation: Operation, result: Any) -> None:
        """Tell the caller."""
        self.answered[operation.caller, operation.number] = result
        self.diaries[operation.caller].end(operation, result)

    def finish(
        self, operations: list[Operation], final: dict[str, Any]
    ) -> tuple[list[Operation], dict[str, Any]]:
        return operations, final

    def strikes(self, can: bool) -> bool:
        """Whether the fault is to happen now; ``can`` says that it would be one.

        It happens once, at one of the first opportunities.
        """
        if self.struck or not can:
            return False
        self._strike_after -= 1
        self.struck = self._strike_after < 0
        return self.struck

    # -- the machine -------------------------------------------------------

    def perform(self, component: str, method: str, arguments: tuple[Any, ...]) -> Any:
        result = getattr(self.instances[component], method)(*arguments)
        if method == "ticks":
            return [item for item in result if item is not SAFE_POINT]
        # As if it had been sent: the caller's is not the component's own.
        return list(result) if isinstance(result, list) else result

    def _actions(self) -> list[tuple[Any, ...]]:
        actions: list[tuple[Any, ...]] = []
        for name, diary in self.diaries.items():
            done = sum(caller == name for caller, _ in self.answered)
            if diary.next_number < self._calls and diary.next_number - done < _WINDOW:
                actions.append((self._invoke, name))
        for lane, waiting in self.lanes.items():
            if waiting:
                actions.append((self._execute, lane))
        actions += [(self._deliver, index) for index in range(len(self._answers))]
        return actions

    def _invoke(self, name: str) -> None:
        diary = self.diaries[name]
        component, method, arguments, _ = self._mixes[name].request(diary.next_number)
        operation = diary.begin(component, method, arguments)
        if self.random.random() >= self._error_share:
            self.lanes[name, component].append(operation)
            return
        # A deadline has passed: before it was executed, or before it was sent.
        if self.random.random() < 0.7:
            self.lanes[name, component].append(operation)
        self._fail(operation)

    def _fail(self, operation: Operation) -> None:
        self.answered[operation.caller, operation.number] = None
        partial = [] if operation.method == "ticks" else None
        self.diaries[operation.caller].end(operation, partial, TimeoutError("too late"))

    def _execute(self, lane: tuple[str, str]) -> None:
        operation = self.take(self.lanes[lane])
        result = self.execute(operation)
        if (operation.caller, operation.number) in self.answered:
            return
        if self.random.random() < self._error_share:
            self._fail(operation)
        else:
            self._answers.append((operation, result))

    def _deliver(self, index: int) -> None:
        self.answer(*self._answers.pop(index))

    # -- for subclasses ----------------------------------------------------

    def acknowledged(self) -> set[str]:
        """The request ids of the commands that were answered with a result."""
        return {
            operation.arguments[-1]
            for diary in self.diaries.values()
            for operation in diary.operations()
            if is_command(operation) and operation.acknowledged
        }
