"""The contract of kind ``parser``: tokens to a checked syntax tree."""

from __future__ import annotations

import msgspec

from .. import ast
from ..diagnostics import Diagnostic
from ..markers import hookspec, query
from ..tokens import Token


class NamePlace(msgspec.Struct, frozen=True, array_like=True):
    """A name and where it stands, from 1."""

    name: str
    line: int
    column: int


class Import(msgspec.Struct, frozen=True, array_like=True):
    """A module path as written and where it stands.

    ``names`` are the exports of that module which the statement asks for.
    ``exports_all`` says that what it exports, this module exports too.
    """

    path: str
    line: int
    column: int
    names: list[NamePlace]
    exports_all: bool = False


class ParseResult(msgspec.Struct, frozen=True, array_like=True):
    """The tree, every statement with a module path in order, the names that
    importers see, and every error of the file at once.

    The tree is complete only if no diagnostic is an error.
    """

    module: ast.Module
    imports: list[Import]
    exports: list[str]
    diagnostics: list[Diagnostic]


class ParserSpec:
    @hookspec(firstresult=True)
    @query
    def parse(self, tokens: list[Token], file: str) -> ParseResult:
        """Parse and check names and types: phases parsing, semantic_analysis."""
        raise NotImplementedError
