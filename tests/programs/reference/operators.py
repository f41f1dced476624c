"""Reference of operators.noodle."""

from __future__ import annotations

from noodle_values import out


def main() -> None:
    out(10, 4, 21, 7 / 2, 6 / 2, 1, 2**10)
    out(3.5, 2.5, 3.0, 0.25, 7.5 % 2, 8.0)
    out(0.5, 3.0)
    out(True, False, True, True, False, False)
    out(True, True, True, True, True)
    out(False, True, False, True)
    out(True, True, True)
    out(1 + 2 * 3, 9, 10 - 4 - 3, 100 / 10 / 5, 17 % 10 % 4)
    out(True, True, (1 < 2) is True, (4 > 3) == (2 > 1))
    out(True, False)
    out(True, True, True)
    out(True, True)
    out(2**3**2, (2**3) ** 2, -(2**2), 4, 18)
    out(2, 8, 6, 7, 10)
    out(False, ["a"])
    out(True, ["a", "c"])
    out(False, ["a", "c", "e", "f"])
    out(["1", "2", "3"])
    out(["x", "y", "z"])
    out(15)
    out(12)
    out(24)
    out(24 % 7)
    out(3 / 2)
    out(4)
    out([11, 3, 2])
    out({"a": 2, "b": 15})
    out("noodle5")
    out("n = 5", "5 = n", "f: 2.0", "b: true", "none: null")
    out('list: [1, "a"]', "33", "123")
    out([1, 2, 3], [])
    out(5, "less")
    out(6)
    out(9)
    out(-1, 0, 1)
    out(6)
    out(6)
    out(1, 2, 3)


if __name__ == "__main__":
    main()
