"""What the author of a noodle_host plugin imports: markers and hooks.

The contracts of the kinds are in :mod:`hookspecs.contracts`, the syntax tree in
:mod:`hookspecs.ast` and the bytecode in :mod:`hookspecs.bytecode`; they are not
imported here, so that a small plugin starts fast.
"""

from __future__ import annotations

from .buffer import Buffer
from .context import Context
from .hooks import ComponentHooks
from .markers import SAFE_POINT, SafePoint, at_most_once, hookimpl, hookspec, query

__all__ = [
    "SAFE_POINT",
    "Buffer",
    "ComponentHooks",
    "Context",
    "SafePoint",
    "at_most_once",
    "hookimpl",
    "hookspec",
    "query",
]
