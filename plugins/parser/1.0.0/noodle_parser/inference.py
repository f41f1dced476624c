"""The type of an expression, where the source alone tells it."""

from __future__ import annotations

from typing import Final

from hookspecs import ast
from hookspecs.ast import BUILTIN

from .known_names import RESULTS

_COMPARISONS: Final = frozenset(("==", "!=", "<", "<=", ">", ">="))
_LITERALS: Final = {bool: "bool", int: "int", float: "float", str: "string", type(None): "null"}
_NUMBERS: Final = frozenset(("int", "float"))


class Inference:
    """Types by the name that ``typeOf`` gives; empty where it is not known.

    ``constants`` maps the variables of constants to their values, ``results``
    those of functions, classes and structs to what a call gives, unless they are
    in ``unreliable``.
    """

    def __init__(self) -> None:
        self.constants: dict[int, ast.Expression] = {}
        self.results: dict[int, str] = {}
        self.unreliable: set[int] = set()
        self._known: dict[int, str] = {}

    def type_of(self, node: ast.Expression) -> str:
        match node:
            case ast.Literal(value=value):
                return _LITERALS[type(value)]
            case ast.Template():
                return "string"
            case ast.ListLiteral():
                return "List"
            case ast.SetLiteral():
                return "Set"
            case ast.MapLiteral():
                return "Map"
            case ast.Lambda():
                return "function"
            case ast.Logical():
                return "bool"
            case ast.Unary(operator="!"):
                return "bool"
            case ast.Unary(operand=operand):
                found = self.type_of(operand)
                return found if found in _NUMBERS else ""
            case ast.Binary():
                return self._binary(node)
            case ast.Conditional(then=then, otherwise=otherwise):
                found = self.type_of(then)
                return found if found == self.type_of(otherwise) else ""
            case ast.Name(binding=binding) if binding in self.constants:
                return self._constant(binding)
            case ast.Call(callee=ast.Name(name=name, binding=binding)):
                if binding == BUILTIN:
                    return RESULTS.get(name, "")
                return "" if binding in self.unreliable else self.results.get(binding, "")
        return ""

    def _constant(self, binding: int) -> str:
        if binding not in self._known:
            # A constant that is made of itself has no type.
            self._known[binding] = ""
            self._known[binding] = self.type_of(self.constants[binding])
        return self._known[binding]

    def _binary(self, node: ast.Binary) -> str:
        operator = node.operator
        if operator in _COMPARISONS:
            return "bool"
        left = self.type_of(node.left)
        if operator == "+" and left == "string":
            return left
        right = self.type_of(node.right)
        if operator == "+" and (right == "string" or left == right == "List"):
            return right
        if left not in _NUMBERS or right not in _NUMBERS:
            return ""
        if operator == "/" or "float" in (left, right):
            return "float"
        # A power of ints may be a float.
        return "" if operator == "**" else "int"
