"""Reference of lru_cache.noodle."""

from __future__ import annotations

from functools import lru_cache

from noodle_values import NONE, out, some


def main() -> None:
    out(["c", "b", "a"])
    out(some(1), ["a", "c", "b"])
    out(NONE, ["d", "a", "c"])
    out(some(33), ["c", "d", "a"])
    out(["f", "e", "c"], 2, 1)
    used = [1, 2, 3, 1, 2, 3, 4, 5, 1, 6, 6, 5]
    square = lru_cache(4)(lambda n: n * n)
    total = sum(map(square, used))
    latest = sorted(set(used), key=lambda n: -max(i for i, u in enumerate(used) if u == n))
    info = square.cache_info()
    out(total, info.hits, info.misses, latest[:4])
    out(NONE, some("text"), some("yes"))
    out("a cache needs room")
    out('"capacity" is private in LruCache')


if __name__ == "__main__":
    main()
