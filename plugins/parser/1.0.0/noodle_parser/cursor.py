"""A place in the tokens: looking, taking and complaining."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NoReturn

from hookspecs.diagnostics import Diagnostic, Phase
from hookspecs.tokens import Token, TokenKind

from .brackets import Brackets

#: Expressions and blocks within one another; each takes several calls in every stage.
MAX_NESTING: Final = 500
#: A tree is as deep as its longest row of operators and calls is long.
MAX_HEIGHT: Final = 2000


class SyntaxProblem(Exception):
    """Raised where the grammar cannot go on; the problem has been reported."""


class Cursor:
    """The base of the grammar's parts.

    ``text`` is the text of the token at ``index``. It tells operators and
    reserved words from everything else: a string begins with its quote, a piece of a
    template ends with a backtick or ``${``. ``inside`` is greater than 0
    within parentheses and brackets, where the end of a line means nothing.
    """

    def __init__(self, tokens: list[Token], file: str) -> None:
        self.tokens = tokens
        self.texts = [token.text for token in tokens]
        # Looking one token ahead of the last one is allowed.
        self.texts.append("")
        self.file = file
        self.index = 0
        self.text = self.texts[0]
        self.inside = 0
        self.nesting = 0
        #: How deep the tree is, at most, of what the innermost enclosing
        #: expression or block has read; each operator and call adds one.
        self.height = 0
        #: Where the innermost statement begins.
        self.start = 0
        self.diagnostics: list[Diagnostic] = []
        #: Names in what was skipped after an error: they may have been declared there.
        self.skipped_names: set[str] = set()
        self.brackets = Brackets(tokens)
        self._unread = [i for i, token in enumerate(tokens) if token.kind is TokenKind.ERROR]
        self._reported = -1
        self._is_too_deep = False
        #: Whether a missing closing brace has been reported, at the end of the file.
        self.misses_brace = False

    # -- looking -----------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def kind(self) -> TokenKind:
        return self.tokens[self.index].kind

    def behind_partner(self) -> str:
        """The text behind the bracket that closes the one here; empty if none does."""
        partner = self.brackets.partners.get(self.index)
        return "" if partner is None else self.texts[partner + 1]

    def follows_on_line(self) -> bool:
        """Whether the next token may go on with what has been read."""
        return self.inside > 0 or not self.tokens[self.index].after_newline

    def at_statement_end(self) -> bool:
        token = self.tokens[self.index]
        return (
            (token.after_newline and not self.inside)
            or token.kind is TokenKind.END
            or token.text in ("}", ";")
        )

    # -- taking ------------------------------------------------------------

    def take(self) -> Token:
        """Pass over a token that is not the last one."""
        index = self.index
        self.index = index + 1
        self.text = self.texts[index + 1]
        return self.tokens[index]

    def accept(self, text: str) -> bool:
        if self.text != text:
            return False
        self.index += 1
        self.text = self.texts[self.index]
        return True

    def expect(self, text: str) -> Token:
        if self.text != text:
            self.fail_expected(f'"{text}"')
        return self.take()

    def expect_name(self) -> Token:
        """Take a name, which must be on this line if it is not the beginning of something."""
        is_here = self.index == self.start or self.follows_on_line()
        if not is_here or self.tokens[self.index].kind is not TokenKind.NAME:
            self.fail_expected("a name")
        return self.take()

    # -- complaining -------------------------------------------------------

    def complain(
        self, message: str, token: Token, expected: str = "", phase: Phase = "parsing"
    ) -> None:
        length = max(1, len(token.text.split("\n", 1)[0]))
        self.complain_at(message, token.line, token.column, length, expected, phase)

    def complain_at(
        self,
        message: str,
        line: int,
        column: int,
        length: int = 1,
        expected: str = "",
        phase: Phase = "semantic_analysis",
    ) -> None:
        self.diagnostics.append(
            Diagnostic("error", phase, message, self.file, line, column, length, expected)
        )

    def fail(self, message: str, token: Token, expected: str = "") -> NoReturn:
        """Report a problem at a token and give up the statement."""
        self.complain(message, token, expected)
        raise SyntaxProblem

    def fail_expected(self, what: str) -> NoReturn:
        """Report that something else was expected at the next token."""
        if self._is_known_problem():
            raise SyntaxProblem
        self._reported = self.index
        token = self.token
        self.misses_brace |= token.kind is TokenKind.END
        line, column = token.line, token.column
        shown = token.text.split("\n", 1)[0]
        if token.kind in (TokenKind.TEMPLATE_MIDDLE, TokenKind.TEMPLATE_END):
            shown = "}"
        length = max(1, len(shown))
        if token.kind is TokenKind.END:
            found = "end of file"
        elif self.index != self.start and not self.follows_on_line():
            found = "end of line"
            line, column = _end(self.tokens[self.index - 1])
            length = 1
        else:
            found = f'"{shown}"'
        message = f"expected {what}, found {found}"
        self.complain_at(message, line, column, length, phase="parsing")
        raise SyntaxProblem

    def _is_known_problem(self) -> bool:
        """Whether the lexer has reported this one, or it was reported from further inside."""
        if self.index == self._reported or (self.misses_brace and self.kind is TokenKind.END):
            return True
        position = bisect_left(self._unread, self.start)
        if position < len(self._unread) and self._unread[position] <= self.index:
            return True
        # Text that was not read may have held the bracket that is missing or too much.
        misplaced = self.text == "}" or self.kind is TokenKind.END
        return misplaced and bool(self._unread) and not self.brackets.braces_match

    # -- nesting -----------------------------------------------------------

    def enter(self) -> None:
        """Go one level deeper; whoever enters leaves, unless a problem is raised."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            # The rest of the file may be as deep.
            if not self._is_too_deep:
                self._is_too_deep = True
                self.complain(f"nested more than {MAX_NESTING} levels deep", self.token)
            raise SyntaxProblem

    def grow(self, place: Token) -> None:
        """Count an operator or a call."""
        self.height += 1
        if self.height > MAX_HEIGHT:
            self.fail(f"more than {MAX_HEIGHT} operators and calls in a row", place)

    def go_to(self, index: int) -> None:
        self.index = index
        self.text = self.texts[index]


def _end(token: Token) -> tuple[int, int]:
    """Line and column just behind a token."""
    lines = token.text.split("\n")
    if len(lines) == 1:
        return token.line, token.column + len(token.text)
    return token.line + len(lines) - 1, len(lines[-1]) + 1
