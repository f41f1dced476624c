"""Markers that a plugin author puts on methods, and the hook markers of pluggy.

A component's public methods are callable by name. By default a method is a
*command*: it may change the component's state. ``@query`` says that it does
not. A generator method is a *task*: its items are streamed to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Literal, TypeVar

import pluggy

PROJECT_NAME: Final = "noodle_host"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)

F = TypeVar("F", bound=Callable[..., Any])

# The attribute that the markers set on a function. One attribute holds all
# flags, so that a reader of methods looks at one place.
METHOD_FLAGS: Final = "noodle_host_method_flags"


def _flag(function: F, name: str) -> F:
    flags: frozenset[str] = getattr(function, METHOD_FLAGS, frozenset())
    setattr(function, METHOD_FLAGS, flags | {name})
    return function


def query(function: F) -> F:
    """Mark a method that reads the state and never changes it.

    Queries are not journaled and may be executed again after a crash.
    """
    return _flag(function, "query")


def at_most_once(function: F) -> F:
    """Mark a method that must never be executed a second time.

    If the worker dies after it has begun, the caller gets ``WorkerDied``
    instead of a second execution by the successor.
    """
    return _flag(function, "at_most_once")


class _SafePoint(Enum):
    SAFE_POINT = "safe point"


#: A task yields this to let other calls run without sending an item. A task
#: is cancelled, and may be swapped, only where it yields.
SAFE_POINT: Final = _SafePoint.SAFE_POINT
SafePoint = Literal[_SafePoint.SAFE_POINT]
