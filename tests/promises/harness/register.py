"""Whether what callers saw of one register can be explained by some order of the calls.

Just-in-time linearization: the calls are gone through as they were invoked and
returned, with all the states the register may be in by then. A call takes effect
somewhere in between, as late as possible: when it returns, or when one that
returns cannot be explained without it. Known previous values leave few choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: A history that leaves more states open than this is not decided.
MOST_STATES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Access:
    """One call to one register, which holds a number, or None at first and when deleted.

    Attributes:
        caller, number: accesses of one caller happen in the order of their numbers.
        method: ``put`` and ``delete`` give the previous value, ``add`` and ``get`` the
            present one.
        argument: of ``put`` and ``add``.
        returned_at_ns: None if it has no result: it may have happened, at any time after
            it was invoked, or not.
        label: what to call it in a sentence.
    """

    caller: str
    number: int
    method: str
    argument: int | None
    result: int | None
    invoked_at_ns: int
    returned_at_ns: int | None
    label: str = ""
    #: Its result is known although nobody was told: it did happen, at any time.
    happened: bool = False

    @property
    def is_known(self) -> bool:
        return self.returned_at_ns is not None or self.happened


#: The value and the accesses that have happened but not returned.
_State = tuple[int | None, frozenset[int]]


def apply(method: str, argument: int | None, value: int | None) -> tuple[int | None, int | None]:
    """Return (value afterwards, result) of a method on a register that holds ``value``.

    >>> apply("add", 2, None), apply("put", 7, 2), apply("delete", None, 7), apply("get", None, 7)
    ((2, 2), (7, 2), (None, 7), (7, 7))
    """
    if method == "add":
        assert argument is not None
        total = (value or 0) + argument
        return total, total
    if method == "get":
        return value, value
    return (argument if method == "put" else None), value


def unexplained(accesses: Iterable[Access]) -> Access | None:
    """Return the first access that no order of them explains, or None if one explains all.

    Raises:
        RuntimeError: too many orders are possible to look at all of them.
    """
    # A read without an answer has had no consequence.
    return _Search([a for a in accesses if a.is_known or a.method != "get"]).run()


def _befores(access: Access) -> tuple[int | None, ...]:
    """Return the values that a known access can have found."""
    if access.method != "add":
        return (access.result,)
    assert access.result is not None
    assert access.argument is not None
    before = access.result - access.argument
    return (before,) if before else (0, None)


class _Search:
    def __init__(self, accesses: Sequence[Access]) -> None:
        self._accesses = accesses
        self._open: set[int] = set()
        # Of one caller, those that come earlier have less.
        self._rank = [0] * len(accesses)
        for rank, index in enumerate(sorted(range(len(accesses)), key=self._number)):
            self._rank[index] = rank

    def _number(self, index: int) -> int:
        return self._accesses[index].number

    def run(self) -> Access | None:
        # At the same moment, what is invoked comes first: that allows more orders.
        events = [(a.invoked_at_ns, 0, a.number, i) for i, a in enumerate(self._accesses)]
        last = max((time for time, *_ in events), default=0) + 1
        for index, access in enumerate(self._accesses):
            if access.returned_at_ns is not None:
                last = max(last, access.returned_at_ns + 1)
                events.append((access.returned_at_ns, 1, access.number, index))
        # What is known to have happened has happened by the end.
        for index, access in enumerate(self._accesses):
            if access.returned_at_ns is None and access.happened:
                events.append((last, 1, access.number, index))
        states: set[_State] = {(None, frozenset())}
        for _, returned, _, index in sorted(events):
            if not returned:
                self._open.add(index)
                continue
            states = self._after(states, index)
            if not states:
                return self._accesses[index]
            if len(states) > MOST_STATES:
                raise RuntimeError(
                    f"{len(states)} states are possible at {self._accesses[index].label}; "
                    "use values that are unique, and fewer calls without an answer"
                )
            self._open.discard(index)
        return None

    def _after(self, states: set[_State], index: int) -> set[_State]:
        """Return the states in which the access has happened, without it among the open ones."""
        after: set[_State] = set()
        seen: set[_State] = set()
        stack = list(states)
        while stack:
            value, done = self._with_reads(stack.pop())
            if index in done:
                after.add((value, done - {index}))
                continue
            if (value, done) in seen:
                continue
            seen.add((value, done))
            if len(seen) > MOST_STATES:
                raise RuntimeError(
                    f"too many orders are possible at {self._accesses[index].label}; "
                    "use values that are unique, and fewer calls without an answer"
                )
            wanted, adds = self._wanted(done)
            for other in self._open - done:
                state = self._step(value, done, other)
                # What nobody is told of need not happen, unless for what comes next.
                if state is not None and (
                    self._accesses[other].is_known
                    or state[0] in wanted
                    or self._may_reach(wanted, state[0], adds - {other})
                ):
                    stack.append(state)
        return after

    def _may_reach(self, wanted: set[int | None], value: int | None, adds: Iterable[int]) -> bool:
        """Whether some of these adds could make one of the wanted values of this one."""
        arguments = [self._accesses[index].argument or 0 for index in adds]
        least = (value or 0) + sum(n for n in arguments if n < 0)
        most = (value or 0) + sum(n for n in arguments if n > 0)
        return bool(arguments) and any(
            least <= other <= most for other in wanted if other is not None
        )

    def _wanted(self, done: frozenset[int]) -> tuple[set[int | None], set[int]]:
        """Return the values that open accesses have found, and those that may find any."""
        wanted: set[int | None] = set()
        adds: set[int] = set()
        for index in self._open - done:
            access = self._accesses[index]
            if access.is_known:
                wanted.update(_befores(access))
            elif access.method == "add":
                adds.add(index)
        return wanted, adds

    def _with_reads(self, state: _State) -> _State:
        """Let the reads of the present value happen: that rules nothing out.

        Except what it would overtake.
        """
        value, done = state
        reads = [i for i in self._open - done if self._accesses[i].method == "get"]
        for index in sorted(reads, key=lambda i: self._accesses[i].number):
            after = self._step(value, done, index)
            if after is not None and after[1] == done | {index}:
                done = after[1]
        return value, done

    def _step(self, value: int | None, done: frozenset[int], index: int) -> _State | None:
        """Let one access happen; None if it cannot be the next."""
        access = self._accesses[index]
        afterwards, result = apply(access.method, access.argument, value)
        if access.is_known and result != access.result:
            return None
        # Of the same caller, what is known comes first, and what is not known to have
        # happened has not, and will not any more.
        overtaken = [
            i
            for i in self._open - done
            if self._accesses[i].caller == access.caller and self._rank[i] < self._rank[index]
        ]
        if any(self._accesses[i].is_known for i in overtaken):
            return None
        return afterwards, done | {index, *overtaken}
