"""The words of a Noodle source file, as the lexer hands them to the parser."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class TokenKind(IntEnum):
    """A template with expressions is TEMPLATE_START, tokens, (TEMPLATE_MIDDLE, tokens)*,
    TEMPLATE_END; one without any is a STRING."""

    END = 0  # end of file; always the last token and the only one of its kind
    NAME = 1
    KEYWORD = 2
    INT = 3
    FLOAT = 4
    STRING = 5
    TEMPLATE_START = 6
    TEMPLATE_MIDDLE = 7
    TEMPLATE_END = 8
    OPERATOR = 9  # operators, brackets and punctuation
    #: What the lexer could not read and has reported. No rule of the grammar takes
    #: it, and whoever gives up a statement because of it need not complain again.
    ERROR = 10


class Token(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One token; ``text`` is as written, lines and columns count from 1 in code points.

    ``value`` is the int or float, or the text of a string (or of a piece of a
    template) with its escapes replaced; for all others it is None. An int may
    be one more than the greatest 64-bit one: the parser knows whether a minus
    stands before it. ``after_newline`` tells whether a line ends between the
    token before and this one; the first token of a file has it too.
    """

    kind: TokenKind
    text: str
    line: int
    column: int
    after_newline: bool
    value: int | float | str | None = None
