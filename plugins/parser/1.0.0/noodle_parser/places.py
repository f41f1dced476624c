"""Where an expression begins."""

from __future__ import annotations

from hookspecs import ast


def beginning(node: ast.Expression) -> tuple[int, int]:
    """Line and column of the first character of an expression, but for parentheses.

    Most nodes stand at what fails in them, an operator or a parenthesis.
    """
    while True:
        if isinstance(node, ast.Call):
            first = node.callee
            if node.arguments:
                # In a pipeline the first argument stands in front.
                argument = beginning(node.arguments[0].value)
                if argument < beginning(first):
                    return argument
            node = first
        elif isinstance(node, ast.Binary | ast.Logical):
            node = node.left
        elif isinstance(node, ast.Member | ast.Index | ast.Slice):
            node = node.object
        else:
            return node.line, node.column
