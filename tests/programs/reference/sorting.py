"""Reference of sorting.noodle."""

from __future__ import annotations

from noodle_values import out


def main() -> None:
    seed, numbers = 7, []
    for _ in range(400):
        seed = seed * 48271 % (2**31 - 1)
        numbers.append(seed % 1000)
    sample = [5, 2, 9, -1, 5, 0]
    for name in ("insertion", "quick", "merge", "heap", "shell"):
        out(name, sorted(sample), [], True)
        out(f"  {min(numbers)} ... {max(numbers)}, more than 400 comparisons: true")
        out("  descending:", sorted(sample, reverse=True))
    words = "the quick brown fox jumps over the lazy dog".split()
    out(" ".join(sorted(words)))
    out(" ".join(sorted(words, key=len)))
    out(" ".join(sorted(words, key=lambda word: word[-1])))
    out(" ".join(words))


if __name__ == "__main__":
    main()
