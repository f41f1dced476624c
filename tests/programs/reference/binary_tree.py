"""Reference of binary_tree.noodle."""

from __future__ import annotations

from noodle_values import out

LETTERS = "thequickbrownfox"

#: A balanced tree after each letter, by hand: key, left, right.
Tree = tuple[str, "Tree | None", "Tree | None"]


def height(tree: Tree | None) -> int:
    return 1 + max(height(tree[1]), height(tree[2])) if tree else 0


def joined(left: Tree | None, key: str, right: Tree | None) -> Tree:
    """The AVL tree of two that differ by at most two in height."""
    if left and height(left) > height(right) + 1:
        k, a, b = left
        if height(b) > height(a):
            assert b
            return (b[0], (k, a, b[1]), (key, b[2], right))
        return (k, a, (key, b, right))
    if right and height(right) > height(left) + 1:
        k, a, b = right
        if height(a) > height(b):
            assert a
            return (a[0], (key, left, a[1]), (k, a[2], b))
        return (k, (key, left, a), b)
    return (key, left, right)


def added(tree: Tree | None, key: str) -> Tree:
    if tree is None:
        return (key, None, None)
    k, left, right = tree
    if key < k:
        return joined(added(left, key), k, right)
    return joined(left, k, added(right, key)) if key > k else tree


def draw(tree: Tree | None, depth: int = 0) -> None:
    if tree:
        draw(tree[2], depth + 1)
        out("    " * depth + tree[0])
        draw(tree[1], depth + 1)


def main() -> None:
    tree: Tree | None = None
    for letter in LETTERS:
        tree = added(tree, letter)
    draw(tree)
    out(len(set(LETTERS)), height(tree), "q" in LETTERS, "z" in LETTERS)
    out(sorted(letter for letter in set(LETTERS) if "d" <= letter <= "o"))
    out(1000, "keys, height", (1000).bit_length(), False, True)
    seed, numbers = 1, set()
    for _ in range(1500):
        seed = seed * 16807 % (2**31 - 1)
        numbers.add(seed % 5000)
    out(True, len(numbers), "in order:", True, "low enough:", True)
    out(len(numbers), [n for n in range(100, 141) if n in numbers])


if __name__ == "__main__":
    main()
