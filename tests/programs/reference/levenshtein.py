"""Reference of levenshtein.noodle."""

from __future__ import annotations

from functools import cache

from noodle_values import out

DICTIONARY = [
    "noodle",
    "poodle",
    "needle",
    "doodle",
    "nodule",
    "candle",
    "noble",
    "spaghetti",
    "macaroni",
    "ravioli",
]


@cache
def distance(a: str, b: str) -> int:
    if not a or not b:
        return len(a or b)
    changed = distance(a[:-1], b[:-1]) + (a[-1] != b[-1])
    return min(changed, distance(a[:-1], b) + 1, distance(a, b[:-1]) + 1)


def edits(a: str, b: str) -> list[str]:
    """Keeping a letter is better than changing it, then leaving out, then adding."""
    if not a and not b:
        return []
    if a and b and distance(a, b) == distance(a[:-1], b[:-1]) + (a[-1] != b[-1]):
        step = [] if a[-1] == b[-1] else [f"{a[-1]} to {b[-1]}"]
        return edits(a[:-1], b[:-1]) + step
    if a and distance(a, b) == distance(a[:-1], b) + 1:
        return [*edits(a[:-1], b), f"no {a[-1]}"]
    return [*edits(a, b[:-1]), f"new {b[-1]}"]


def main() -> None:
    for a, b in (
        ("kitten", "sitting"),
        ("flaw", "lawn"),
        ("", "abc"),
        ("same", "same"),
        ("Zoë", "Zoe"),
        ("sunday", "saturday"),
    ):
        out(f"{a} -> {b}: {distance(a, b)}", edits(a, b))
    for word in ("nodle", "noddle", "spagetti", "xyz"):
        near = [known for known in DICTIONARY if distance(word, known) <= 2]
        out(word, sorted(near, key=lambda known: distance(word, known)))
    for a in DICTIONARY[:5]:
        out(*[distance(a, b) for b in DICTIONARY[:5]])
    out([[], [], [], [], []])


if __name__ == "__main__":
    main()
