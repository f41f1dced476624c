"""Noodle's values as Python ones, and the text that ``print`` and ``str`` give them.

null is None, a map is a dict, a struct or a class instance is a dataclass. The
rest is below. Only what the reference programs need.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


class NoodleError(Exception):
    """An error thrown by a program; ``kind`` is the name of its type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class NoodleSet:
    """A set in insertion order."""

    def __init__(self, items: Iterable[object] = ()) -> None:
        self.items: dict[object, None] = dict.fromkeys(items)

    def add(self, item: object) -> bool:
        new = item not in self.items
        self.items[item] = None
        return new

    def remove(self, item: object) -> bool:
        found = item in self.items
        self.items.pop(item, None)
        return found

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Wrapped:
    """Some, None, Success, Error, enum variants: a name and its payload."""

    name: str
    payload: tuple[object, ...] = ()


NONE = Wrapped("None")


def some(value: object) -> Wrapped:
    return Wrapped("Some", (value,))


def success(value: object) -> Wrapped:
    return Wrapped("Success", (value,))


def failure(value: object) -> Wrapped:
    return Wrapped("Error", (value,))


@dataclass(frozen=True)
class Function:
    name: str


def checked(value: int, operator: str) -> int:
    """An int result, or OverflowError outside 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise NoodleError("OverflowError", f"integer result of {operator} is outside 64 bits")


def shown(value: object) -> str:
    """The text of a value inside a collection."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return text(value)


def text(value: object) -> str:
    """What ``str(value)`` gives."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, NoodleSet):
        return "{" + ", ".join(map(shown, value.items)) + "}"
    if isinstance(value, Function):
        return f"<function {value.name}>"
    if isinstance(value, Wrapped):
        payload = ", ".join(map(shown, value.payload))
        return f"{value.name}({payload})" if value.payload else value.name
    if is_dataclass(value):
        parts = (f"{field.name}: {shown(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__name__}({', '.join(parts)})"
    return repr(value)


def out(*values: object) -> None:
    """What ``print(...)`` writes."""
    sys.stdout.write(" ".join(map(text, values)) + "\n")
