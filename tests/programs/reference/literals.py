"""Reference of literals.noodle."""

from __future__ import annotations

from noodle_values import NoodleSet, out


def main() -> None:
    out(42, 0, 255, 255, 10, 9223372036854775807)
    out(3.14159, 1.23e-4, 2000.0, 150.0, 0.5, 100.0)
    out(True, False, None, None)
    out("double", "single", "template 3")
    out("tab:\there", 'quote: "', "it's", "back\\slash", "two\nlines")
    out("'", '"', "`", "${1 + 2}", "${1 + 2}")
    out("escaped ${x} and ` tick")
    out("nested inner 6 and a map 1")
    out("a template\nmay span lines")
    out("", "after an empty string")
    out([1, 2.0, "three", "four", True, None, [5, []]])
    out({"a": 1, "b": [2, 3], "c": {"d": None}})
    out({1: "one", 2: "two"})
    out(NoodleSet([1, 2, 3]), NoodleSet(["x"]), NoodleSet([3, 1, 3, 1]))
    out([], {})
    out([1, 2], {"k": 1}, NoodleSet([7, 8]))
    out([10, 20, 30])
    out({"first": 1, "second": {"third": 3}})
    comment = "// no comment, # neither, /* nor this */"
    out(comment)
    out(len(comment))
    out("two statements on one line")
    out(-5, -2.5, 5, False, -0.0)


if __name__ == "__main__":
    main()
