"""Names in statements, and the statements' places."""

from __future__ import annotations

from typing import Final

from msgspec.structs import force_setattr

from hookspecs import ast
from hookspecs.ast import BindingKind

from .expression_names import ExpressionNames
from .known_names import BUILTIN_NAMES
from .statements import Statements

_KINDS: Final = {
    "let": BindingKind.VARIABLE,
    "var": BindingKind.VARIABLE,
    "const": BindingKind.CONST,
    "function": BindingKind.FUNCTION,
    "class": BindingKind.CLASS,
    "struct": BindingKind.STRUCT,
    "enum": BindingKind.ENUM,
}


class StatementNames(ExpressionNames):
    """The part of the walk that goes through statements."""

    def __init__(self, grammar: Statements, file: str) -> None:
        super().__init__(grammar, file)
        self.visitors |= {
            ast.ExpressionStatement: self._expression,
            ast.Declare: self._declare,
            ast.Assign: self._assign,
            ast.CompoundAssign: self._compound_assign,
            ast.Unpack: self._unpack,
            ast.Block: lambda node: self.block(node.body),
            ast.If: self._if,
            ast.While: self._while,
            ast.DoWhile: self._do_while,
            ast.For: self._for,
            ast.ForIn: self._for_in,
            ast.Break: lambda node: self._jump(node, "break"),
            ast.Continue: lambda node: self._jump(node, "continue"),
            ast.Return: self._return,
            ast.Throw: lambda node: self.visit(node.value),
            ast.Try: self._try,
        }

    # -- blocks ------------------------------------------------------------

    def block(self, body: list[ast.Statement]) -> None:
        self.scopes.open()
        self.body(body)
        self.scopes.close()

    def body(self, body: list[ast.Statement]) -> None:
        """Walk over the statements of the innermost scope."""
        for statement in body:
            word = self._word(statement)
            if word in _KINDS:
                self._hoist(statement, _KINDS[word])
        visitors = self.visitors
        for index, statement in enumerate(body):
            replacement = visitors[type(statement)](statement)
            if replacement is not None:
                body[index] = replacement

    def _word(self, statement: ast.Statement) -> str:
        """How a declaration is spelled; empty for other statements."""
        kind = type(statement)
        if kind is ast.Declare:
            return self.grammar.spelling[id(statement)]
        if kind is ast.FunctionDeclaration:
            return "function"
        if kind is ast.ClassDeclaration:
            return "class"
        if kind is ast.StructDeclaration:
            return "struct"
        return "enum" if kind is ast.EnumDeclaration else ""

    def _hoist(self, statement: ast.Statement, kind: BindingKind) -> None:
        if isinstance(statement, ast.FunctionDeclaration):
            name = statement.function.name
        else:
            assert isinstance(
                statement,
                ast.Declare | ast.ClassDeclaration | ast.StructDeclaration | ast.EnumDeclaration,
            )
            name = statement.name
        if name not in self.scopes.innermost.own:
            self.scopes.declare(name, kind)

    def pass_declaration(self, node: ast.Node, name: str, word: str) -> int:
        """Take note of a declaration with a word; return the variable it was hoisted to."""
        scope = self.scopes.innermost
        before = scope.declared.get(name)
        if before is not None and (before != "var" or word != "var"):
            self.complain_of_place(f'"{name}" is already declared in this block', node, len(name))
        scope.declared[name] = word
        return scope.own[name]

    # -- variables ---------------------------------------------------------

    def _expression(self, node: ast.ExpressionStatement) -> None:
        self.visitors[type(node.value)](node.value)

    def _declare(self, node: ast.Declare) -> ast.Statement | None:
        self.annotation(node.type)
        if node.value is not None:
            self.visit(node.value)
            self.checks.value(node.type, node.name, node.value)
        word = self.grammar.spelling[id(node)]
        if word == "=":
            known = self.scopes.innermost.own.get(node.name)
            if known is not None and node.value is not None:
                target = ast.Name(node.line, node.column, node.name, known)
                self._check_assigned(known, target)
                return ast.Assign(node.line, node.column, target, node.value)
            binding = self.scopes.declare(node.name, BindingKind.VARIABLE)
        else:
            binding = self.pass_declaration(node, node.name, word)
        force_setattr(node, "binding", binding)
        self.checks.annotate(binding, node.type)
        if word == "const" and node.value is not None:
            self.checks.constant(binding, node.value)
        return None

    def _assign(self, node: ast.Assign) -> ast.Statement | None:
        target = node.target
        if type(target) is not ast.Name:
            self.visit(target)
            self.visit(node.value)
            return None
        assert isinstance(target, ast.Name)
        self.visit(node.value)
        name = target.name
        binding = self.scopes.visible.get(name)
        if binding is None:
            binding = self.scopes.declare(name, BindingKind.VARIABLE)
            return ast.Declare(target.line, target.column, name, binding, None, node.value)
        force_setattr(target, "binding", binding)
        self._check_assigned(binding, target)
        self.checks.assignment(binding, name, node.value)
        return None

    def _compound_assign(self, node: ast.CompoundAssign) -> None:
        target = node.target
        self.visit(target)
        self.visit(node.value)
        if isinstance(target, ast.Name):
            name = target.name
            binding = self.scopes.visible.get(name)
            if binding is not None:
                self._check_assigned(binding, target)
            elif name in BUILTIN_NAMES:
                message = f'cannot assign to the built-in "{name}"'
                self.complain(message, target.line, target.column, len(name))

    def _check_assigned(self, binding: int, node: ast.Name | ast.UnpackTarget) -> None:
        if self.scopes.bindings[binding].kind is BindingKind.CONST:
            message = f'cannot assign to const "{node.name}"'
            self.complain(message, node.line, node.column, len(node.name))
        self.checks.assigned.add(binding)

    def _unpack(self, node: ast.Unpack) -> None:
        self.visit(node.value)
        word = self.grammar.spelling[id(node)]
        targets = [*node.targets, *([node.rest] if node.rest else [])]
        for target in targets:
            name = target.name
            binding = self.scopes.visible.get(name)
            if word != "=":
                own = self.scopes.innermost.own
                if name not in own or name not in self.scopes.innermost.declared:
                    self.scopes.declare(name, _KINDS[word])
                binding = self.pass_declaration(target, name, word)
                force_setattr(target, "declares", True)
            elif binding is None:
                binding = self.scopes.declare(name, BindingKind.VARIABLE)
                force_setattr(target, "declares", True)
            else:
                self._check_assigned(binding, target)
            force_setattr(target, "binding", binding)

    # -- branches and loops ------------------------------------------------

    def _if(self, node: ast.If) -> None:
        for branch in node.branches:
            self.visit(branch.condition)
            self.block(branch.body)
        if node.otherwise is not None:
            self.block(node.otherwise)

    def _loop_body(self, body: list[ast.Statement]) -> None:
        self.function.loops += 1
        self.block(body)
        self.function.loops -= 1

    def _while(self, node: ast.While) -> None:
        self.visit(node.condition)
        self._loop_body(node.body)

    def _do_while(self, node: ast.DoWhile) -> None:
        self._loop_body(node.body)
        self.visit(node.condition)

    def _for(self, node: ast.For) -> None:
        self.scopes.open()
        initial, step = node.initial, node.step
        if isinstance(initial, ast.Assign) and isinstance(initial.target, ast.Name):
            # Whatever is visible, a loop has variables of its own.
            self.visit(initial.value)
            target = initial.target
            binding = self.scopes.declare(target.name, BindingKind.LOOP)
            declared = ast.Declare(
                target.line, target.column, target.name, binding, None, initial.value
            )
            force_setattr(node, "initial", declared)
        elif initial is not None:
            self.body([initial])
        if node.condition is not None:
            self.visit(node.condition)
        if step is not None:
            force_setattr(node, "step", self.visitors[type(step)](step) or step)
        self._loop_body(node.body)
        self.scopes.close()

    def _for_in(self, node: ast.ForIn) -> None:
        self.visit(node.iterable)
        self.scopes.open()
        for name in node.names:
            force_setattr(name, "binding", self.scopes.declare(name.name, BindingKind.LOOP))
        self._loop_body(node.body)
        self.scopes.close()

    def _jump(self, node: ast.Break | ast.Continue, word: str) -> None:
        if not self.function.loops:
            self.complain_of_place(f"{word} outside a loop", node, len(word))

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.visit(node.value)
        function = self.function.function
        if function is None:
            self.complain_of_place("return outside a function", node, 6)
        elif node.value is not None:
            self.checks.result(function, node.value)

    def _try(self, node: ast.Try) -> None:
        self.block(node.body)
        for clause in node.catches:
            if clause.type is not None:
                self.visit(clause.type)
            self.scopes.open()
            force_setattr(clause, "binding", self.scopes.declare(clause.name, BindingKind.CATCH))
            self.block(clause.body)
            self.scopes.close()
        if node.final is not None:
            self.block(node.final)
