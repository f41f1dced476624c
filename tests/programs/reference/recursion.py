"""Reference of recursion.noodle."""

from __future__ import annotations

import itertools
import math

from noodle_values import out


def hanoi(disks: int) -> list[str]:
    """The moves by their numbers: the smallest disk walks around, the rest is forced."""
    pegs: dict[str, list[int]] = {"A": list(range(disks, 0, -1)), "B": [], "C": []}
    walk = itertools.cycle("ABC" if disks % 2 == 0 else "ACB")
    moves, small = [], next(walk)
    for number in range(1, 2**disks):
        if number % 2:
            source, small = small, next(walk)
            target = small
        else:
            source, target = (peg for peg in "ABC" if peg != small)
            if not pegs[source] or (pegs[target] and pegs[target][-1] < pegs[source][-1]):
                source, target = target, source
        pegs[target].append(pegs[source].pop())
        moves.append(source + target)
    return moves


def ways(amount: int, coins: list[int]) -> int:
    table = [1] + [0] * amount
    for coin in coins:
        for value in range(coin, amount + 1):
            table[value] += table[value - coin]
    return table[amount]


def collatz(n: int) -> int:
    return 0 if n == 1 else 1 + collatz(3 * n + 1 if n % 2 else n // 2)


def main() -> None:
    out(2**4 - 1, " ".join(hanoi(4)))
    out(math.gcd(1071, 462), math.gcd(17, 5), math.gcd(0, 9))
    out(2 * 3 + 3, 10 + 2)
    out([list(p) for p in itertools.permutations("abc")], math.factorial(5))
    bits = itertools.product((0, 1), repeat=3)
    out([[x for x, taken in zip((1, 2, 3), mask, strict=True) if taken] for mask in bits])
    out([1, 2, 3, 4, 5])
    out(ways(10, [1, 2, 5]), ways(100, [50, 20, 10, 5, 2, 1]))
    out(0, 999)
    out([collatz(n) for n in (1, 6, 7, 27, 97)])
    out([math.factorial(n) for n in range(8)], math.factorial(20))


if __name__ == "__main__":
    main()
