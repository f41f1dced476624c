"""Functions, classes, structs and enums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hookspecs import ast
from hookspecs.ast import BUILTIN, ParameterKind
from hookspecs.tokens import Token, TokenKind

from .cursor import SyntaxProblem
from .expressions import Expressions

_MODIFIERS: Final = frozenset(("private", "public", "static", "virtual"))


class Declarations(Expressions):
    """The part of the grammar that reads declarations; all stand at their names."""

    # -- functions ---------------------------------------------------------

    def function_declaration(self) -> ast.Statement:
        self.take()
        name = self.expect_name()
        function = self._function(name, name.text)
        return ast.FunctionDeclaration(name.line, name.column, BUILTIN, function)

    def _function(self, place: Token, name: str, may_lack_body: bool = False) -> ast.Function:
        known = len(self.type_parameters)
        self.type_parameters += self.skip_type_parameters()
        parameters = self.parameters()
        self.skip_throws()
        returns = self.annotation() if self.accept(":") or self.accept("->") else None
        self.skip_throws()
        if self.accept("where"):
            self._skip_where()
        body = None
        if self.text == "{" or not may_lack_body:
            body = self.block()
        del self.type_parameters[known:]
        return ast.Function(place.line, place.column, name, parameters, returns, BUILTIN, body)

    def _skip_where(self) -> None:
        while True:
            self.annotation()
            self.expect(":")
            self.skip_constraint()
            if not self.accept(","):
                return

    def parameters(self) -> list[ast.Parameter]:
        self.expect("(")
        self.inside += 1
        found: list[ast.Parameter] = []
        while self.text != ")":
            found.append(self._parameter())
            if not self.accept(",") or found[-1].kind is ParameterKind.VARIADIC:
                break
        self.expect(")")
        self.inside -= 1
        return found

    def _parameter(self) -> ast.Parameter:
        kind = ParameterKind.VARIADIC if self.accept("...") else ParameterKind.REQUIRED
        name = self.expect_name()
        if kind is ParameterKind.REQUIRED and self.accept("?"):
            kind = ParameterKind.OPTIONAL
        type_ = self.annotation_behind_colon()
        default = None
        if kind is not ParameterKind.VARIADIC and self.accept("="):
            kind = ParameterKind.OPTIONAL
            default = self.expression()
        return ast.Parameter(name.line, name.column, name.text, BUILTIN, type_, kind, default)

    # -- types -------------------------------------------------------------

    def members(self, read: Callable[[], None]) -> None:
        """Read ``{ ... }`` member by member, going on behind one that is wrong."""
        indent = self.indent_of_block()
        self.expect("{")
        self.enter()
        inside, start = self.inside, self.start
        self.inside = 0
        while self.kind is not TokenKind.END:
            if self.text in (";", ","):
                self.take()
                continue
            if self.text == "}" and not self.is_extra_brace(indent):
                break
            if self.is_behind_block(indent):
                break
            first = self.start = self.index
            nesting, known = self.nesting, len(self.type_parameters)
            try:
                read()
                if self.text not in (",", "case") and not self.at_statement_end():
                    self.start = first
                    self.fail_expected('"," or a new line')
            except SyntaxProblem:
                self.nesting, self.inside = nesting, 0
                del self.type_parameters[known:]
                self.recover(first)
        self.inside, self.start = inside, start
        self.nesting -= 1
        self.close_block(indent)

    def struct_declaration(self) -> ast.Statement:
        self.take()
        name = self.expect_name()
        known = len(self.type_parameters)
        self.type_parameters += self.skip_type_parameters()
        fields: list[ast.Parameter] = []
        self.members(lambda: fields.append(self._parameter()))
        del self.type_parameters[known:]
        self._check_twice([(field.name, field) for field in fields], name.text)
        return ast.StructDeclaration(name.line, name.column, name.text, BUILTIN, fields)

    def enum_declaration(self) -> ast.Statement:
        self.take()
        name = self.expect_name()
        known = len(self.type_parameters)
        self.type_parameters += self.skip_type_parameters()
        variants: list[ast.Variant] = []
        self.members(lambda: variants.append(self._variant()))
        del self.type_parameters[known:]
        self._check_twice([(variant.name, variant) for variant in variants], name.text)
        return ast.EnumDeclaration(name.line, name.column, name.text, BUILTIN, variants)

    def _variant(self) -> ast.Variant:
        name = self.expect_name()
        has_payload = self.text == "("
        fields = self.parameters() if has_payload else []
        return ast.Variant(name.line, name.column, name.text, has_payload, fields)

    def class_declaration(self) -> ast.Statement:
        """``class A extends B { ... }``, also as ``error A``."""
        keyword = self.take()
        name = self.expect_name()
        known = len(self.type_parameters)
        self.type_parameters += self.skip_type_parameters()
        body = _ClassBody(name.text)
        parent = self._parent()
        if parent is None and keyword.text == "error":
            parent = ast.Name(name.line, name.column, "Error", BUILTIN)
        if self.text == "implements":
            self.fail("not supported yet: implements", self.token)
        self.members(lambda: self._member(body))
        del self.type_parameters[known:]
        named: list[tuple[str, ast.Node]] = [(field.name, field) for field in body.fields]
        named += [(method.name, method) for method in body.methods]
        self._check_twice(named, name.text)
        return ast.ClassDeclaration(
            name.line,
            name.column,
            name.text,
            BUILTIN,
            BUILTIN,
            parent,
            BUILTIN,
            body.fields,
            body.constructor,
            body.methods,
        )

    def _parent(self) -> ast.Expression | None:
        if not self.accept("extends"):
            return None
        name = self.expect_name()
        parent: ast.Expression = ast.Name(name.line, name.column, name.text, BUILTIN)
        while self.text == ".":
            dot = self.take()
            parent = ast.Member(dot.line, dot.column, parent, self.expect_name().text)
            self.grow(dot)
        if self.accept("<"):
            self.annotation()
            while self.accept(","):
                self.annotation()
            self.expect(">")
        return parent

    def _member(self, body: _ClassBody) -> None:
        modifiers: set[str] = set()
        while self.text in _MODIFIERS and self._is_modifier():
            modifiers.add(self.take().text)
        if self.text in ("async", "macro", "foreign"):
            word = self.take()
            self.complain(f"not supported yet: {word.text}", word)
        is_function = self.accept("function") or self.accept("def")
        if not is_function:
            # As good as nothing here.
            _ = self.accept("let") or self.accept("var")
        name = self.expect_name()
        full_name = f"{body.name}.{name.text}"
        line, column = name.line, name.column
        is_private, is_static = "private" in modifiers, "static" in modifiers
        if not (is_function or self.text == "(" or self.text == "<"):
            if is_static:
                self.fail("not supported yet: static fields", name)
            self.accept("?")
            type_ = self.annotation_behind_colon()
            value = self.value() if self.accept("=") else None
            body.fields.append(ast.Field(line, column, name.text, is_private, type_, value))
        elif name.text == "constructor":
            if body.constructor is not None:
                self._complain_twice("constructor", name.line, name.column, body.name)
            body.constructor = self._function(name, full_name)
        else:
            function = self._function(name, full_name, may_lack_body="virtual" in modifiers)
            body.methods.append(
                ast.Method(line, column, name.text, is_private, is_static, function)
            )

    def _is_modifier(self) -> bool:
        """Whether the word here is not itself the name of a member."""
        follower = self.tokens[self.index + 1]
        return follower.kind in (TokenKind.NAME, TokenKind.KEYWORD) and not follower.after_newline

    def _check_twice(self, members: list[tuple[str, ast.Node]], owner: str) -> None:
        seen: set[str] = set()
        for name, node in members:
            if name in seen:
                self._complain_twice(name, node.line, node.column, owner)
            seen.add(name)

    def _complain_twice(self, name: str, line: int, column: int, owner: str) -> None:
        self.complain_at(f'"{name}" is already declared in {owner}', line, column, len(name))


class _ClassBody:
    """What has been read of a class."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: list[ast.Field] = []
        self.methods: list[ast.Method] = []
        self.constructor: ast.Function | None = None
