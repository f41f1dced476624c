"""Reference of containers.noodle."""

from __future__ import annotations

from noodle_values import NONE, NoodleSet, out, some


def main() -> None:
    xs = [5, 3, 8, 1, 9, 2]
    out(xs, 6, 6)
    out(xs.pop(1), xs)
    out(xs.pop(), xs)
    out(xs[0], xs[-1], xs[1:3], xs[:2], xs[2:], xs[-2:], xs[1:100], xs[3:1])
    out(xs[1:3])
    xs[0], xs[-1] = 50, 90
    out(xs)
    out(sorted(xs), xs[::-1], xs)
    out(sorted(["pear", "apple", "fig", "Banana"]), sorted([2.5, 1, -3, 2]))
    out(0, 3.5, 6)
    out(8 in xs, 7 in xs, True, True)
    out([x * 2 for x in xs], [x for x in xs if x > 10], sum(xs))
    out([[1, "a"], [2, "b"], [3, "c"]], [[1, "a"], [2, "b"]])
    out([[0, "a"], [1, "b"]])
    out("a-b-c", "", "a b c".split(" "), "a--b".split("-"))
    out(len(xs) + 1, len(xs))
    grid = [[0, 1, 2], [3, 100, 5], [6, 7, 8]]
    out(grid, 6)
    ages = {"Zoe": 31, "Adam": 25, "Mia": 41, "Bob": 19}
    out(ages, 4)
    out(list(ages), list(ages.values()), list(ages))
    for name, age in ages.items():
        out(name, "is", age)
    out("Mia:", 41)
    out("no Max")
    out(some(ages.pop("Adam")), NONE, ages)
    out(["Zoe", "Mia", "Bob", "Adam"])
    out(some(19), NONE)
    out("no such key")
    out({3: "three", 1: "one", 2: "two"}, "one", [1, 2, 3])
    out({"list": [1, {"deep": NoodleSet([1, 2, 3])}]})
    s = NoodleSet([3, 1, 2])
    out(s.add(5), s.add(1), s, len(s))
    out(5 in s, 6 in s, s.remove(3), s.remove(3), s)
    s.add(3)
    out(s, NoodleSet([*s.items, 9, 10]), s)
    seen = NoodleSet("the cat and the dog and the bird".split(" "))
    out(seen, len(seen))
    out("x")
    out("y")
    phrase = "  Hello, World  "
    out(phrase.strip(), phrase.upper(), phrase.lower(), len(phrase))
    out(phrase.replace("o", "0"), ["a", "b", "c"], "b", "bcd")


if __name__ == "__main__":
    main()
