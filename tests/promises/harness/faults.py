"""Hosts that break one promise, once. Each class is one way to do it."""

from __future__ import annotations

import copy
import itertools
from collections import deque
from dataclasses import replace
from typing import Any

from harness.effects import effects, is_command, wanted
from harness.history import Operation
from harness.simulator import Simulation

History = tuple[list[Operation], dict[str, Any]]


class LostWrite(Simulation):
    """A command is answered and has no effect."""

    def execute(self, operation: Operation) -> Any:
        if not self.strikes(is_command(operation)):
            return super().execute(operation)
        instance = self.instances[operation.component]
        before = copy.deepcopy(instance.snapshot())
        result = super().execute(operation)
        instance.restore(before)
        return result


class ExecutedTwice(Simulation):
    """A command is executed twice and answered once: a repetition after a crash."""

    def execute(self, operation: Operation) -> Any:
        if self.strikes(is_command(operation)):
            super().execute(operation)
        return super().execute(operation)


class UnacknowledgedTwice(Simulation):
    """A command is executed twice and its caller gets an error."""

    def execute(self, operation: Operation) -> Any:
        late = (operation.caller, operation.number) in self.answered
        if self.strikes(is_command(operation) and late):
            super().execute(operation)
        return super().execute(operation)


class Forgotten(Simulation):
    """The successor starts from a state that is older than the last answers."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._old = {name: [] for name in ("kv", "journal", "counter", "teller")}

    def execute(self, operation: Operation) -> Any:
        component = operation.component
        if component in self._old:
            instance = self.instances[component]
            old = self._old[component]
            if len(old) >= 2:
                (at, state), present = old[-2], instance.snapshot()
                missing = {e.request_id for e in effects_of(component, instance)[at:]}
                if self.strikes(bool(missing & self.acknowledged())):
                    instance.restore(state)
                    present = state
                old.append((len(effects_of(component, instance)), copy.deepcopy(present)))
            else:
                old.append(
                    (len(effects_of(component, instance)), copy.deepcopy(instance.snapshot()))
                )
        return super().execute(operation)


class Reordered(Simulation):
    """A caller's second command with a key is executed before the first."""

    def take(self, lane: deque[Operation]) -> Operation:
        same = (
            len(lane) > 1
            and is_command(lane[0])
            and is_command(lane[1])
            and wanted(lane[0]).key == wanted(lane[1]).key
        )
        if self.strikes(same):
            lane[0], lane[1] = lane[1], lane[0]
        return lane.popleft()


class ReadOvertakes(Simulation):
    """A caller's read is answered before the write that it was made after."""

    def take(self, lane: deque[Operation]) -> Operation:
        same = (
            len(lane) > 1
            and lane[0].method in ("put", "add")
            and lane[1].method == "get"
            and lane[0].arguments[0] == lane[1].arguments[0]
            # What others write as well might have changed in between.
            and lane[0].arguments[0].startswith(lane[0].caller)
        )
        if self.strikes(same):
            lane[0], lane[1] = lane[1], lane[0]
        return lane.popleft()


class StaleRead(Simulation):
    """A query is answered from a state that is older than what was acknowledged before it."""

    def execute(self, operation: Operation) -> Any:
        fresh = super().execute(operation)
        stale = self._stale(operation)
        return fresh if stale is None or not self.strikes(True) else stale[0]

    def _stale(self, operation: Operation) -> tuple[Any] | None:
        known = {
            o.arguments[-1]
            for diary in self.diaries.values()
            for o in diary.operations()
            if is_command(o)
            and o.acknowledged
            and (o.returned_at_ns or 0) < operation.invoked_at_ns
        }
        instance = self.instances[operation.component]
        if operation.method in ("get", "items", "total"):
            executed = effects_of(operation.component, instance)
        if operation.method == "get":
            own = [e for e in executed if e.key == operation.arguments[0]]
            # Only a put can be told from what may come later.
            for older, newer in itertools.pairwise(own):
                if older.method == "put" and newer.request_id in known and newer.method != "add":
                    return (older.argument,)
        elif operation.method == "items":
            for index, effect in enumerate(executed):
                if effect.request_id in known:
                    return (instance.items()[:index],)
        elif operation.method == "total":
            for effect in executed:
                if effect.request_id in known:
                    return (effect.result - effect.argument,)
        return None


class Phantom(Simulation):
    """Something is executed that nobody has asked for."""

    def execute(self, operation: Operation) -> Any:
        if self.strikes(is_command(operation)):
            request_id = f"{operation.arguments[-1]}0000"
            arguments = (*operation.arguments[:-1], request_id)
            self.perform(operation.component, operation.method, arguments)
        return super().execute(operation)


class OtherArguments(Simulation):
    """A command is executed with the arguments of another one."""

    def execute(self, operation: Operation) -> Any:
        if self.strikes(operation.method == "add" and is_command(operation)):
            *before, n, request_id = operation.arguments
            return super().execute(replace(operation, arguments=(*before, n + 1, request_id)))
        return super().execute(operation)


class NestedTwice(Simulation):
    """A successor repeats a nested call, and the callee does not know that it did."""

    def call_nested(self, component: str, method: str, arguments: tuple[Any, ...]) -> Any:
        if self.strikes(True):
            super().call_nested(component, method, arguments)
        return super().call_nested(component, method, arguments)


class NestedLost(Simulation):
    """A nested call is answered and has no effect: money is lost, or made."""

    def call_nested(self, component: str, method: str, arguments: tuple[Any, ...]) -> Any:
        if not self.strikes(component == "kv"):
            return super().call_nested(component, method, arguments)
        values = self.instances["kv"].snapshot()["values"]
        return values.get(arguments[0], 0) + arguments[1]


class OwnClock(Simulation):
    """A follower takes the time from its own clock: its state is not what was answered."""

    def execute(self, operation: Operation) -> Any:
        result = super().execute(operation)
        if self.strikes(operation.method == "transfer"):
            self.instances["teller"].transfers[-1][4] = [*result[:3], result[3] + 1.0, *result[4:]]
        return result


class AnsweredTwice(Simulation):
    """Old and new version both answer."""

    def answer(self, operation: Operation, result: Any) -> None:
        super().answer(operation, result)
        if self.strikes(True):
            super().answer(operation, result)


class NeverAnswered(Simulation):
    """A call is executed, and its answer is lost."""

    def answer(self, operation: Operation, result: Any) -> None:
        if self.strikes(True):
            self.answered[operation.caller, operation.number] = None
        else:
            super().answer(operation, result)


class Refused(Simulation):
    """A caller is told that the component is being replaced."""

    def answer(self, operation: Operation, result: Any) -> None:
        if self.strikes(True):
            self.answered[operation.caller, operation.number] = None
            error = ConnectionError("the component is being replaced, try again")
            self.diaries[operation.caller].end(operation, None, error)
        else:
            super().answer(operation, result)


class WrongAnswer(Simulation):
    """A caller is given the answer to an earlier call of the same method."""

    def answer(self, operation: Operation, result: Any) -> None:
        for earlier in self.diaries[operation.caller].operations():
            same = earlier.acknowledged and earlier.method == operation.method
            # Any value may have been there before a put, in theory; not so with sums.
            certain = operation.method in ("append", "add", "transfer")
            if self.strikes(same and certain and earlier.result != result):
                result = earlier.result
                break
        super().answer(operation, result)


class AnsweredTooEarly(Simulation):
    """A command is acknowledged, and executed after others that were made later."""

    def finish(self, operations: list[Operation], final: dict[str, Any]) -> History:
        items = final["journal"]
        asked = {o.arguments[0]: o for o in operations if o.method == "append"}
        for index in range(len(items) - 1):
            pair = [asked.get(item) for item in items[index : index + 2]]
            if None in pair or not all(o.acknowledged for o in pair):  # type: ignore[union-attr]
                continue
            first, second = pair
            assert first is not None
            assert second is not None
            assert first.returned_at_ns is not None
            if first.caller == second.caller or first.returned_at_ns >= second.invoked_at_ns:
                continue
            items = [*items[:index], items[index + 1], items[index], *items[index + 2 :]]
            told = {
                id(first): replace(first, result=second.result),
                id(second): replace(second, result=first.result),
            }
            self.struck = True
            # Whoever has read the journal in between would find out as well.
            kept = [told.get(id(o), o) for o in operations if o.method != "items"]
            return _renumbered(kept), {**final, "journal": items}
        return operations, final


class ValueGone(Simulation):
    """A migration keeps what was executed and loses what came of it."""

    def finish(self, operations: list[Operation], final: dict[str, Any]) -> History:
        values = dict(final["kv"]["values"])
        if values:
            self.struck = True
            del values[self.random.choice(sorted(values))]
        return operations, {**final, "kv": {**final["kv"], "values": values}}


class TotalOff(Simulation):
    """A migration loses a part of a number."""

    def finish(self, operations: list[Operation], final: dict[str, Any]) -> History:
        self.struck = True
        counter = final["counter"]
        return operations, {**final, "counter": {**counter, "total": counter["total"] - 1}}


class ItemTwice(Simulation):
    """A stream that is resumed sends its last item again."""

    def answer(self, operation: Operation, result: Any) -> None:
        if self.strikes(operation.method == "ticks"):
            at = self.random.randrange(len(result))
            result = [*result[:at], result[at], *result[at:]]
        super().answer(operation, result)


class ItemLost(Simulation):
    """A stream that is resumed leaves out an item."""

    def answer(self, operation: Operation, result: Any) -> None:
        if self.strikes(operation.method == "ticks"):
            at = self.random.randrange(len(result))
            result = [*result[:at], *result[at + 1 :]]
        super().answer(operation, result)


class StreamForgotten(Simulation):
    """The state does not know how far a stream has come."""

    def finish(self, operations: list[Operation], final: dict[str, Any]) -> History:
        told = [o.arguments[0] for o in operations if o.method == "ticks" and o.acknowledged]
        if told:
            self.struck = True
            stream_id = self.random.choice(told)
            positions = {**final["ticker"], stream_id: final["ticker"][stream_id] - 1}
            return operations, {**final, "ticker": positions}
        return operations, final


def effects_of(component: str, instance: Any) -> Any:
    query = {"kv": "dump", "journal": "items", "counter": "dump", "teller": "history"}[component]
    return effects(component, getattr(instance, query)())


def _renumbered(operations: list[Operation]) -> list[Operation]:
    """Close the gaps that calls that were left out have made."""
    next_number: dict[str, int] = {}
    told = []
    for operation in sorted(operations, key=lambda o: (o.caller, o.number)):
        number = next_number.get(operation.caller, 0)
        next_number[operation.caller] = number + 1
        told.append(replace(operation, number=number))
    return sorted(told, key=lambda o: o.invoked_at_ns)


#: All of them, with the components that callers call.
FAULTS: dict[type[Simulation], tuple[str, ...]] = {
    LostWrite: ("kv", "journal", "counter", "teller"),
    ExecutedTwice: ("kv", "journal", "counter", "teller"),
    UnacknowledgedTwice: ("kv", "journal", "counter", "teller"),
    Forgotten: ("kv", "journal", "counter", "teller"),
    Reordered: ("kv", "journal", "counter", "teller"),
    ReadOvertakes: ("kv",),
    StaleRead: ("kv", "journal", "counter"),
    Phantom: ("kv", "journal", "counter", "teller"),
    OtherArguments: ("kv", "counter"),
    NestedTwice: ("teller",),
    NestedLost: ("teller",),
    OwnClock: ("teller", "kv"),
    AnsweredTwice: ("kv", "adder", "ticker"),
    NeverAnswered: ("kv", "adder", "ticker"),
    Refused: ("kv", "adder", "ticker"),
    WrongAnswer: ("kv", "journal", "counter", "adder", "teller"),
    AnsweredTooEarly: ("journal",),
    ValueGone: ("kv",),
    TotalOff: ("counter",),
    ItemTwice: ("ticker", "kv"),
    ItemLost: ("ticker", "kv"),
    StreamForgotten: ("ticker", "kv"),
}
