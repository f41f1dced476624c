"""Reference of matrix.noodle."""

from __future__ import annotations

from noodle_values import out, text

Rows = list[list[float]]


def product(a: Rows, b: Rows) -> Rows:
    columns = list(zip(*b, strict=True))
    return [[sum(x * y for x, y in zip(r, c, strict=True)) for c in columns] for r in a]


def show(title: str, rows: Rows) -> None:
    out(title)
    for row in rows:
        out("  " + " ".join(map(text, row)))


def fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def main() -> None:
    a: Rows = [[1, 2, 3], [4, 5, 6]]
    b: Rows = [[7, 8], [9, 10], [11, 12]]
    show("a * b", product(a, b))
    show("b * a", product(b, a))
    show("a transposed", [list(row) for row in zip(*a, strict=True)])
    show("floats", product([[0.5, 0.25], [1.5, -2.0]], [[2, 0], [0, 4]]))
    out([fibonacci(n) for n in (1, 2, 10, 50, 90)])
    # The rule of Sarrus.
    out(2 * -1 * 2 + 0 * 4 * 5 + 1 * 3 * 2 - 1 * -1 * 5 - 2 * 4 * 2 - 0 * 3 * 2)
    out(1)
    out("cannot multiply 2x3 by 2x3")
    out(False, True)


if __name__ == "__main__":
    main()
