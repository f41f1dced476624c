"""Constant propagation: a variable that is a literal and never changes is that literal."""

from __future__ import annotations

from hookspecs import ast

from .known_values import KnownValues


class ConstantPropagation(KnownValues):
    """Puts a literal in the place of a variable that is one."""

    def leave_Declare(self, node: ast.Declare) -> ast.Declare:  # noqa: N802
        if isinstance(node.value, ast.Literal) and self.uses.is_fixed(node.binding):
            self.learn(node.binding, node.value)
        return node

    def leave_Name(self, node: ast.Name) -> ast.Expression:  # noqa: N802
        literal = self.known(node.binding)
        if literal is None:
            return node
        self.count += 1
        return ast.Literal(node.line, node.column, literal.value)
