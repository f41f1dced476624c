"""Constructor patterns: ``Some(x)``, ``Color.Red``, ``Point(x, y)``, ``Error(reason)``."""

from __future__ import annotations

from .thrown import type_error
from .type_names import type_name
from .values import (
    ClassValue,
    EnumValue,
    ErrorValue,
    Instance,
    StructType,
    Value,
    Variant,
)


def match_constructor(x: Value, constructor: Value, count: int) -> list[Value] | None:
    """The ``count`` values that a pattern asks for; None if ``x`` does not fit.

    A pattern without parentheses, or with none in them, asks only for the type.

    Raises:
        Thrown: TypeError, ``constructor`` makes no values that could be matched.
    """
    if type(constructor) is Variant:
        fits = type(x) is EnumValue and x.variant is constructor
        return _first(x.payload if fits else None, count)
    if type(constructor) is EnumValue:
        fits = type(x) is EnumValue and x.variant is constructor.variant
        return [] if fits and not count else None
    if type(constructor) is StructType:
        fits = type(x) is Instance and x.type is constructor
        return _first([x.fields[name] for name in constructor.fields] if fits else None, count)
    if type(constructor) is ClassValue:
        if not isinstance(x, Instance) or not isinstance(x.type, ClassValue):
            return None
        if not x.type.descends_from(constructor):
            return None
        if isinstance(x, ErrorValue):
            return _first([x.payload], count)
        return _first(
            [x.fields[name] for name in constructor.fields if name not in constructor.private],
            count,
        )
    raise type_error(f"a pattern needs a type or a variant, not {type_name(constructor)}")


def _first(values: list[Value] | None, count: int) -> list[Value] | None:
    if values is None or (count and count != len(values)):
        return None
    return values[:count]
