"""Reference of stack_queue.noodle."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from noodle_values import out


@dataclass
class Queue:
    protectedItems: list[object]  # noqa: N815 - the name that the program prints
    name: str


def main() -> None:
    words = ["three", "by", "seven", "is", "twenty-one"]
    bounded = list(deque(words, 3))
    by_length = sorted(words, key=len)
    for described, kind, order in (
        ("stack of 5", "Stack", words[::-1]),
        ("queue of 5", "Queue", words),
        ("bounded queue of 3 (at most 3, 2 dropped)", "BoundedQueue", bounded),
        ("priority queue of 5", "PriorityQueue", by_length),
    ):
        out(described, kind)
        out("  first", order[0], "then", order[1:])
    out([True, True, True, False, False, True, False])
    out((3 + 4) * 2, 10 - 2 * 3)
    out("IndexError:", "the stack is empty")
    out("IndexError:", "the line is empty")
    out("TypeError:", "Container.take has no body")
    out("ValueError:", 'int() cannot read "two"')
    out([1, 2, 3], 0, Queue([], "queue"))


if __name__ == "__main__":
    main()
