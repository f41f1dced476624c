"""The bytecode generator of the Noodle language."""

from __future__ import annotations

from .generator import BytecodeGenerator

__all__ = ["BytecodeGenerator"]
