"""Going on after an error, so that one mistake is reported once."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from hookspecs.tokens import TokenKind

from .cursor import MAX_NESTING, Cursor, SyntaxProblem

#: No statement begins with one of these: the line goes on with the one before.
_CONTINUES: Final = frozenset(
    ") ] , . | || && == != < <= > >= + * / % ** = : => -> else elif catch finally".split()
)
#: Statements whose block is read even if what stands before it is wrong.
_BLOCK_WORDS: Final = frozenset("if while for do try function def with async export".split())


class Recovery(Cursor):
    """Two means: skipping a statement, and, where a file has more or fewer
    closing braces than opening ones, trusting how its lines are indented."""

    def block(self) -> object:
        """Read a block; see :class:`.statements.Statements`."""
        raise NotImplementedError

    def recover(self, start: int) -> None:
        """Skip the rest of the statement that began at token ``start``.

        What lies in brackets is skipped as a whole, except the blocks of
        statements whose head is wrong: these are read for their errors.
        """
        tokens, texts = self.tokens, self.texts
        if self.kind is TokenKind.END:
            return
        reads_blocks = texts[start] in _BLOCK_WORDS and self.nesting < MAX_NESTING
        index = self._behind_open_brackets(start)
        if index == start:
            index = self.brackets.behind(index)
        self._note_names(start, index)
        while tokens[index].kind is not TokenKind.END:
            text = texts[index]
            is_block = text == "{" and reads_blocks
            if text == "}" or (
                tokens[index].after_newline and text not in _CONTINUES and not is_block
            ):
                break
            if text == ";":
                index += 1
                break
            if is_block:
                self.go_to(index)
                # It fails only at the end of the file.
                with suppress(SyntaxProblem):
                    self.block()
                index = self.index
            else:
                behind = self.brackets.behind(index)
                self._note_names(index, behind)
                index = behind
        self.go_to(index)

    def _note_names(self, start: int, end: int) -> None:
        for token in self.tokens[start:end]:
            if token.kind is TokenKind.NAME:
                self.skipped_names.add(token.text)

    def _behind_open_brackets(self, start: int) -> int:
        """Where the outermost brackets end that this statement has open here."""
        partners, here = self.brackets.partners, self.index
        index = start
        while index < here:
            partner = partners.get(index)
            if partner is None:
                index += 1
            elif self.texts[index] != "{" or partner < here or self.brackets.braces_match:
                index = partner + 1
            else:
                index += 1
        return max(index, here)

    # -- indentation -------------------------------------------------------

    def indent_of_block(self) -> int:
        """The column that the lines of the block which opens here stand behind.

        0 if nothing need or can be made of it.
        """
        if self.brackets.braces_match or self.text != "{":
            return 0
        first = self.tokens[self.index + 1]
        index = self.index
        while not self.tokens[index].after_newline:
            index -= 1
        indent = self.tokens[index].column
        return indent if first.after_newline and first.column > indent else 0

    def is_extra_brace(self, indent: int) -> bool:
        """Whether the brace here is too far right to close the block."""
        token = self.token
        return bool(indent) and token.after_newline and token.column > indent

    def is_behind_block(self, indent: int) -> bool:
        """Whether the block must have ended before this line."""
        token = self.token
        if not indent or not token.after_newline:
            return False
        return token.column < indent or (token.column == indent and token.text != "}")

    def close_block(self, indent: int) -> None:
        """Take the closing brace, or report once in a file that one is missing."""
        if not self.is_behind_block(indent):
            self.expect("}")
        elif not self.misses_brace:
            self.misses_brace = True
            end = self.tokens[-1]
            message = 'expected "}", found end of file'
            self.complain_at(message, end.line, end.column, phase="parsing")
