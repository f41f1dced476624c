"""The contract of kind ``parser``: tokens to a checked syntax tree."""

from __future__ import annotations

import msgspec

from .. import ast
from ..diagnostics import Diagnostic
from ..markers import hookspec, query
from ..tokens import Token


class ParseResult(msgspec.Struct, frozen=True, array_like=True):
    """The tree, the modules it imports, and every error of the file at once.

    ``imports`` holds the module paths as written, each once, in order. The
    tree is complete only if no diagnostic is an error.
    """

    module: ast.Module
    imports: list[str]
    diagnostics: list[Diagnostic]


class ParserSpec:
    @hookspec(firstresult=True)
    @query
    def parse(self, tokens: list[Token], file: str) -> ParseResult:
        """Parse and check names and types: phases parsing, semantic_analysis."""
        raise NotImplementedError
