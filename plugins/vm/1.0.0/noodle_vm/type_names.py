"""The names of types: what ``typeOf`` gives and what annotations ask for."""

from __future__ import annotations

from typing import Final

from .loaded import LoadedType
from .values import (
    BoundMethod,
    BuiltinFunction,
    ClassValue,
    EnumType,
    EnumValue,
    FunctionValue,
    Instance,
    ModuleValue,
    SetValue,
    StructType,
    Value,
    Variant,
)

_PLAIN: Final[dict[type, str]] = {
    int: "int",
    float: "float",
    bool: "bool",
    str: "string",
    type(None): "null",
    list: "List",
    dict: "Map",
    SetValue: "Set",
    FunctionValue: "function",
    BuiltinFunction: "function",
    BoundMethod: "function",
    # What can be called is a function, also where it makes an object.
    ClassValue: "function",
    StructType: "function",
    Variant: "function",
    EnumType: "enum",
    ModuleValue: "module",
}


def type_name(value: Value) -> str:
    name = _PLAIN.get(type(value))
    if name is not None:
        return name
    if isinstance(value, EnumValue):
        return value.variant.enum.name
    if isinstance(value, Instance):
        return value.type.name
    return "iterator"


def fits(value: Value, wanted: LoadedType) -> bool:
    """Tell whether a value may stand where ``wanted`` is written."""
    names = wanted.names
    if not names or "any" in names:
        return True
    name = type_name(value)
    if name in names:
        return True
    if name == "int":
        return "float" in names
    if name == "null":
        return "void" in names
    if name == "string":
        return len(value) == 1 and "char" in names
    if isinstance(value, Instance) and isinstance(value.type, ClassValue):
        ancestor = value.type.parent
        while ancestor is not None:
            if ancestor.name in names:
                return True
            ancestor = ancestor.parent
        return value.type.is_error and "Result" in names
    return False


def callable_value(value: Value) -> bool:
    return _PLAIN.get(type(value)) == "function"
