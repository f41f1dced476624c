"""Names in expressions and patterns."""

from __future__ import annotations

from msgspec.structs import force_setattr

from hookspecs import ast
from hookspecs.ast import BUILTIN, BindingKind

from .statements import Statements
from .walk import FunctionContext, Walk


class ExpressionNames(Walk):
    """The part of the walk that goes through expressions."""

    def __init__(self, grammar: Statements, file: str) -> None:
        super().__init__(grammar, file)
        self.visitors |= {
            ast.Literal: lambda node: None,
            ast.Name: self.name,
            ast.Template: self._template,
            ast.Spread: self._value,
            ast.ListLiteral: self._items,
            ast.SetLiteral: self._items,
            ast.MapLiteral: self._map,
            ast.Unary: self._unary,
            ast.Binary: self._operands,
            ast.Logical: self._operands,
            ast.Conditional: self._conditional,
            ast.Call: self._call,
            ast.Member: self._member,
            ast.SuperMember: self._super,
            ast.Index: self._index,
            ast.Slice: self._slice,
            ast.Lambda: self._lambda,
            ast.Match: self._match,
        }

    # What other parts of the walk do.

    def block(self, body: list[ast.Statement]) -> None:
        raise NotImplementedError

    def body(self, body: list[ast.Statement]) -> None:
        raise NotImplementedError

    # -- operators ---------------------------------------------------------

    def _template(self, node: ast.Template) -> None:
        for part in node.parts:
            self.visitors[type(part)](part)

    def _value(self, node: ast.Spread) -> None:
        self.visit(node.value)

    def _items(self, node: ast.ListLiteral | ast.SetLiteral) -> None:
        visitors = self.visitors
        for item in node.items:
            visitors[type(item)](item)

    def _map(self, node: ast.MapLiteral) -> None:
        for entry in node.entries:
            self.visit(entry.key)
            self.visit(entry.value)

    def _unary(self, node: ast.Unary) -> None:
        self.visitors[type(node.operand)](node.operand)

    def _operands(self, node: ast.Binary | ast.Logical) -> None:
        visitors = self.visitors
        visitors[type(node.left)](node.left)
        visitors[type(node.right)](node.right)

    def _conditional(self, node: ast.Conditional) -> None:
        self.visit(node.condition)
        self.visit(node.then)
        self.visit(node.otherwise)

    def _call(self, node: ast.Call) -> None:
        visitors = self.visitors
        visitors[type(node.callee)](node.callee)
        for argument in node.arguments:
            value = argument.value
            visitors[type(value)](value)
        if type(node.callee) is ast.Name:
            self.checks.call(node)

    def _member(self, node: ast.Member) -> None:
        self.visitors[type(node.object)](node.object)

    def _super(self, node: ast.SuperMember) -> None:
        class_, receiver = self.class_, self.function.receiver
        if class_ is None or not class_.has_parent or receiver == BUILTIN:
            self.complain_of_place("super outside a class with a parent", node, 5)
            return
        if class_.own_class == BUILTIN:
            class_.own_class = self.scopes.add(class_.name, BindingKind.OWN_CLASS)
        force_setattr(node, "own_class", class_.own_class)
        force_setattr(node, "receiver", receiver)

    def _index(self, node: ast.Index) -> None:
        self.visitors[type(node.object)](node.object)
        self.visitors[type(node.index)](node.index)

    def _slice(self, node: ast.Slice) -> None:
        self.visitors[type(node.object)](node.object)
        for end in (node.start, node.stop):
            if end is not None:
                self.visit(end)

    # -- functions ---------------------------------------------------------

    def _lambda(self, node: ast.Lambda) -> None:
        self.function_body(node.function, self.function.receiver)

    def function_body(self, function: ast.Function, receiver: int) -> None:
        """Walk over a function; ``receiver`` is what ``self`` means in it."""
        scopes = self.scopes
        scopes.depth += 1
        scopes.open()
        for parameter in function.parameters:
            self.annotation(parameter.type)
            if parameter.default is not None:
                self.visit(parameter.default)
                self.checks.value(parameter.type, parameter.name, parameter.default)
            name = parameter.name
            if name in scopes.innermost.own:
                self.complain(
                    f'duplicate parameter "{name}"', parameter.line, parameter.column, len(name)
                )
            force_setattr(parameter, "binding", scopes.declare(name, BindingKind.PARAMETER))
            self.checks.annotate(parameter.binding, parameter.type, parameter.kind)
        self.annotation(function.returns)
        if function.body is not None:
            outer, self.function = self.function, FunctionContext(function, receiver)
            self.block(function.body)
            self.function = outer
        scopes.close()
        scopes.depth -= 1

    # -- match -------------------------------------------------------------

    def _match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for arm in node.arms:
            self.scopes.open()
            self._pattern(arm.pattern)
            if arm.guard is not None:
                self.visit(arm.guard)
            self.body(arm.body)
            if arm.result is not None:
                self.visit(arm.result)
            self.scopes.close()

    def _pattern(self, pattern: ast.Pattern) -> None:
        match pattern:
            case ast.BindPattern():
                self._bind(pattern)
            case ast.ConstructorPattern(constructor=constructor, arguments=arguments):
                self.visit(constructor)
                for argument in arguments:
                    self._pattern(argument)
            case ast.ListPattern(items=items, rest=rest):
                for item in items:
                    self._pattern(item)
                if rest is not None:
                    self._pattern(rest)
            case ast.ObjectPattern(fields=fields):
                for field in fields:
                    self._pattern(field.pattern)

    def _bind(self, pattern: ast.BindPattern) -> None:
        name = pattern.name
        if name in self.scopes.innermost.own:
            message = f'"{name}" is bound twice in one pattern'
            self.complain(message, pattern.line, pattern.column, len(name))
        force_setattr(pattern, "binding", self.scopes.declare(name, BindingKind.PATTERN))
