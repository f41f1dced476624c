"""Reference of table.noodle."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from noodle_values import out

PLANETS = [
    ("Mercury", 2439.7, 0, 57909000),
    ("Earth", 6371.0, 1, 149598000),
    ("Mars", 3389.5, 2, 227939000),
    ("Neptune", 24622.0, 16, 4503443000),
]


def fixed(value: float, decimals: int) -> str:
    rounded = Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return str(abs(rounded) if rounded == 0 else rounded)


def table(titles: list[str], rows: list[list[str]], left: set[int]) -> None:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in [titles, *rows]:
        cells = [f" {cell:{'<' if i in left else '>'}{widths[i]}} " for i, cell in enumerate(row)]
        out("|".join(cells))
        if row is titles:
            out("+".join("-" * (width + 2) for width in widths))


def main() -> None:
    table(
        ["planet", "radius", "moons", "distance", "Earths"],
        [
            [name, f"{radius:.2f}", str(moons), f"{distance:,}", f"{radius / 6371.0:.3f}"]
            for name, radius, moons, distance in PLANETS
        ],
        {0},
    )
    out()
    table(
        ["n", "square", "binary", "hex", "1/n", "stars"],
        [
            [str(n), str(n**2), f"{n:06b}", f"{n * n * 7:x}", f"{1 / n:.4f}", "*" * n]
            for n in (1, 2, 3, 5, 8, 13, 21)
        ],
        {5},
    )
    out()
    pairs = [(2.5, 0), (-0.125, 2), (-0.001, 2), (1000, 1), (0.05, 1)]
    out([fixed(*pair) for pair in pairs])
    out([f"{n:,}" for n in (0, 999, 1000, -1234567, 1000000000)])
    table(["nothing"], [], {0})


if __name__ == "__main__":
    main()
