"""The lexer of the Noodle language."""

from __future__ import annotations

from .lexer import Lexer

__all__ = ["Lexer"]
