"""Members: ``x.name`` read and written, and the methods of values."""

from __future__ import annotations

from typing import Final

from .methods import METHODS
from .thrown import Thrown, fail, type_error
from .type_names import type_name
from .values import (
    UNSET,
    BoundMethod,
    BuiltinFunction,
    ClassValue,
    EnumType,
    FunctionValue,
    Instance,
    ModuleValue,
    SetValue,
    Value,
)


def no_member(x: Value, name: str) -> Thrown:
    named = x.name if isinstance(x, ClassValue | EnumType | ModuleValue) else type_name(x)
    return type_error(f'{named} has no member "{name}"')


def get_member(x: Value, name: str, inner: bool) -> Value:
    """Read a member; ``inner`` is true for code inside of a class.

    Raises:
        Thrown: TypeError, there is no such member or it is private;
            ValueError, a module's variable that has no value yet.
    """
    if isinstance(x, Instance):
        _check_private(x, name, inner)
        value = x.fields.get(name, UNSET)
        if value is not UNSET:
            return value
        method = x.type.methods.get(name)
        if method is not None:
            return BoundMethod(x, method)
        raise no_member(x, name)
    if isinstance(x, ModuleValue):
        return get_export(x, name)
    if isinstance(x, ClassValue):
        if not inner and name in x.private:
            raise type_error(f'"{name}" is private in {x.private[name]}')
        method = x.static_methods.get(name)
        if method is not None:
            return method
        raise no_member(x, name)
    if isinstance(x, EnumType):
        if name in x.variants:
            return x.variants[name]
        raise no_member(x, name)
    if name == "length" and isinstance(x, list | str | dict | SetValue):
        return len(x.items if isinstance(x, SetValue) else x)
    builtin = METHODS.get(type(x), {}).get(name)
    if builtin is None:
        raise no_member(x, name)
    return BoundMethod(x, builtin)


def set_member(x: Value, name: str, value: Value, inner: bool) -> None:
    if not isinstance(x, Instance):
        raise no_member(x, name)
    _check_private(x, name, inner)
    if name not in x.fields:
        raise no_member(x, name)
    x.fields[name] = value


def _check_private(x: Instance, name: str, inner: bool) -> None:
    if not inner and name in x.type.private:
        raise type_error(f'"{name}" is private in {x.type.private[name]}')


def get_export(module: Value, name: str) -> Value:
    if not isinstance(module, ModuleValue):
        raise type_error(f"{type_name(module)} has no exports")
    cell = module.exports.get(name)
    if cell is None:
        raise fail("TypeError", f'module "{module.name}" has no export "{name}"')
    if cell.value is UNSET:
        raise fail("ValueError", f'"{name}" has no value yet')
    return cell.value


def parent_method(
    class_: Value, receiver: Value, name: str, base_constructor: BuiltinFunction
) -> BoundMethod:
    """Method ``name`` of the parent of ``class_``, bound; ``constructor`` is one."""
    parent = class_.parent if isinstance(class_, ClassValue) else None
    if parent is None:
        raise type_error(f'{type_name(class_)} has no parent with "{name}"')
    method: FunctionValue | BuiltinFunction | None
    if name == "constructor":
        method = parent.constructor
        if method is None and parent.is_error:
            method = base_constructor
        elif method is None:
            method = NO_CONSTRUCTOR
    else:
        method = parent.methods.get(name)
    if method is None:
        raise type_error(f'{parent.name} has no member "{name}"')
    return BoundMethod(receiver, method)


def _construct_nothing(machine: object, receiver: Value) -> None:
    """The constructor of a class that has none takes no argument."""


NO_CONSTRUCTOR: Final = BuiltinFunction("constructor", _construct_nothing, 1, 1, receivers=1)
