"""Reference of shapes.noodle."""

from __future__ import annotations

import math

from noodle_values import out


def hundredths(value: float) -> float:
    return round(value, 2)


def described(name: str, area: float, more: str = "") -> str:
    return f"{name} of area {hundredths(area)}{more}"


def main() -> None:
    circle, rectangle, square, group = math.pi * 2.25, 7.0, 6.25, 1 + math.pi + 4
    inside = " with square, circle, group"
    out(described("circle", circle))
    out("  doubled:", described("circle", 4 * circle))
    out(described("rectangle", rectangle, " (2.0 by 3.5)"))
    out("  doubled:", described("rectangle", 4 * rectangle, " (4.0 by 7.0)"))
    out(described("a square", square, " (2.5 by 2.5)"))
    out("  doubled:", described("a square", 4 * square, " (5.0 by 5.0)"))
    out(described("group", group, inside))
    out("  doubled:", described("group", 4 * group, inside))
    out("largest:", "group", "rectangle")
    out(["Circle", "Rectangle", "Square", "Group"])
    out(False, True)
    out(described("a square", square, " (2.5 by 2.5)"))
    out([hundredths(area) for area in (circle, rectangle, square, group)])
    out("Shape.area has no body")
    out("Shape.area has no body")
    out('Circle has no member "side"')
    out('argument "radius" of Circle() must be float, not string')


if __name__ == "__main__":
    main()
