"""The component: tokens to a checked tree."""

from __future__ import annotations

import sys
from typing import Final

from hookspecs import ast, hookimpl, query
from hookspecs.contracts.parser import ParseResult
from hookspecs.tokens import Token, TokenKind

from .resolver import Resolver
from .statements import Statements

#: Enough for MAX_NESTING levels of the grammar's longest way round.
_RECURSION_LIMIT: Final = 10_000


class Parser:
    """Kind ``parser``; holds nothing between calls."""

    def __init__(self) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))

    @hookimpl
    @query
    def parse(self, tokens: list[Token], file: str) -> ParseResult:
        """Parse and check names and types: phases parsing, semantic_analysis."""
        if not tokens or tokens[-1].kind is not TokenKind.END:
            raise ValueError(f"the last token of {file} must be of kind END")
        # The grammar may split a token.
        grammar = Statements(list(tokens), file)
        body = grammar.module()
        resolver = Resolver(grammar, file)
        bindings = resolver.resolve(body)
        diagnostics = grammar.diagnostics + resolver.diagnostics
        diagnostics.sort(key=lambda diagnostic: (diagnostic.line, diagnostic.column))
        module = ast.Module(file, body, bindings)
        return ParseResult(module, grammar.imports, grammar.exports, diagnostics)
