"""The contract of kind ``lexer``: source text to tokens."""

from __future__ import annotations

import msgspec

from ..diagnostics import Diagnostic
from ..markers import hookspec, query
from ..tokens import Token


class LexResult(msgspec.Struct, frozen=True, array_like=True):
    """All tokens, the last of kind ``end``; every error of the file at once."""

    tokens: list[Token]
    diagnostics: list[Diagnostic]


class LexerSpec:
    @hookspec(firstresult=True)
    @query
    def tokenize(self, source: str, file: str) -> LexResult:
        """Split ``source`` into tokens; ``file`` is its name in messages."""
        raise NotImplementedError
