"""``==``: by value for collections, structs and enums, by identity for objects."""

from __future__ import annotations

from .values import (
    BoundMethod,
    ClassValue,
    EnumValue,
    ErrorValue,
    Instance,
    SetValue,
    Value,
)


def equal(x: Value, y: Value) -> bool:
    """Compare two values of any depth; what contains itself ends too."""
    if _is_scalar(x) or _is_scalar(y):
        return _same_scalar(x, y)
    # Pairs that are compared already, or are being compared: if they differ, the
    # difference is found elsewhere. Holding the objects keeps their ids theirs.
    seen: dict[tuple[int, int], tuple[Value, Value]] = {}
    pending: list[tuple[Value, Value]] = [(x, y)]
    while pending:
        x, y = pending.pop()
        if x is y and not isinstance(x, float):
            continue
        if _is_scalar(x) or _is_scalar(y):
            if not _same_scalar(x, y):
                return False
            continue
        pair = (id(x), id(y))
        if pair in seen:
            continue
        seen[pair] = (x, y)
        parts = _parts(x, y)
        if parts is None:
            return False
        pending.extend(parts)
    return True


def _is_scalar(value: Value) -> bool:
    return value is None or isinstance(value, int | float | str)


def _same_scalar(x: Value, y: Value) -> bool:
    if type(x) is type(y):
        return bool(x == y)
    numbers = (int, float)
    return type(x) in numbers and type(y) in numbers and bool(x == y)


def _parts(x: Value, y: Value) -> list[tuple[Value, Value]] | None:
    """The pairs that must be equal for ``x`` and ``y`` to be; None if they are not."""
    if type(x) is not type(y):
        return None
    if isinstance(x, list):
        return list(zip(x, y, strict=True)) if len(x) == len(y) else None
    if isinstance(x, dict):
        if len(x) != len(y) or any(key not in y for key in x):
            return None
        return [(value, y[key]) for key, value in x.items()]
    if isinstance(x, SetValue):
        same = len(x.items) == len(y.items) and all(key in y.items for key in x.items)
        return [] if same else None
    if isinstance(x, EnumValue):
        if x.variant is not y.variant:
            return None
        return list(zip(x.payload, y.payload, strict=True))
    if isinstance(x, ErrorValue):
        # The built-in ones are Results too.
        is_value = x.type is y.type and x.type.is_builtin
        return [(x.payload, y.payload)] if is_value else None
    if isinstance(x, Instance):
        if x.type is not y.type or isinstance(x.type, ClassValue):
            return None
        return [(x.fields[name], y.fields[name]) for name in x.type.fields]
    if isinstance(x, BoundMethod) and x.method is y.method and x.receiver is y.receiver:
        return []
    return None
