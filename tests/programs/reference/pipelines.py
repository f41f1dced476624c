"""Reference of pipelines.noodle."""

from __future__ import annotations

from collections import Counter

from noodle_values import out

SALES = [
    ("Rome", "tea", 30),
    ("Oslo", "tea", 12),
    ("Rome", "cake", 45),
    ("Lima", "cake", 9),
    ("Oslo", "cake", 28),
    ("Rome", "tea", 7),
]


def main() -> None:
    out(sum(n * n for n in range(2, 11, 2)))
    out([n * 10 for n in range(10, 0, -2)])
    out(10, 0, 7)
    out("A+B+C")
    out("3 > 2 > 1")
    out(3, 6, "x")
    out(20, 6)
    out(1)
    out(6)
    out(26)
    out(7)
    totals: Counter[str] = Counter()
    for city, _, amount in SALES:
        totals[city] += amount
    out(dict(totals))
    out({"tea": 3, "cake": 3})
    largest = sorted(SALES, key=lambda sale: -sale[2])[:3]
    out([f"{item} in {city}: {amount}" for city, item, amount in largest])
    teas = [(city, amount) for city, item, amount in SALES if item == "tea"]
    for city, amount in sorted(teas, key=lambda sale: sale[0]):
        out(city, amount)
    out(["a0", "b1", "c2"])
    out("0x,1y")
    squares = {n: n * n for n in range(1, 6)}
    out(squares, sum(squares), max(squares.values()))
    out([["a", "b"], ["c"], []], "ab")
    out("hello-noodle-world", ["a-b", "c"])


if __name__ == "__main__":
    main()
