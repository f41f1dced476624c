"""Reference of options.noodle."""

from __future__ import annotations

import math

from noodle_values import NONE, Wrapped, failure, out, some, success

BOSSES = {"ann": "bob", "bob": "cleo"}


def option(value: object) -> Wrapped:
    return NONE if value is None else some(value)


def square(text: str) -> str:
    if not text.lstrip("-").isdigit():
        return "not a number: " + text
    n = int(text)
    if n <= 0:
        return f"{n} is not positive"
    r = math.isqrt(n)
    return f"{r} * {r}" if r * r == n else f"{n} is no square"


def main() -> None:
    for name in ("ann", "bob", "cleo", "dan"):
        boss = BOSSES.get(name)
        second = BOSSES.get(boss or "")
        out(name, option(boss), option(second), second or "nobody")
    out(some(8), NONE, some(some(1)))
    for source in ("49", "50", "-4", "x4"):
        out(f"{source}: {square(source)}")
    out(success([1, 2, 3]))
    out(failure("not a number: two"))
    out(True, False, True, False, False)
    out(True, True, True)
    out("found", 1, "deep")
    out("nothing")
    out("two layers of 5")
    out("a negative number")
    out("one layer of text")
    out("one layer of None")
    out("bare 5")
    out("bare null")
    for item, told in (("tea", "3 left"), ("milk", "sold out"), ("cake", "never had it")):
        out(item + ":", told)
    out([some(3), NONE])


if __name__ == "__main__":
    main()
