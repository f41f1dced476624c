"""Diagnostics as a person reads them: the message, the line and a caret under the place."""

from __future__ import annotations

import unicodedata
from typing import Final

from hookspecs.diagnostics import Diagnostic

_INDENT: Final = "    "
#: Longer lines are cut to a window of that many code points.
_WINDOW: Final = 100
_CUT: Final = "..."


def render(diagnostic: Diagnostic, source: str | None) -> str:
    """Return ``file:line:column: severity: message`` and, below it, the place in the source.

    Args:
        source: the text of the file; without it there is the message alone.
    """
    place = f"{diagnostic.file}:{diagnostic.line}:{diagnostic.column}"
    lines = [f"{place}: {diagnostic.severity}: {diagnostic.message}"]
    text = _line(source, diagnostic.line)
    if text is not None:
        shown, start = _window(text, diagnostic.column - 1)
        at = diagnostic.column - 1 - start
        # The place behind the last character can be wrong too.
        length = max(1, min(diagnostic.length, len(shown) - at))
        lines.append(_INDENT + shown)
        lines.append(_INDENT + _blank(shown[:at]) + _carets(shown[at : at + length]))
    if diagnostic.expected:
        lines.append(f"{_INDENT}expected: {diagnostic.expected}")
    return "\n".join(lines)


def _line(source: str | None, number: int) -> str | None:
    if source is None or number < 1:
        return None
    start = 0
    for _ in range(number - 1):
        start = source.find("\n", start) + 1
        if not start:
            return None
    end = source.find("\n", start)
    line = source[start:] if end < 0 else source[start:end]
    return "".join(c if c == "\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def _window(line: str, at: int) -> tuple[str, int]:
    """The part of a line to show, and how many code points precede it, cuts counted."""
    if len(line) <= _WINDOW:
        return line, 0
    start = max(0, min(at - _WINDOW // 2, len(line) - _WINDOW))
    end = min(len(line), start + _WINDOW)
    before = _CUT if start else ""
    after = _CUT if end < len(line) else ""
    return before + line[start:end] + after, start - len(before)


def _blank(text: str) -> str:
    """As wide as the text: tabs stay tabs, wide characters take two columns."""
    return "".join("\t" if c == "\t" else " " * _width(c) for c in text)


def _carets(text: str) -> str:
    return "^" * max(1, sum(_width(c) for c in text))


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
