"""Annotations: reading them, and the names that a value of the type can have."""

from __future__ import annotations

from typing import NamedTuple

from hookspecs import ast
from hookspecs.tokens import Token, TokenKind

from .known_names import BUILTIN_TYPES
from .recovery import Recovery


class TypeReference(NamedTuple):
    """A name in an annotation that must be that of a type, and where it stands."""

    name: str
    line: int
    column: int


class Annotations(Recovery):
    """The part of the grammar that reads annotations."""

    def __init__(self, tokens: list[Token], file: str) -> None:
        super().__init__(tokens, file)
        #: By the identity of the annotation, which lives as long as the tree.
        self.type_references: dict[int, list[TypeReference]] = {}
        #: The type parameters that are in scope; their values may be anything.
        self.type_parameters: list[str] = []
        self._references: list[TypeReference] = []

    def annotation(self) -> ast.Type:
        """Read a type."""
        start = self.index
        self._references = []
        names = self._union()
        found = ast.Type(_spelled(self.texts[start : self.index]), names)
        self.type_references[id(found)] = self._references
        return found

    def annotation_behind_colon(self) -> ast.Type | None:
        return self.annotation() if self.accept(":") else None

    def skip_type_parameters(self) -> list[str]:
        """Read ``<T: A + B, U>`` if it is there; return the names."""
        names: list[str] = []
        if not self.accept("<"):
            return names
        while self.text != ">":
            names.append(self.expect_name().text)
            if self.accept(":"):
                self.skip_constraint()
            if not self.accept(","):
                break
        self.expect(">")
        return names

    def skip_constraint(self) -> None:
        """Read ``A + B``: what generics demand is not checked."""
        self.annotation()
        while self.accept("+"):
            self.annotation()

    def _union(self) -> list[str]:
        names = self._one()
        while self.accept("|"):
            more = self._one()
            # What accepts everything accepts it in a union too.
            names = [*names, *more] if names and more else []
        return names

    def _one(self) -> list[str]:
        self.enter()
        if self.text == "async":
            self.complain("not supported yet: async", self.take())
        if self.text == "(":
            names = self._function_type()
        elif self.text in ("null", "none"):
            self.take()
            names = ["null"]
        elif self.text in ("function", "def"):
            self.take()
            names = ["function"]
        else:
            names = self._named()
        if self.accept("?"):
            names = [*names, "null"] if names else []
        self.nesting -= 1
        return names

    def _named(self) -> list[str]:
        token = self.token
        if token.kind is not TokenKind.NAME or not self.follows_on_line():
            self.fail_expected("a type")
        self.take()
        name = token.text
        if self.text == ".":
            # The type of a module is called there as it is here.
            self._references.append(TypeReference(name, token.line, token.column))
            while self.accept("."):
                name = self.expect_name().text
            self._skip_arguments()
            return [name]
        self._skip_arguments()
        if name in self.type_parameters:
            return []
        self._references.append(TypeReference(name, token.line, token.column))
        return list(BUILTIN_TYPES.get(name, [name]))

    def _skip_arguments(self) -> None:
        if not self.accept("<"):
            return
        while True:
            self._union()
            if not self.accept(","):
                break
        if self.text == ">=":
            # ``x: List<int>= []``: the lexer has seen another operator.
            token = self.token
            self.tokens[self.index] = Token(
                TokenKind.OPERATOR, "=", token.line, token.column + 1, False
            )
            self.texts[self.index] = self.text = "="
            return
        self.expect(">")

    def _function_type(self) -> list[str]:
        """``(A, B) -> C``, or a type in parentheses."""
        self.expect("(")
        self.inside += 1
        count = 0
        names: list[str] = []
        while self.text != ")":
            names = self._union()
            count += 1
            if not self.accept(","):
                break
        self.expect(")")
        self.inside -= 1
        self.skip_throws()
        if self.accept("->"):
            self._union()
            return ["function"]
        if count != 1:
            self.fail_expected('"->"')
        return names

    def skip_throws(self) -> None:
        """Read ``throws A, B``, which is not checked."""
        if self.accept("throws"):
            self._union()
            while self.accept(","):
                self._union()


def _spelled(words: list[str]) -> str:
    text = ""
    for word in words:
        if word in ("->", "|"):
            text += f" {word} "
        elif word == ",":
            text += ", "
        elif word in ("throws", "async"):
            text += f" {word} " if text else f"{word} "
        else:
            text += word
    return text
