"""Classes, structs and enums as values, made from their specifications."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hookspecs.bytecode import ClassSpec, EnumSpec, Parameter, StructSpec

from .loaded import LoadedParameter, LoadedType
from .text import shown
from .thrown import type_error
from .values import (
    ClassValue,
    EnumType,
    EnumValue,
    FunctionValue,
    StructType,
    Value,
    Variant,
)


def build_class(
    spec: ClassSpec, has_parent: bool, parent: Value, functions: Sequence[FunctionValue]
) -> ClassValue:
    """A class; ``functions`` in the order that :class:`ClassSpec` gives.

    Raises:
        Thrown: TypeError, the parent is not a class.
    """
    if has_parent and not isinstance(parent, ClassValue):
        raise type_error(f"{spec.name} cannot extend {shown(parent)}")
    for function in functions:
        if not isinstance(function, FunctionValue):
            raise type_error(f"{spec.name} has a member that is no function: {shown(function)}")
    made = ClassValue(spec.name, parent, spec.fields)
    given: Iterator[FunctionValue] = iter(functions)
    if spec.has_constructor:
        made.constructor = next(given)
    if spec.has_initializer:
        made.initializers.append(next(given))
    # A member that is written again is the subclass's, and as open as it says.
    for name in (*spec.fields, *spec.methods, *spec.static_methods):
        made.private.pop(name, None)
    for name in spec.methods:
        made.methods[name] = next(given)
    for name in spec.static_methods:
        made.static_methods[name] = next(given)
    made.private.update(dict.fromkeys(spec.private, spec.name))
    made.finish()
    return made


def load_parameters(
    parameters: Sequence[Parameter], types: Sequence[LoadedType]
) -> list[LoadedParameter]:
    return [
        LoadedParameter(
            parameter.name,
            types[parameter.type] if parameter.type >= 0 else None,
            parameter.kind,
        )
        for parameter in parameters
    ]


def build_struct(
    spec: StructSpec, types: Sequence[LoadedType], functions: Sequence[FunctionValue]
) -> StructType:
    defaults = functions[0] if functions else None
    return StructType(spec.name, load_parameters(spec.fields, types), defaults)


def build_enum(
    spec: EnumSpec, types: Sequence[LoadedType], functions: Sequence[FunctionValue]
) -> EnumType:
    made = EnumType(spec.name)
    given = iter(functions)
    for each in spec.variants:
        defaults = next(given) if each.has_defaults else None
        variant = Variant(
            made, each.name, each.has_payload, load_parameters(each.fields, types), defaults
        )
        made.variants[each.name] = variant if each.has_payload else EnumValue(variant, [])
    return made
