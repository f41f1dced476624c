"""Reference of closures.noodle."""

from __future__ import annotations

import math

from noodle_values import Function, out


def main() -> None:
    out(1, 2, 3)
    out(1, 4)
    out(175)
    out("goodbye")
    out([0, 1, 2, 10, 11, 12, "a!", "b!"])
    out(5 * 5 + 1, 6 * 6)
    out(6)
    out([71, 72, 73])
    out("plus", 13)
    out("minus", 5)
    out(1024)
    out(16, 16, 25, 16, 2)
    out(math.factorial(10))
    out(Function("outer"), True, False)


if __name__ == "__main__":
    main()
