"""Reference of nqueens.noodle."""

from __future__ import annotations

from itertools import permutations

from noodle_values import out


def solutions(size: int) -> list[tuple[int, ...]]:
    """In the order of permutations, which is that of a search column by column."""
    return [
        columns
        for columns in permutations(range(size))
        if len({row + column for row, column in enumerate(columns)}) == size
        and len({row - column for row, column in enumerate(columns)}) == size
    ]


def main() -> None:
    for size in range(1, 10):
        found = solutions(size)
        pairs = {frozenset({s, tuple(size - 1 - c for c in s)}) for s in found}
        out(f"{size}: {len(found)} solutions, {len(pairs)} without mirror images")
    for column in solutions(6)[0]:
        out(" ".join("Q" if other == column else "." for other in range(6)))
    out(solutions(9)[351])


if __name__ == "__main__":
    main()
