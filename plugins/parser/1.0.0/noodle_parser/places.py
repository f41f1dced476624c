"""Where an expression begins."""

from __future__ import annotations

from hookspecs import ast


def beginning(node: ast.Expression) -> tuple[int, int]:
    """Line and column of the first character of an expression, but for parentheses.

    Most nodes stand at what fails in them, an operator or a parenthesis.
    """
    while True:
        if isinstance(node, ast.Call):
            # In a pipeline the first argument stands in front.
            first = node.arguments[0].value if node.arguments else node
            is_piped = (first.line, first.column) < (node.line, node.column)
            node = first if is_piped else node.callee
        elif isinstance(node, ast.Binary | ast.Logical):
            node = node.left
        elif isinstance(node, ast.Member | ast.Index | ast.Slice):
            node = node.object
        else:
            return node.line, node.column
