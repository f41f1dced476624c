"""Reference of word_count.noodle."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby

from noodle_values import out

HALVES = [
    "best of times, worst of times",
    "age of wisdom, age of foolishness",
    "epoch of belief, epoch of incredulity",
    "season of Light, season of Darkness",
    "spring of hope, winter of despair",
]


def main() -> None:
    lines = ["it was the " + half.replace(", ", ", it was the ") for half in HALVES]
    words = re.findall("[a-z]+", " ".join(lines).lower())
    counts = Counter(words)
    out(len(words), "words,", len(counts), "different,", len(lines), "lines")
    for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:6]:
        out(word, "#" * n, n)
    once = sorted(word for word in counts if counts[word] == 1)
    out(len(once), "only once:", ", ".join(once))
    for size, n in sorted(Counter(map(len, words)).items()):
        out(size, "letters:", n)
    out("longest:", max(words, key=len))
    out({c.upper(): list(g) for c, g in groupby(sorted(counts), key=lambda word: word[0])})


if __name__ == "__main__":
    main()
