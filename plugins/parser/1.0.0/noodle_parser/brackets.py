"""Which brackets belong together, found before anything else is read."""

from __future__ import annotations

from typing import Final

from hookspecs.tokens import Token, TokenKind

_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_OPENING: Final = {closing: opening for opening, closing in _CLOSING.items()}


class Brackets:
    """``partners`` maps the index of each opening bracket to that of its closing one.

    A brace is stronger than parentheses and square brackets: it closes what is left open
    inside of it, and they do not reach out of it. ``braces_match`` tells whether
    the blocks of the file are where its author believes them to be.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.partners: dict[int, int] = {}
        self.braces_match = True
        opened: list[tuple[str, int]] = []
        operator = TokenKind.OPERATOR
        for index, token in enumerate(tokens):
            if token.kind is not operator:
                continue
            text = token.text
            if text in _CLOSING:
                opened.append((text, index))
            elif text in _OPENING:
                self._close(opened, _OPENING[text], index)
        if any(text == "{" for text, _ in opened):
            self.braces_match = False

    def _close(self, opened: list[tuple[str, int]], opening: str, index: int) -> None:
        if opening == "{":
            while opened and opened[-1][0] != "{":
                opened.pop()
            if not opened:
                self.braces_match = False
                return
        elif not opened or opened[-1][0] != opening:
            return
        self.partners[opened.pop()[1]] = index

    def behind(self, index: int) -> int:
        """The index behind a token, or behind the brackets that open there."""
        return self.partners.get(index, index) + 1
