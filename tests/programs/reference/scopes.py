"""Reference of scopes.noodle."""

from __future__ import annotations

from noodle_values import out


def main() -> None:
    out("changed", "inner", "declared here")
    out("changed")
    for level in (2, 20, 1, 0):
        out("level", level)
    out("argument!", "global")
    out("local", "global")
    out("changed by a function")
    out([2])
    out("after the loop")
    out("i is", 0)
    out("i is", 1)
    out("after the loop")
    out(10 % 2 == 0, 7 % 2 == 0)
    out(42)
    out('"notYet" has no value yet')
    out(1)
    out((5 + 5) + 5 * 2)
    out("a function of a block")
    out("bound", 5)
    out("caught")
    out([10, 20], "kept")
    out(3, 4)
    out(None)
    out(1)
    out("my own len", 3)
    out(7)


if __name__ == "__main__":
    main()
