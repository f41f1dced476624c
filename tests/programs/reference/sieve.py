"""Reference of sieve.noodle."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from noodle_values import out

LIMIT = 30000


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def factors(n: int) -> list[int]:
    d = 2
    while d * d <= n:
        if n % d == 0:
            return [d, *factors(n // d)]
        d += 1
    return [n]


def goldbach(n: int) -> list[int]:
    p = next(p for p in range(2, n) if is_prime(p) and is_prime(n - p))
    return [p, n - p]


def main() -> None:
    primes = [n for n in range(LIMIT + 1) if is_prime(n)]
    out(len(primes), "primes up to", LIMIT)
    out(primes[:15], primes[-3:], sum(primes))
    pairs = list(pairwise(primes))
    widest = max(b - a for a, b in pairs)
    after = next(a for a, b in pairs if b - a == widest)
    twins = sum(b - a == 2 for a, b in pairs)
    out(twins, "twins; widest gap", widest, "after", after)
    digits = Counter(p % 10 for p in primes)
    out({digit: digits[digit] for digit in (1, 2, 3, 5, 7, 9)})
    for n in (1, 2, 60, 97, 1001, 65536, 99999, 123456789, 899999963):
        out(n, "=", " * ".join(map(str, factors(n))))
    pairs_of = {n: goldbach(n) for n in range(4, 3001, 2)}
    hardest = max(pairs_of.values(), key=lambda pair: pair[0])
    out(pairs_of[4], pairs_of[100], "hardest:", hardest, "sum", sum(hardest))


if __name__ == "__main__":
    main()
