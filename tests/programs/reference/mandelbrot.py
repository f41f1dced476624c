"""Reference of mandelbrot.noodle."""

from __future__ import annotations

from noodle_values import out

LIMIT = 60


def escape(c: complex) -> int:
    z = 0j
    for n in range(LIMIT):
        if z.real * z.real + z.imag * z.imag > 4:
            return n
        z = complex(z.real * z.real - z.imag * z.imag + c.real, 2 * z.real * z.imag + c.imag)
    return LIMIT


def main() -> None:
    rows = [
        [escape(complex(x * 3 / 72 - 2.125, y * 2.5 / 28 - 1.25)) for x in range(72)]
        for y in range(28)
    ]
    for row in rows:
        out("".join("#" if n == LIMIT else " .:-=+*%@"[min(n, 8)] for n in row))
    out(sum(row.count(LIMIT) for row in rows), "points inside,", sum(map(sum, rows)), "steps")


if __name__ == "__main__":
    main()
