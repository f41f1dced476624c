"""One pass over the source, which never gives up."""

from __future__ import annotations

from math import inf

from hookspecs import hookimpl, query
from hookspecs.contracts.lexer import LexResult
from hookspecs.diagnostics import Diagnostic
from hookspecs.tokens import Token, TokenKind

from .words import KEYWORDS, TEMPLATE_TEXT, TOKEN, unescape

#: One more than the greatest int: it may follow a minus.
_INT_LIMIT = 2**63
# More digits than that are out of range, and slow to convert.
_MOST_DIGITS = 80


class Lexer:
    """Kind ``lexer``; holds nothing between calls."""

    @hookimpl
    @query
    def tokenize(self, source: str, file: str) -> LexResult:
        """Split ``source`` into tokens; ``file`` is its name in messages."""
        return _Scan(source, file).run()


class _Scan:
    """One source being read."""

    def __init__(self, source: str, file: str) -> None:
        self._source = source
        self._file = file
        self._tokens: list[Token] = []
        self._diagnostics: list[Diagnostic] = []
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._after_newline = True
        #: For each open template, how many braces are open in its expression, and
        #: the line and column where the template begins.
        self._braces: list[int] = []
        self._templates: list[tuple[int, int]] = []

    def run(self) -> LexResult:
        source, end = self._source, len(self._source)
        match = TOKEN.match
        tokens, keywords = self._tokens, KEYWORDS
        while self._at < end:
            found = match(source, self._at)
            if found is None:
                self._stray()
                continue
            group = found.lastgroup
            at, self._at = self._at, found.end()
            # The frequent ones first.
            if group == "space":
                continue
            text = found[0]
            if group == "name":
                kind = TokenKind.KEYWORD if text in keywords else TokenKind.NAME
            elif group == "operator":
                if self._braces and self._is_template_resumed(text, at):
                    continue
                kind = TokenKind.OPERATOR
            elif group == "newline":
                self._count_lines(at, self._at)
                self._after_newline = True
                continue
            else:
                self._other(group, text, at)
                continue
            column = at - self._line_start + 1
            tokens.append(Token(kind, text, self._line, column, self._after_newline))
            self._after_newline = False
        if self._braces:
            # An expression in a template was still open.
            self._give_up_template(end)
        self._add(TokenKind.END, "", end)
        return LexResult(tokens, self._diagnostics)

    def _other(self, group: str | None, text: str, at: int) -> None:
        if group == "comment":
            return
        if group == "block_comment":
            if "\n" in text:
                self._after_newline = True
                self._count_lines(at, self._at)
        elif group == "int":
            self._int(text, at)
        elif group == "float":
            value = float(text)
            if value == inf:
                self._complain(f"float literal {_shortened(text)} is too large", at, len(text))
                value = 0.0
            self._add(TokenKind.FLOAT, text, at, value)
        elif group == "string":
            self._add(TokenKind.STRING, text, at, unescape(text[1:-1]))
        elif group == "template":
            self._template(at, TokenKind.TEMPLATE_START)
        elif group == "malformed":
            self._complain(f'malformed number "{_shortened(text)}"', at, len(text))
            self._add(TokenKind.INT, text, at, 0)
        elif group == "open_string":
            self._complain("unterminated string", at, 1, text[0])
            self._add(TokenKind.ERROR, text, at)
        else:
            self._complain("unterminated comment", at, 2, "*/")
            self._give_up(at)

    def _int(self, text: str, at: int) -> None:
        value = _INT_LIMIT + 1
        if len(text) <= _MOST_DIGITS:
            base = {"0x": 16, "0b": 2}.get(text[:2].lower(), 10)
            value = int(text, base) if base != 10 else int(text)
        if value > _INT_LIMIT:
            message = f"integer literal {_shortened(text)} is outside 64 bits"
            self._complain(message, at, len(text))
            value = 0
        self._add(TokenKind.INT, text, at, value)

    # -- templates ---------------------------------------------------------

    def _is_template_resumed(self, text: str, at: int) -> bool:
        """Count braces in the expression of a template; its last one goes on with text."""
        if text == "{":
            self._braces[-1] += 1
        elif text == "}":
            if self._braces[-1] == 0:
                self._braces.pop()
                self._template(at, TokenKind.TEMPLATE_MIDDLE)
                return True
            self._braces[-1] -= 1
        return False

    def _template(self, at: int, kind: TokenKind) -> None:
        """Read text that begins behind a backtick or a closing brace at ``at``."""
        source = self._source
        start = (self._line, at - self._line_start + 1)
        if kind is TokenKind.TEMPLATE_MIDDLE:
            start = self._templates.pop()
        found = TEMPLATE_TEXT.match(source, at + 1)
        assert found is not None
        end = found.end()
        value = unescape(found[0])
        if source.startswith("${", end):
            self._at = end + 2
            self._braces.append(0)
            self._templates.append(start)
        elif source.startswith("`", end):
            self._at = end + 1
            whole = kind is TokenKind.TEMPLATE_START
            kind = TokenKind.STRING if whole else TokenKind.TEMPLATE_END
        else:
            self._templates.append(start)
            self._give_up_template(at)
            return
        self._add(kind, source[at : self._at], at, value)
        self._count_lines(at, self._at)

    # -- places and errors -------------------------------------------------

    def _add(
        self, kind: TokenKind, text: str, at: int, value: int | float | str | None = None
    ) -> None:
        column = at - self._line_start + 1
        self._tokens.append(Token(kind, text, self._line, column, self._after_newline, value))
        self._after_newline = False

    def _count_lines(self, start: int, end: int) -> None:
        count = self._source.count("\n", start, end)
        if count:
            self._line += count
            self._line_start = self._source.rindex("\n", start, end) + 1

    def _complain(self, message: str, at: int, length: int, expected: str = "") -> None:
        column = at - self._line_start + 1
        self._diagnostics.append(
            Diagnostic("error", "lexing", message, self._file, self._line, column, length, expected)
        )

    def _stray(self) -> None:
        character = self._source[self._at]
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        self._complain(f'unexpected character "{shown}"', self._at, 1)
        self._add(TokenKind.ERROR, character, self._at)
        self._at += 1

    def _give_up_template(self, at: int) -> None:
        """Report the outermost template that is open: its end may be the missing one."""
        line, column = self._templates[0]
        message = "unterminated template"
        self._diagnostics.append(
            Diagnostic("error", "lexing", message, self._file, line, column, 1, "`")
        )
        self._templates.clear()
        self._give_up(at)

    def _give_up(self, at: int) -> None:
        """What follows cannot be told apart from text: the rest is left out."""
        self._add(TokenKind.ERROR, "", at)
        self._count_lines(at, len(self._source))
        self._at = len(self._source)
        self._braces.clear()


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_DIGITS else f"{text[:20]}..."
