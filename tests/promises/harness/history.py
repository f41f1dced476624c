"""What callers asked and what they got: the history that promises are checked against."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, as its caller saw it.

    Attributes:
        caller: who made it. Callers of one history have different names.
        number: which call of that caller it is, from 0, in the order they were made.
        arguments: by position; those of commands end with the request id.
        invoked_at_ns: CLOCK_MONOTONIC before it was made.
        returned_at_ns: CLOCK_MONOTONIC after it was answered, None if it never was.
        result: what came back; of a stream, the list of its items.
        error: type and text of what was raised instead, None if nothing was.
    """

    caller: str
    number: int
    component: str
    method: str
    arguments: tuple[Any, ...]
    invoked_at_ns: int
    returned_at_ns: int | None = None
    result: Any = None
    error: str | None = None

    @property
    def acknowledged(self) -> bool:
        """It was answered with a result. If not, it may have been executed all the same."""
        return self.returned_at_ns is not None and self.error is None

    def __str__(self) -> str:
        arguments = ", ".join(map(repr, self.arguments))
        return f"{self.caller}'s call {self.number}, {self.component}.{self.method}({arguments})"


class Diary:
    """What one caller writes down; only that caller's thread may."""

    def __init__(self, caller: str, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.caller = caller
        self._clock_ns = clock_ns
        self._begun: list[Operation] = []
        self._ended: list[Operation] = []

    @property
    def next_number(self) -> int:
        return len(self._begun)

    def begin(self, component: str, method: str, arguments: tuple[Any, ...]) -> Operation:
        """Write down a call that is about to be made."""
        operation = Operation(
            self.caller, len(self._begun), component, method, arguments, self._clock_ns()
        )
        self._begun.append(operation)
        return operation

    def end(self, operation: Operation, result: Any = None, error: object = None) -> None:
        """Write down the answer. A second one of the same call is written down too."""
        now = self._clock_ns()
        said = f"{type(error).__name__}: {error}" if error is not None else None
        self._ended.append(replace(operation, returned_at_ns=now, result=result, error=said))

    def operations(self) -> list[Operation]:
        ended = {operation.number for operation in self._ended}
        return self._ended + [o for o in self._begun if o.number not in ended]


class History:
    """The diaries of all callers."""

    def __init__(self) -> None:
        self._diaries: dict[str, Diary] = {}

    def diary(self, caller: str) -> Diary:
        """A new diary."""
        if caller in self._diaries:
            raise ValueError(f"there is a caller {caller!r} already")
        diary = self._diaries[caller] = Diary(caller)
        return diary

    def operations(self) -> list[Operation]:
        """All calls in the order of their invocation; complete once the callers have ended."""
        operations = [o for diary in self._diaries.values() for o in diary.operations()]
        return sorted(operations, key=lambda o: (o.invoked_at_ns, o.caller, o.number))
