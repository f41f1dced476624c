"""Values as keys of Python dicts.

Noodle's 1 and true are two keys, Python's are one; Noodle's ``Some(1)`` is equal
to another ``Some(1)``. A key of a Map or a Set is therefore the value itself, or
a :class:`Key` where Python's idea of equality is another one.
"""

from __future__ import annotations

from typing import Any, Final

from .thrown import type_error
from .type_names import type_name
from .values import (
    BuiltinFunction,
    ClassValue,
    EnumType,
    EnumValue,
    ErrorValue,
    FunctionValue,
    Instance,
    ModuleValue,
    StructType,
    Value,
    Variant,
)

#: These are keys as they are: by value, as in Noodle, or by identity, as there.
PLAIN_KEYS: Final[frozenset[type]] = frozenset(
    {
        int,
        str,
        float,
        type(None),
        FunctionValue,
        BuiltinFunction,
        ClassValue,
        StructType,
        Variant,
        EnumType,
        ModuleValue,
    }
)

#: Parts of one key; more could only come from values made to be expensive.
_MAX_PARTS: Final = 100_000


class Key:
    """Equal to another one exactly if the values are equal in Noodle.

    ``identity`` is flat, so that neither comparing nor hashing recurses.
    """

    __slots__ = ("hash", "identity", "value")

    def __init__(self, value: Value, identity: tuple[Any, ...]) -> None:
        self.value = value
        self.identity = identity
        self.hash = hash(identity)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.identity == other.identity


def to_key(value: Value, use: str) -> Any:
    """Return the key of a value.

    Raises:
        Thrown: TypeError, the value may change; ``use`` is ``a map key`` or
            ``a set item``.
    """
    if type(value) in PLAIN_KEYS:
        return value
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if _is_object(value):
        return value
    if not isinstance(value, EnumValue):
        raise type_error(f"{type_name(value)} cannot be {use}")
    identity: list[Any] = []
    pending: list[Any] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, EnumValue):
            # A variant has a fixed number of parts, so the sequence tells them apart.
            identity.append(part.variant)
            pending.extend(reversed(part.payload))
        elif isinstance(part, bool):
            identity.append(_TRUE if part else _FALSE)
        elif type(part) in PLAIN_KEYS or _is_object(part):
            identity.append(part)
        else:
            raise type_error(f"{type_name(value)} with {type_name(part)} in it cannot be {use}")
        if len(identity) > _MAX_PARTS:
            raise type_error(f"{type_name(value)} of more than {_MAX_PARTS} parts cannot be {use}")
    return Key(value, tuple(identity))


def _is_object(value: Value) -> bool:
    """Tell whether a value is equal to itself alone, whatever it holds."""
    return (
        isinstance(value, Instance)
        and isinstance(value.type, ClassValue)
        and not isinstance(value, ErrorValue)
    )


def from_key(key: Any) -> Value:
    return key.value if type(key) is Key else key


_TRUE: Final = Key(True, ("true",))
_FALSE: Final = Key(False, ("false",))
