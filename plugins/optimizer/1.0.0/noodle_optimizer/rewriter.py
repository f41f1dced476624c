"""Going through a tree and putting other nodes in the place of some."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import msgspec

from hookspecs import ast

_STATEMENTS: Final = frozenset(ast.Statement.__args__)
_ATOMS: Final = frozenset(
    {int, str, bool, float, type(None), ast.ParameterKind, ast.BindingKind, ast.Type}
)


class Rewriter:
    """Visits a tree in the order of the source, the parts of a node before it.

    A subclass has methods ``leave_NODE``, which return the node or another one,
    and may override :meth:`statements`. What does not change stays the same
    object. ``count`` is how much was done.
    """

    def __init__(self) -> None:
        self.count = 0
        self._leave: dict[type, Callable[[Any], Any] | None] = {}

    def module(self, module: ast.Module) -> ast.Module:
        body = self.statements(module.body)
        if body is module.body:
            return module
        return ast.Module(module.file, body, module.bindings)

    def statements(self, body: list[ast.Statement]) -> list[ast.Statement]:
        """Visit a list of statements."""
        return self.items(body)

    def items(self, values: list[Any]) -> list[Any]:
        """Visit the items of a list."""
        # Without a comprehension: it would be one more call for each level.
        new = []
        for value in values:
            new.append(self.visit(value))  # noqa: PERF401
        return values if all(map(operator.is_, values, new)) else new

    def visit(self, value: Any) -> Any:
        """Visit a node, a part of one, or a list of them."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        if kind is list:
            if value and type(value[0]) in _STATEMENTS:
                return self.statements(value)
            return self.items(value) if value else value
        return self._left(kind, self.children(kind, value))

    def children(self, kind: type[msgspec.Struct], node: Any) -> Any:
        """The node with its parts visited."""
        before = [getattr(node, name) for name in kind.__struct_fields__]
        after = self.items(before)
        return node if after is before else kind(*after)

    def _left(self, kind: type, node: Any) -> Any:
        try:
            leave = self._leave[kind]
        except KeyError:
            leave = self._leave[kind] = getattr(self, f"leave_{kind.__name__}", None)
        return node if leave is None else leave(node)
