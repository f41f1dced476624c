"""Going through a tree and putting other nodes in the place of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from hookspecs import ast

_STATEMENTS: Final = ast.Statement.__args__


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
        new = [self.visit(value) for value in values]
        if all(before is after for before, after in zip(values, new, strict=True)):
            return values
        return new

    def visit(self, value: Any) -> Any:
        if isinstance(value, list):
            if value and isinstance(value[0], _STATEMENTS):
                return self.statements(value)
            return self.items(value) if value else value
        if not isinstance(value, msgspec.Struct):
            return value
        kind = type(value)
        return self._left(kind, self.children(kind, value))

    def children(self, kind: type[msgspec.Struct], node: Any) -> Any:
        """The node with its parts visited."""
        changed = False
        fields = []
        for name in kind.__struct_fields__:
            before = getattr(node, name)
            if isinstance(before, list | msgspec.Struct):
                after = self.visit(before)
                changed = changed or after is not before
                fields.append(after)
            else:
                fields.append(before)
        return kind(*fields) if changed else node

    def _left(self, kind: type, node: Any) -> Any:
        try:
            leave = self._leave[kind]
        except KeyError:
            leave = self._leave[kind] = getattr(self, f"leave_{kind.__name__}", None)
        return node if leave is None else leave(node)
