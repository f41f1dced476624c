"""Reference of dijkstra.noodle."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator

from noodle_values import out

Graph = dict[int, dict[int, int]]

ROADS = [
    (1, 2, 7),
    (1, 3, 9),
    (1, 6, 14),
    (2, 3, 10),
    (2, 4, 15),
    (3, 4, 11),
    (3, 6, 2),
    (4, 5, 6),
    (5, 6, 9),
]


def distances(graph: Graph, start: int) -> dict[int, int]:
    best = {start: 0}
    heap = [(0, start)]
    while heap:
        cost, node = heapq.heappop(heap)
        if cost > best[node]:
            continue
        for other, weight in graph[node].items():
            if cost + weight < best.get(other, cost + weight + 1):
                best[other] = cost + weight
                heapq.heappush(heap, (cost + weight, other))
    return best


def path(graph: Graph, best: dict[int, int], target: int) -> list[int]:
    """The only shortest path backwards, by the costs alone."""
    steps = [target]
    while best[steps[-1]]:
        node = steps[-1]
        steps += [p for p, w in graph[node].items() if best[p] + w == best[node]]
    return steps[::-1]


def prices() -> Iterator[int]:
    seed = 42
    while True:
        seed = (seed * 1103515245 + 12345) % 2**31
        yield 1 + (seed >> 16) % 9


def main() -> None:
    small: Graph = defaultdict(dict)
    for a, b, cost in ROADS:
        small[a][b] = small[b][a] = cost
    best = distances(small, 1)
    for node in sorted(best):
        out(node, "costs", best[node], "by", path(small, best, node))
    size = 36
    city: Graph = defaultdict(dict)
    price = prices()
    for here in range(size * size):
        y, x = divmod(here, size)
        if x + 1 < size:
            city[here][here + 1] = city[here + 1][here] = next(price)
        if y + 1 < size:
            city[here][here + size] = city[here + size][here] = next(price)
    for start in (0, size * size - 1, size * size // 2):
        best = distances(city, start)
        far = min(best, key=lambda node: (-best[node], node))
        counted = f"from {start}: {len(best)} reached, farthest {far} at {best[far]}"
        out(f"{counted}, sum {sum(best.values())}")
    out(0, size * size - 1, distances(city, 0)[size * size - 1])


if __name__ == "__main__":
    main()
