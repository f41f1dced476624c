"""Reference of destructuring.noodle."""

from __future__ import annotations

from noodle_values import out


def main() -> None:
    out("Ann", 3)
    out(10, 20)
    out(20, 10)
    out(1, [2, 3, 4])
    out("one", [])
    out(7, [8, 9])
    out(12)
    out(2, {"width": 4, "height": 3})
    out(*divmod(17, 5))
    out(15)
    for letter, number in zip("abc", [1, 2, 3], strict=True):
        out(letter, number)
    for index, item in enumerate("xy"):
        out(index, item)
    out(11)
    out("Bob", 44)
    out("fits", "does not fit", "does not fit")
    out("has an age", "has none")


if __name__ == "__main__":
    main()
