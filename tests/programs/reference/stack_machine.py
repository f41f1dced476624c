"""Reference of stack_machine.noodle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from noodle_values import Wrapped, out


@dataclass
class Machine:
    stack: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    calls: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    steps: int = 0


def code(name: str, *payload: object) -> Wrapped:
    return Wrapped(f"Code.{name}", payload)


def collatz(n: int) -> Iterator[int]:
    while n != 1:
        yield n
        n = 3 * n + 1 if n % 2 else n // 2


def steps_at(n: int) -> int:
    """What the machine executes for one number of a sequence, counted by hand."""
    test_and_loop = 4 + 1 + 5
    if n % 2:
        return test_and_loop + 4 + 7
    halvings = n // 2
    return test_and_loop + 4 + 2 + halvings * (6 + 5) + 6 + 3


def main() -> None:
    # Ten rounds of 13, the test that fails, and what stands around them.
    out([math.factorial(10)], 4 + 10 * 13 + 4 + 3, "steps")
    rest = [code("Add"), code("Print"), code("Halt"), code("Jump", 1)]
    out([code("Push", 2), code("Push", 3), *rest], Machine(output=[5], steps=5))
    out("at", 1, "the stack is empty")
    out("KeyError", 'no key "nowhere" in the map')
    out("ValueError", 'cannot assemble ["fly", "away", "now"]')
    out("ValueError", 'int() cannot read "x"')
    out("DivisionError", "division by zero")
    sequences = [list(collatz(n)) for n in range(1, 26)]
    inner = sum(steps_at(n) for sequence in sequences for n in sequence)
    # Of each sequence: 4 to begin, 5 to leave the loop, 2 to print, 4 to count, 5 to go
    # on (the last one 4); 2 at the very beginning and 1 at the end.
    around = len(sequences) * (4 + 5 + 2 + 4 + 5) - 1 + 2 + 1
    out(list(map(len, sequences)), inner + around, "steps")


if __name__ == "__main__":
    main()
