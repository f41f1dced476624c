"""What ``str`` and ``print`` make of a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from .keys import from_key
from .limits import MAX_TEXT
from .thrown import value_error
from .values import (
    BoundMethod,
    BuiltinFunction,
    ClassValue,
    EnumType,
    EnumValue,
    ErrorValue,
    FunctionValue,
    Instance,
    ModuleValue,
    SetValue,
    StructType,
    Value,
    Variant,
)

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class _Literal(str):
    """Text that stands for itself among the values to be shown."""

    __slots__ = ()


class _Leave:
    """Stands where the inside of a container ends; what was there where it began."""

    __slots__ = ("container", "dots", "pieces")

    def __init__(self, container: Value, pieces: int, dots: int) -> None:
        self.container = container
        self.pieces = pieces
        self.dots = dots


#: A value, a literal, or where a container ends.
_Part: TypeAlias = Any


def to_text(value: Value) -> str:
    """The text of a value at top level: a string is itself."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    return shown(value)


def shown(value: Value) -> str:
    """The text of a value inside a collection: a string is in quotes.

    Values of any depth are shown; one that contains itself shows dots there.

    Raises:
        Thrown: ValueError, the text is longer than any string may be.
    """
    pieces: list[str] = []
    size = 0
    dots = 0
    inside: set[int] = set()
    # The pieces of containers that hold no dots: their text is the same everywhere,
    # and a value that shares its parts again and again has more text than memory.
    done: dict[int, tuple[int, int]] = {}
    pending: list[_Part] = [value]
    while pending:
        part = pending.pop()
        if type(part) is _Leave:
            inside.discard(id(part.container))
            if part.dots == dots:
                done[id(part.container)] = (part.pieces, len(pieces))
            continue
        piece = _scalar(part)
        if piece is None:
            if id(part) in inside:
                piece = _dots(part)
                dots += 1
            elif id(part) in done:
                start, end = done[id(part)]
                piece = "".join(pieces[start:end])
            else:
                parts = _CONTAINERS[type(part)](part)
                inside.add(id(part))
                pending.append(_Leave(part, len(pieces), dots))
                pending.extend(reversed(parts))
                continue
        pieces.append(piece)
        size += len(piece)
        if size > MAX_TEXT:
            raise value_error(f"a string of more than {MAX_TEXT} characters is too long")
    return "".join(pieces)


def _scalar(value: _Part) -> str | None:
    """The text of what contains nothing; None for the others."""
    kind = type(value)
    if kind is _Literal:
        return str.__str__(value)
    if kind is str:
        return f'"{value.translate(_ESCAPES)}"'
    if kind is int:
        return str(value)
    if kind is float:
        return repr(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind in _CONTAINERS:
        return None
    return _named(value)


def _named(value: Value) -> str:
    if isinstance(value, FunctionValue):
        return f"<function {value.function.name}>"
    if isinstance(value, BuiltinFunction):
        return f"<function {value.name}>"
    if isinstance(value, BoundMethod):
        return _named(value.method)
    if isinstance(value, ClassValue):
        return f"<class {value.name}>"
    if isinstance(value, StructType):
        return f"<struct {value.name}>"
    if isinstance(value, EnumType):
        return f"<enum {value.name}>"
    if isinstance(value, Variant):
        return f"<function {value.full_name}>"
    if isinstance(value, ModuleValue):
        return f"<module {value.name}>"
    return "<no value>"


def _dots(value: Value) -> str:
    if isinstance(value, list):
        return "[...]"
    if isinstance(value, dict | SetValue):
        return "{...}"
    return f"{_name(value)}(...)"


def _name(value: Value) -> str:
    return value.variant.full_name if isinstance(value, EnumValue) else str(value.type.name)


def _listed(opening: str, items: list[Value], closing: str) -> list[_Part]:
    parts: list[_Part] = [_Literal(opening)]
    comma = _Literal(", ")
    for item in items:
        parts.append(item)
        parts.append(comma)
    if items:
        parts.pop()
    parts.append(_Literal(closing))
    return parts


def _paired(opening: str, items: list[tuple[Value, Value]], closing: str) -> list[_Part]:
    parts: list[_Part] = [_Literal(opening)]
    comma, colon = _Literal(", "), _Literal(": ")
    for key, value in items:
        parts += (key, colon, value, comma)
    if items:
        parts.pop()
    parts.append(_Literal(closing))
    return parts


def _map(value: dict[Value, Value]) -> list[_Part]:
    return _paired("{", [(from_key(key), item) for key, item in value.items()], "}")


def _enum(value: EnumValue) -> list[_Part]:
    if not value.variant.has_payload:
        return [_Literal(value.variant.full_name)]
    return _listed(value.variant.full_name + "(", value.payload, ")")


def _fields(value: Instance) -> list[_Part]:
    items = [(_Literal(name), item) for name, item in value.fields.items()]
    return _paired(value.type.name + "(", items, ")")


def _error(value: ErrorValue) -> list[_Part]:
    if len(value.fields) > 1:
        return _fields(value)
    shown_part = value.payload if value.type.is_builtin else value.fields["message"]
    return _listed(value.type.name + "(", [shown_part], ")")


_CONTAINERS: Final[dict[type, Callable[..., list[_Part]]]] = {
    list: lambda value: _listed("[", value, "]"),
    dict: _map,
    SetValue: lambda value: _listed("{", [from_key(key) for key in value.items], "}"),
    EnumValue: _enum,
    Instance: _fields,
    ErrorValue: _error,
}
