"""Constant folding: what can be computed now, and cannot fail, is computed now."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from hookspecs import ast
from hookspecs.bytecode import INT_MAX, INT_MIN

from .rewriter import Rewriter

_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: Longer texts are not made at compile time.
_LONGEST_TEXT: Final = 1000


class Folding(Rewriter):
    """Replaces operations on literals by literals.

    What would raise an error, now or on another type, is left for run time, at
    its place.
    """

    def _literal(self, node: ast.Node, value: Any) -> ast.Literal:
        self.count += 1
        return ast.Literal(node.line, node.column, value)

    def leave_Binary(self, node: ast.Binary) -> ast.Expression:  # noqa: N802
        if not isinstance(node.left, ast.Literal) or not isinstance(node.right, ast.Literal):
            return node
        found = _binary(node.operator, node.left.value, node.right.value)
        return node if found is None else self._literal(node, found)

    def leave_Unary(self, node: ast.Unary) -> ast.Expression:  # noqa: N802
        if not isinstance(node.operand, ast.Literal):
            return node
        value = node.operand.value
        if node.operator == "!" and isinstance(value, bool):
            return self._literal(node, not value)
        if node.operator == "-" and not isinstance(value, bool):
            if isinstance(value, int) and value != INT_MIN:
                return self._literal(node, -value)
            if isinstance(value, float):
                return self._literal(node, -value)
        return node

    def leave_Logical(self, node: ast.Logical) -> ast.Expression:  # noqa: N802
        left = node.left.value if isinstance(node.left, ast.Literal) else None
        if not isinstance(left, bool):
            return node
        if left is (node.operator == "||"):
            return self._literal(node, left)
        right = node.right
        # The right side still has to be proved a bool.
        if isinstance(right, ast.Literal) and isinstance(right.value, bool):
            return self._literal(node, right.value)
        if isinstance(right, ast.Binary) and right.operator in {"==", "!=", *_ORDER}:
            self.count += 1
            return right
        return node

    def leave_Conditional(self, node: ast.Conditional) -> ast.Expression:  # noqa: N802
        if isinstance(node.condition, ast.Literal) and isinstance(node.condition.value, bool):
            self.count += 1
            return node.then if node.condition.value else node.otherwise
        return node

    def leave_Template(self, node: ast.Template) -> ast.Expression:  # noqa: N802
        parts: list[ast.Expression] = []
        for part in node.parts:
            text = _text(part.value) if isinstance(part, ast.Literal) else None
            last = parts[-1] if parts else None
            if (
                text is not None
                and isinstance(last, ast.Literal)
                and isinstance(last.value, str)
                and len(last.value) + len(text) <= _LONGEST_TEXT
            ):
                parts[-1] = self._literal(last, last.value + text)
            elif (
                text is not None
                and isinstance(part, ast.Literal)
                and not isinstance(part.value, str)
            ):
                parts.append(self._literal(part, text))
            else:
                parts.append(part)
        if not parts:
            return self._literal(node, "")
        if len(parts) == 1 and isinstance(parts[0], ast.Literal):
            only = parts[0].value
            if isinstance(only, str):
                return self._literal(node, only)
        if len(parts) == len(node.parts) and all(map(operator.is_, parts, node.parts)):
            return node
        return ast.Template(node.line, node.column, parts)


def _text(value: Any) -> str | None:
    """What ``str()`` gives, for those values where there is nothing to decide."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else None


def _binary(symbol: str, left: Any, right: Any) -> Any:
    """The result, or None if it is not known or is an error."""
    if isinstance(left, str) or isinstance(right, str):
        return _strings(symbol, left, right)
    if symbol in ("==", "!="):
        if type(left) is not type(right):
            return None
        return (left == right) is (symbol == "==")
    if not _is_number(left) or not _is_number(right):
        return None
    if symbol in _ORDER:
        return _ORDER[symbol](left, right)
    if symbol in ("/", "%") and right == 0:
        return None
    if symbol == "**":
        return _power(left, right)
    result = _ARITHMETIC[symbol](left, right)
    if isinstance(result, int):
        return result if INT_MIN <= result <= INT_MAX else None
    return result if math.isfinite(result) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _power(left: Any, right: Any) -> Any:
    if not isinstance(left, int) or not isinstance(right, int) or not 0 <= right <= 64:
        return None
    result = left**right
    return result if INT_MIN <= result <= INT_MAX else None


def _strings(symbol: str, left: Any, right: Any) -> Any:
    if symbol == "+":
        first, second = _text(left), _text(right)
        if first is None or second is None or len(first) + len(second) > _LONGEST_TEXT:
            return None
        return first + second
    if not isinstance(left, str) or not isinstance(right, str):
        return None
    if symbol in ("==", "!="):
        return (left == right) is (symbol == "==")
    return _ORDER[symbol](left, right) if symbol in _ORDER else None
