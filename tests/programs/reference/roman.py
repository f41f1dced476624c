"""Reference of roman.noodle."""

from __future__ import annotations

from noodle_values import out


def digit(n: int, one: str, five: str, ten: str) -> str:
    if n in (4, 9):
        return one + (five if n == 4 else ten)
    return five * (n // 5) + one * (n % 5)


def roman(n: int) -> str:
    parts = [
        "M" * (n // 1000),
        digit(n // 100 % 10, *"CDM"),
        digit(n // 10 % 10, *"XLC"),
        digit(n % 10, *"IVX"),
    ]
    return "".join(parts)


def main() -> None:
    for n in (1, 4, 9, 14, 40, 90, 400, 1066, 1789, 1984, 2024, 3888, 3999):
        out(n, roman(n))
    out("MCMXCIV", 1994)
    out("xlii", 42)
    out("IIII", "-", "IIII is not written the Roman way")
    out("VX", "-", "VX is not written the Roman way")
    out("ABC", "-", '"B" is no Roman sign')
    out("", "-", "0 has no Roman numeral")
    longest = max(range(1, 1000), key=lambda n: len(roman(n)))
    out(0, "wrong; longest below 1000 is", roman(longest), "for", longest)


if __name__ == "__main__":
    main()
