"""Expressions: each leaves one value on the stack."""

from __future__ import annotations

from typing import Final

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.bytecode import Comparison, Opcode, Use

from .assembler import Label
from .unit import Unit

BINARY: Final = {
    "+": Opcode.BINARY_ADD,
    "-": Opcode.BINARY_SUBTRACT,
    "*": Opcode.BINARY_MULTIPLY,
    "/": Opcode.BINARY_DIVIDE,
    "%": Opcode.BINARY_MODULO,
    "**": Opcode.BINARY_POWER,
}
_COMPARISONS: Final = {
    "==": Comparison.EQ,
    "!=": Comparison.NE,
    "<": Comparison.LT,
    "<=": Comparison.LE,
    ">": Comparison.GT,
    ">=": Comparison.GE,
}


class Expressions(Unit):
    """The part that generates expressions."""

    def function(self, function: ast.Function) -> None:
        """Leave a new function value; see :class:`.declarations.FunctionUnit`."""
        raise NotImplementedError

    def match(self, node: ast.Match) -> None:
        """See :class:`.patterns.Patterns`."""
        raise NotImplementedError

    def expression(self, node: ast.Expression) -> None:
        getattr(self, f"_{type(node).__name__}")(node)

    # -- values ------------------------------------------------------------

    def _Literal(self, node: ast.Literal) -> None:  # noqa: N802
        self.at(node)
        self.constant(node.value)

    def _Name(self, node: ast.Name) -> None:  # noqa: N802
        self.at(node)
        self.load(node.name, node.binding)

    def _Template(self, node: ast.Template) -> None:  # noqa: N802
        for part in node.parts:
            self.expression(part)
        self.at(node)
        self.code.emit(Opcode.BUILD_STRING, len(node.parts))

    def _Lambda(self, node: ast.Lambda) -> None:  # noqa: N802
        self.at(node)
        self.function(node.function)

    def _Match(self, node: ast.Match) -> None:  # noqa: N802
        self.match(node)

    def _ListLiteral(self, node: ast.ListLiteral) -> None:  # noqa: N802
        if any(isinstance(item, ast.Spread) for item in node.items):
            self._spread_list(node.items, node)
            return
        for item in node.items:
            self.expression(item)
        self.at(node)
        self.code.emit(Opcode.BUILD_LIST, len(node.items))

    def _spread_list(self, items: list[ast.Expression], node: ast.Node) -> None:
        self.at(node)
        self.code.emit(Opcode.BUILD_LIST, 0)
        for item in items:
            if isinstance(item, ast.Spread):
                self.expression(item.value)
                self.at(item)
                self.code.emit(Opcode.LIST_EXTEND)
            else:
                self.expression(item)
                self.code.emit(Opcode.LIST_APPEND)

    def _SetLiteral(self, node: ast.SetLiteral) -> None:  # noqa: N802
        for item in node.items:
            self.expression(item)
        self.at(node)
        self.code.emit(Opcode.BUILD_SET, len(node.items))

    def _MapLiteral(self, node: ast.MapLiteral) -> None:  # noqa: N802
        for entry in node.entries:
            self.expression(entry.key)
            self.expression(entry.value)
        self.at(node)
        self.code.emit(Opcode.BUILD_DICT, len(node.entries))

    # -- operators ---------------------------------------------------------

    def _Unary(self, node: ast.Unary) -> None:  # noqa: N802
        self.expression(node.operand)
        self.at(node)
        self.code.emit(Opcode.UNARY_NOT if node.operator == "!" else Opcode.UNARY_NEGATIVE)

    def _Binary(self, node: ast.Binary) -> None:  # noqa: N802
        # A long sum is a tree that leans to the left: without recursion.
        chain = [node]
        while isinstance(chain[-1].left, ast.Binary):
            chain.append(chain[-1].left)
        self.expression(chain[-1].left)
        for link in reversed(chain):
            self.expression(link.right)
            self.at(link)
            self.operator(link.operator)

    def operator(self, operator: str) -> None:
        """Replace the two values on the stack by the result."""
        comparison = _COMPARISONS.get(operator)
        if comparison is None:
            self.code.emit(BINARY[operator])
        else:
            self.code.emit(Opcode.COMPARE_OP, comparison)

    def _Logical(self, node: ast.Logical) -> None:  # noqa: N802
        end = Label()
        is_and = node.operator == "&&"
        self.expression(node.left)
        self.at(node)
        self.code.jump(Opcode.JUMP_IF_FALSE_OR_POP if is_and else Opcode.JUMP_IF_TRUE_OR_POP, end)
        self.expression(node.right)
        self.at(node)
        self.code.emit(Opcode.CHECK_BOOL, Use.AND if is_and else Use.OR)
        self.code.place(end)

    def _Conditional(self, node: ast.Conditional) -> None:  # noqa: N802
        otherwise, end = Label(), Label()
        self.jump_if(False, node.condition, otherwise, node)
        self.expression(node.then)
        self.code.jump(Opcode.JUMP_ABSOLUTE, end)
        self.code.place(otherwise)
        self.expression(node.otherwise)
        self.code.place(end)

    # -- conditions --------------------------------------------------------

    def jump_if(
        self,
        wanted: bool,
        condition: ast.Expression,
        label: Label,
        node: ast.Node,
        use: Use = Use.CONDITION,
    ) -> None:
        """Jump if the condition is ``wanted``; ``node`` has the place of its TypeError."""
        if not isinstance(condition, ast.Logical):
            self.expression(condition)
            self.at(node)
            opcode = Opcode.POP_JUMP_IF_TRUE if wanted else Opcode.POP_JUMP_IF_FALSE
            self.code.jump(opcode, label, use)
            return
        is_or = condition.operator == "||"
        own = Use.OR if is_or else Use.AND
        # The left side alone decides if it is true for || and false for &&.
        go_on = Label()
        decided = label if is_or is wanted else go_on
        self.jump_if(is_or, condition.left, decided, condition, own)
        self.jump_if(wanted, condition.right, label, condition, own)
        self.code.place(go_on)

    # -- members and calls -------------------------------------------------

    def _Member(self, node: ast.Member) -> None:  # noqa: N802
        self.expression(node.object)
        self.at(node)
        self.code.emit(Opcode.LOAD_ATTR, self.tables.name(node.name), int(self.is_inner))

    def _SuperMember(self, node: ast.SuperMember) -> None:  # noqa: N802
        self.at(node)
        self.load("", node.own_class)
        self.load("self", node.receiver)
        self.code.emit(Opcode.LOAD_SUPER, self.tables.name(node.name))

    def _Index(self, node: ast.Index) -> None:  # noqa: N802
        self.expression(node.object)
        self.expression(node.index)
        self.at(node)
        self.code.emit(Opcode.LOAD_INDEX)

    def _Slice(self, node: ast.Slice) -> None:  # noqa: N802
        self.expression(node.object)
        for end in (node.start, node.stop):
            if end is None:
                self.constant(None)
            else:
                self.expression(end)
        self.at(node)
        self.code.emit(Opcode.LOAD_SLICE)

    def _Call(self, node: ast.Call) -> None:  # noqa: N802
        arguments = node.arguments
        names = [argument.name for argument in arguments if argument.name]
        has_spread = any(isinstance(argument.value, ast.Spread) for argument in arguments)
        callee = node.callee
        if isinstance(callee, ast.Member) and not names and not has_spread:
            self.expression(callee.object)
            for argument in arguments:
                self.expression(argument.value)
            self.at(node)
            opcode = Opcode.CALL_INNER_METHOD if self.is_inner else Opcode.CALL_METHOD
            self.code.emit(opcode, self.tables.name(callee.name), len(arguments))
            return
        if isinstance(callee, ast.Member):
            # A member that is missing is an error of the call.
            self.expression(callee.object)
            self.at(node)
            self.code.emit(Opcode.LOAD_ATTR, self.tables.name(callee.name), int(self.is_inner))
        else:
            self.expression(callee)
        if has_spread:
            if names:
                self.not_supported("named arguments beside ...", node)
            self._spread_list([argument.value for argument in arguments], node)
            self.at(node)
            self.code.emit(Opcode.CALL_SPREAD)
            return
        for argument in arguments:
            self.expression(argument.value)
        self.at(node)
        if names:
            self.code.emit(Opcode.CALL_NAMED, len(arguments), self.tables.name_list(names))
        else:
            self.code.emit(Opcode.CALL_FUNCTION, len(arguments))

    def is_range(self, node: ast.Expression) -> bool:
        """Whether it is a call of the built-in ``range`` that a loop can count itself."""
        return (
            isinstance(node, ast.Call)
            and isinstance(node.callee, ast.Name)
            and node.callee.name == "range"
            and node.callee.binding == BUILTIN
            and 1 <= len(node.arguments) <= 3
            and all(
                not argument.name and not isinstance(argument.value, ast.Spread)
                for argument in node.arguments
            )
        )
