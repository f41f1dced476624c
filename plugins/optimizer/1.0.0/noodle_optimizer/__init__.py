"""The optimizer of the Noodle language."""

from __future__ import annotations

from .optimizer import Optimizer

__all__ = ["Optimizer"]
