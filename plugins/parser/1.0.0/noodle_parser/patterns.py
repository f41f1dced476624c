"""Patterns of ``match``."""

from __future__ import annotations

from typing import Final

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.tokens import Token, TokenKind

from .annotations import Annotations

#: One more than the greatest int; a minus may stand before it.
INT_LIMIT: Final = 2**63
WORDS: Final = {"true": True, "false": False, "null": None, "none": None}
_LITERALS: Final = (TokenKind.INT, TokenKind.FLOAT, TokenKind.STRING)


class Patterns(Annotations):
    """The part of the grammar that reads patterns."""

    def pattern(self) -> ast.Pattern:
        self.enter()
        self.inside += 1
        found = self._pattern()
        self.inside -= 1
        self.nesting -= 1
        return found

    def check_int(self, token: Token) -> None:
        """Refuse the int that only a minus makes one."""
        if token.value == INT_LIMIT and token.kind is TokenKind.INT:
            message = f"integer literal {token.text} is outside 64 bits"
            self.complain(message, token, phase="lexing")

    def _pattern(self) -> ast.Pattern:
        token = self.token
        line, column, text = token.line, token.column, token.text
        if text in WORDS:
            self.take()
            return ast.LiteralPattern(line, column, WORDS[text])
        if text == "-":
            self.take()
            number = self.token.value
            if not isinstance(number, int | float):
                self.fail_expected("a number")
            self.take()
            return ast.LiteralPattern(line, column, -number)
        if token.kind in _LITERALS:
            self.check_int(self.take())
            return ast.LiteralPattern(line, column, token.value)
        if text == "[":
            return self._list_pattern()
        if text == "{":
            return self._object_pattern()
        if token.kind is TokenKind.NAME:
            return self._named_pattern()
        return self.fail_expected("a pattern")

    def _named_pattern(self) -> ast.Pattern:
        token = self.take()
        line, column = token.line, token.column
        constructor: ast.Expression = ast.Name(line, column, token.text, BUILTIN)
        while self.text == ".":
            dot = self.take()
            member = self.expect_name().text
            constructor = ast.Member(dot.line, dot.column, constructor, member)
            self.grow(dot)
        if self.accept("("):
            arguments: list[ast.Pattern] = []
            while self.text != ")":
                arguments.append(self.pattern())
                if not self.accept(","):
                    break
            self.expect(")")
            return ast.ConstructorPattern(line, column, constructor, arguments)
        if isinstance(constructor, ast.Member) or token.text == "None":
            return ast.ConstructorPattern(line, column, constructor, [])
        if token.text == "_":
            return ast.WildcardPattern(line, column)
        return ast.BindPattern(line, column, token.text, BUILTIN)

    def _list_pattern(self) -> ast.Pattern:
        bracket = self.expect("[")
        items: list[ast.Pattern] = []
        rest: ast.BindPattern | ast.WildcardPattern | None = None
        while self.text != "]":
            if self.text == "...":
                rest = self._rest()
                self.accept(",")
                break
            items.append(self.pattern())
            if not self.accept(","):
                break
        self.expect("]")
        return ast.ListPattern(bracket.line, bracket.column, items, rest)

    def _rest(self) -> ast.BindPattern | ast.WildcardPattern:
        dots = self.take()
        if self.kind is not TokenKind.NAME:
            return ast.WildcardPattern(dots.line, dots.column)
        name = self.take()
        if name.text == "_":
            return ast.WildcardPattern(name.line, name.column)
        return ast.BindPattern(name.line, name.column, name.text, BUILTIN)

    def _object_pattern(self) -> ast.Pattern:
        brace = self.expect("{")
        fields: list[ast.FieldPattern] = []
        while self.text != "}":
            key = self.token
            pattern: ast.Pattern
            if key.kind is TokenKind.STRING:
                self.take()
                self.expect(":")
                name, pattern = str(key.value), self.pattern()
            else:
                name = self.expect_name().text
                if self.accept(":"):
                    pattern = self.pattern()
                else:
                    pattern = ast.BindPattern(key.line, key.column, name, BUILTIN)
            fields.append(ast.FieldPattern(name, pattern))
            if not self.accept(","):
                break
        self.expect("}")
        return ast.ObjectPattern(brace.line, brace.column, fields)
