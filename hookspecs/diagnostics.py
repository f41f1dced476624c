"""What a compiler component has to say about a source file."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning", "info"]
Phase = Literal["lexing", "parsing", "semantic_analysis", "optimization", "code_generation"]


class Diagnostic(msgspec.Struct, frozen=True, array_like=True):
    """One message about one place; lines and columns count from 1."""

    severity: Severity
    phase: Phase
    message: str
    file: str
    line: int
    column: int
    #: The number of code points that are wrong, for the underline; at least 1.
    length: int = 1
    #: What would have been right there, in words a person reads; may be empty.
    expected: str = ""
