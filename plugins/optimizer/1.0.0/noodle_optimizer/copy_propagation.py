"""Copy propagation: a variable that is a copy of another is that other one."""

from __future__ import annotations

from hookspecs import ast
from hookspecs.ast import BUILTIN

from .known_values import KnownValues


class CopyPropagation(KnownValues):
    """Puts the original in the place of a copy, if neither ever changes."""

    def leave_Declare(self, node: ast.Declare) -> ast.Declare:  # noqa: N802
        value = node.value
        if (
            isinstance(value, ast.Name)
            and value.binding != BUILTIN
            and self.uses.is_fixed(value.binding)
            and self.uses.is_fixed(node.binding)
        ):
            self.learn(node.binding, value)
        return node

    def leave_Name(self, node: ast.Name) -> ast.Name:  # noqa: N802
        original = self.known(node.binding)
        if original is None:
            return node
        self.count += 1
        return ast.Name(node.line, node.column, original.name, original.binding)
