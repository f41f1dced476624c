"""Reference of integers.noodle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count, islice

from noodle_values import INT_MAX, INT_MIN, NoodleError, checked, out


def attempt(label: str, value: Callable[[], int]) -> None:
    try:
        out(label, checked(value(), label))
    except NoodleError:
        out(label, "overflows")
    except ZeroDivisionError:
        out(label, "divides by zero")


def fibonaccis() -> Iterator[tuple[int, int]]:
    """The next value, and the largest number computed on the way to it."""
    a, b = 0, 1
    while True:
        a, b = b, a + b
        yield a, b


def largest(values: Iterator[int]) -> list[int]:
    fitting: list[int] = []
    for value in values:
        if not INT_MIN <= value <= INT_MAX:
            break
        fitting.append(value)
    return [len(fitting), fitting[-1]]


def main() -> None:
    pairs = ((7, 2), (-7, 2), (7, -2), (-7, -2))
    out(*[a // b for a, b in pairs])
    out(*[a % b for a, b in pairs])
    out(2, -2, 0, 0, 0, 0)
    out(3.5, -3.5, 2.0)
    out(7.5 % 2, -7.5 % 2, 7.5 % -2)
    out(True)
    out(INT_MAX, INT_MIN)
    out(-1, INT_MAX, INT_MIN)
    out(3037000499**2, INT_MIN, 2**62, INT_MIN)
    out(INT_MAX // 2, INT_MAX % 10, INT_MIN // 10, INT_MIN % 10)
    zero = 0
    attempt("max + 1", lambda: INT_MAX + 1)
    attempt("min - 1", lambda: INT_MIN - 1)
    attempt("max * 2", lambda: INT_MAX * 2)
    attempt("-min", lambda: -INT_MIN)
    attempt("-max", lambda: -INT_MAX)
    attempt("2 ** 63", lambda: 2**63)
    attempt("2 ** 62", lambda: 2**62)
    attempt("abs(min)", lambda: abs(INT_MIN))
    attempt("div(min, -1)", lambda: INT_MIN // -1)
    attempt("min % -1", lambda: INT_MIN % -1)
    attempt("3037000500 ** 2", lambda: 3037000500**2)
    attempt("sum", lambda: INT_MAX + 1)
    attempt("1 / 0", lambda: 1 // zero)
    attempt("div(1, 0)", lambda: 1 // zero)
    attempt("1 % 0", lambda: 1 % zero)
    attempt("1.5 / 0", lambda: int(1.5 / zero))
    out("n is still", INT_MAX)
    out("n is still", INT_MIN)
    out(largest(math.factorial(k) for k in count(1)))
    # Each step also computes the number after the one it gives.
    steps = [a for a, b in islice(fibonaccis(), 100) if b <= INT_MAX]
    out([len(steps), steps[-1]])
    out(largest(3**k for k in count(1)), largest((-2) ** k for k in count(1)))
    out(2.0, 1.0, 1.5, 4.0, True)
    out(3, -3, 42, -17, 1, 3.0, 2.5, 1000.0)
    out(2, -3, 3, -2, 2, 3, -3)
    out(4, 4.5, 1, 3, 2, 8, 6, 7.0)


if __name__ == "__main__":
    main()
