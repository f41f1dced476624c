"""Reference of printing.noodle."""

from __future__ import annotations

from dataclasses import dataclass

from noodle_values import NONE, Function, NoodleSet, Wrapped, failure, out, some, success, text


@dataclass
class Person:
    name: str
    age: int


@dataclass
class Contact:
    owner: Person
    tags: list[str]
    email: str | None


@dataclass
class Dog:
    name: str
    tricks: list[str]


def main() -> None:
    add = Function("add")
    custom = Wrapped("Color.Custom", (255,))
    green = Wrapped("Color.Green")
    out(1, -1, 0, 1000000)
    out(1.0, 0.1, 2.5, -3.25, 100.0, 123456.789, 0.1 + 0.2, 1.0 / 3)
    out(True, False, None)
    out("top level", ["in a list"], {"in": "a map"}, NoodleSet(["in a set"]))
    out([1, "a", [2, "b"], None, 1.5])
    out({"k": 1, "l": [1, {"m": "n"}]})
    out(NoodleSet([1, 2]), NoodleSet("ba"))
    out(Person("Ann", 3), Person("Bob", 4))
    out([Person("Eve", 5)])
    out(Contact(Person("Ann", 3), ["x", "y"], "a@b.c"))
    out(Wrapped("Color.Red"), custom, Wrapped("Color.Mixed", (green, 0.5)), [green])
    out(Dog("Rex", ["sit", "roll"]))
    out(some(1), NONE, success(1), failure("x"), [some("a"), NONE], some([some(2.0)]))
    out(add, [add])
    values = [
        1,
        2.0,
        True,
        None,
        "s",
        [1, "a"],
        {"k": "v"},
        NoodleSet([1]),
        Person("Ann", 3),
        Wrapped("Color.Custom", (7,)),
        some("z"),
        add,
    ]
    for value in values:
        out(text(value), True, True, "string")
    out("int", "float", "string", "bool", "Person", "Dog", "Color")
    out("quoted", ["quoted"], 'it "is"')
    out()
    out("a", "", "b")
    out("no\tescape", ['quote " inside'])


if __name__ == "__main__":
    main()
