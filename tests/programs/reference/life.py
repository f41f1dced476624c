"""Reference of life.noodle."""

from __future__ import annotations

from collections import Counter
from itertools import product

from noodle_values import out

WIDTH, HEIGHT = 24, 16

Cells = set[tuple[int, int]]


def step(cells: Cells) -> Cells:
    near = Counter(
        ((x + dx) % WIDTH, (y + dy) % HEIGHT)
        for (x, y), (dx, dy) in product(cells, product((-1, 0, 1), repeat=2))
        if dx or dy
    )
    return {cell for cell, n in near.items() if n == 3 or (n == 2 and cell in cells)}


def run(cells: Cells, steps: int) -> Cells:
    for _ in range(steps):
        cells = step(cells)
    return cells


def show(title: str, cells: Cells) -> None:
    out(title, "-", len(cells), "alive")
    for y in range(HEIGHT):
        out("".join("#" if (x, y) in cells else "." for x in range(WIDTH)))


def main() -> None:
    glider = {(2, 1), (3, 2), (1, 3), (2, 3), (3, 3)}
    blinker = {(15, 3), (16, 3), (17, 3)}
    block = {(18, 10), (19, 10), (18, 11), (19, 11)}
    world = glider | blinker | block
    show("start", world)
    show("after 4", run(world, 4))
    show("after 16", run(world, 16))
    chaos = {(11, 6), (12, 6), (10, 7), (11, 7), (11, 8)}
    for generation in range(5, 21, 5):
        chaos = run(chaos, 5)
        out("generation", generation, "alive", len(chaos))
    show("r-pentomino", chaos)


if __name__ == "__main__":
    main()
