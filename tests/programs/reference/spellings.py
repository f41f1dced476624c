"""Reference of spellings.noodle."""

from __future__ import annotations

from noodle_values import out


def main() -> None:
    out(6, 12, 20, 30)
    out(11, 12, 13, 4, 5.5, "six", 7, 8)
    out("A", "B", "C", "F")
    out("A", "B", "C", "F")
    out(None, None, True)
    for x in (1, 2):
        out("with parentheses", x)
    for x in (3, 4):
        out("without", x)
    for k, v in {"one": 1, "two": 2, "three": 3}.items():
        out(k, v)
    for i in range(2):
        out("counting", i)
    for i in range(5, 7):
        out("range", i)
    out(8)
    out(8, 10, 12, 15)
    out("quotes", "quotes", "quotes")
    out("with parentheses")
    out("without parentheses")
    out([1, 2, 3], 3, 3)
    out(["k"], ["k"])
    out(1, 2, 3)
    out(2, 4, 6)
    out([2, 4, 6], [2, 4, 6])


if __name__ == "__main__":
    main()
