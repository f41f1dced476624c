"""Reference of patterns.noodle."""

from __future__ import annotations

from noodle_values import NoodleSet, Wrapped, out, text


def line(*parts: str) -> None:
    out(" | ".join(parts))


def main() -> None:
    line("zero", "the answer", "minus one", "one and a half", "other: 7")
    line("a greeting", "an empty string", "yes", "other: false", "nothing")
    line("an empty list", "a list of 5", "zero and 2 more", "zero and 1 more")
    line("1, 2 and 3", "1, 2 and 3", "twins of 4", "other: [4, 5]")
    line("three up to 3", "other: [1, 2, 3, 4]", f"other: {text(['x', []])}")
    line("an empty shape", "a circle of 1.5", "a large circle")
    line("a square of 3", "a column of 5", "a box")
    nothing = Wrapped("Shape.Group", ([],))
    line("a group of nothing", "a group that begins with 2.0", f"other: {text(nothing)}")
    line("Ann, who is 31", "Bob, who was just born", "somebody of 101")
    line("the owner of Rex", "somebody called Rex", "somebody called a map")
    line("Ann, who is 2", "somebody of 120", "two words: a b")
    rest: list[object] = [{}, {"age": 5}, NoodleSet([1, 2])]
    line(*[f"other: {text(value)}" for value in rest])
    line("perhaps somebody of 8", "some 1", "none")
    line("success beginning with ok", "other: Success([])", "failed: reason")
    out("half of", 1, "is", 0.5)
    out("half of", 7, "is", 3.5)
    out(500, "none")
    out(1 + 20 * 2)
    out([1, "two", 3])
    out("1.0 is 1")
    out("true is not 1")
    out(1234)
    out("last", ["first", "second"])


if __name__ == "__main__":
    main()
