"""The parser of the Noodle language."""

from __future__ import annotations

from .parser import Parser

__all__ = ["Parser"]
