"""Reference of arguments.noodle."""

from __future__ import annotations

from dataclasses import dataclass

from noodle_values import Wrapped, out


@dataclass
class Point:
    x: int
    y: int = 0
    label: str | None = None


@dataclass
class Account:
    owner: str
    balance: float


def main() -> None:
    out("2x1x2", "2x3x6", "2x3x4")
    out("2x1x2", "2x1x9", "2x3x6", "2x5x0")
    out("Hello, Ann", "Good morning, Bob", "Hi, Cleo")
    out(0, 1, 3, "none: ", "two: 1 2")
    out("4x5x6", len([0, 4, 5, 6, 7, 8, 9]), "all: 1 4 5 6")
    out([0, 4, 5, 6, 7])
    out([1], [2], [0, 3], [4])
    out([6], [1, 5], 5)
    out(3**2, 2**10, 2**3, 6, 0)
    out(Point(1), Point(1, 2), Point(4, 5), Point(1, label="here"))
    word = "Token.Word"
    out(Wrapped(word, ("a", 1)), Wrapped(word, ("b", 2)), Wrapped("Token.End"))
    out(Account("Ann", 0.0), Account("Bob", 2.5 + 3 * 0.5))
    out("int", "string", True, False, 4, 6)
    out(5, "five")
    out("box() takes 1 to 3 arguments, not 0")
    out("box() takes 1 to 3 arguments, not 4")
    out('box() has no parameter "size"')
    out('box() got argument "width" twice')
    out("labelled() takes at least 1 argument, not 0")
    out("change() takes 2 arguments, not 1")
    out('argument "value" of kind() must be int | string, not float')
    out('argument "x" of Point() must be int, not string')
    out("Account() takes 1 to 2 arguments, not 0")


if __name__ == "__main__":
    main()
