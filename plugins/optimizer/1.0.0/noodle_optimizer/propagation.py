"""Constant and copy propagation: a variable that never changes is its value.

A use is replaced only if the declaration has certainly been executed before:
it stands further up in the same block or an enclosing one. A function that is
declared can be called from the beginning of its block, and so sees only what
stands above that.
"""

from __future__ import annotations

from typing import Any

from hookspecs import ast
from hookspecs.ast import BUILTIN

from .rewriter import Rewriter
from .uses import Uses


class _Propagation(Rewriter):
    def __init__(self, uses: Uses) -> None:
        super().__init__()
        self.uses = uses
        #: What is known of variables whose declaration has been executed.
        self.known: dict[int, Any] = {}
        self._at_entry: dict[int, Any] = {}

    def statements(self, body: list[ast.Statement]) -> list[ast.Statement]:
        outer, self._at_entry = self._at_entry, dict(self.known)
        try:
            return self.items(body)
        finally:
            self._at_entry = outer

    def children(self, kind: type, node: Any) -> Any:
        if kind is not ast.FunctionDeclaration:
            return super().children(kind, node)
        known, self.known = self.known, dict(self._at_entry)
        try:
            return super().children(kind, node)
        finally:
            self.known = known


class ConstantPropagation(_Propagation):
    """Puts a literal in the place of a variable that is one."""

    def leave_Declare(self, node: ast.Declare) -> ast.Declare:  # noqa: N802
        if isinstance(node.value, ast.Literal) and self.uses.is_fixed(node.binding):
            self.known[node.binding] = node.value.value
        return node

    def leave_Name(self, node: ast.Name) -> ast.Expression:  # noqa: N802
        if node.binding == BUILTIN or node.binding not in self.known:
            return node
        self.count += 1
        return ast.Literal(node.line, node.column, self.known[node.binding])


class CopyPropagation(_Propagation):
    """Puts the original in the place of a copy, if neither ever changes."""

    def leave_Declare(self, node: ast.Declare) -> ast.Declare:  # noqa: N802
        value = node.value
        if (
            isinstance(value, ast.Name)
            and value.binding != BUILTIN
            and self.uses.is_fixed(value.binding)
            and self.uses.is_fixed(node.binding)
        ):
            self.known[node.binding] = value
        return node

    def leave_Name(self, node: ast.Name) -> ast.Name:  # noqa: N802
        original = self.known.get(node.binding)
        if original is None:
            return node
        self.count += 1
        return ast.Name(node.line, node.column, original.name, original.binding)
