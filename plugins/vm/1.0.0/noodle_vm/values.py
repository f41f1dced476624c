"""What a Noodle value is in Python.

null, bool, int, float and string are None, bool, int, float and str; a List is a
list, a Map a dict from keys (see :mod:`.keys`) to values. The rest is here. All
of it is plain data that can be pickled: no Python function, iterator or code
object is part of a value.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeAlias

from .loaded import LoadedFunction, LoadedParameter

Value: TypeAlias = Any


class _Unset(Enum):
    UNSET = "unset"


#: In a variable that has no value yet and in a parameter that was not given.
UNSET: Final = _Unset.UNSET


class Cell:
    """A variable shared by a function and its closures."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value


class FunctionValue:
    """A function with its captured cells.

    ``arity`` is the function's. ``tail`` is what follows the arguments in a new
    frame's registers: the captured cells, then the function's template.
    """

    __slots__ = ("arity", "cells", "function", "tail")

    def __init__(self, function: LoadedFunction, cells: list[Cell]) -> None:
        self.function = function
        self.cells = cells
        self.arity = function.arity
        self.tail: list[Value] = cells + function.template if cells else function.template


class BuiltinFunction:
    """A function of this virtual machine.

    ``call`` takes the machine and then the arguments: ``least`` to ``most`` of
    them, without an upper bound if ``most`` is None. ``receivers`` is 1 for a
    method, whose first argument is what it is called on, else 0.
    """

    __slots__ = ("call", "least", "most", "name", "receivers")

    def __init__(
        self,
        name: str,
        call: Callable[..., Value],
        least: int,
        most: int | None,
        receivers: int = 0,
    ) -> None:
        self.name = name
        self.call = call
        self.least = least
        self.most = most
        self.receivers = receivers

    def takes(self, count: int) -> bool:
        return self.least <= count and (self.most is None or count <= self.most)


class BoundMethod:
    """A method and what it was read from."""

    __slots__ = ("method", "receiver")

    def __init__(self, receiver: Value, method: FunctionValue | BuiltinFunction) -> None:
        self.receiver = receiver
        self.method = method


class SetValue:
    """A set in insertion order; ``items`` has keys (see :mod:`.keys`) and no values."""

    __slots__ = ("items",)

    def __init__(self, items: dict[Value, None]) -> None:
        self.items = items


class ClassValue:
    """A class; the tables hold inherited members too.

    ``constructor`` is the nearest one, None if no ancestor has one.
    ``initializers`` stand in order of execution. ``private`` maps a member to
    the name of the class that declares it. ``inner_methods`` are the methods
    without those that a field of the same name hides, ``public_methods`` of
    these the ones that are not private.
    In error classes, the first of ``fields`` is ``message``. ``is_builtin``
    classes are the same in every program.
    """

    __slots__ = (
        "constructor",
        "fields",
        "initializers",
        "inner_methods",
        "is_builtin",
        "is_error",
        "methods",
        "name",
        "parent",
        "private",
        "public_methods",
        "static_methods",
    )

    def __init__(self, name: str, parent: ClassValue | None, fields: list[str]) -> None:
        inherited = parent.fields if parent else []
        self.name = name
        self.parent = parent
        self.fields: list[str] = inherited + [field for field in fields if field not in inherited]
        self.methods: dict[str, FunctionValue] = dict(parent.methods) if parent else {}
        self.inner_methods: dict[str, FunctionValue] = {}
        self.public_methods: dict[str, FunctionValue] = {}
        self.static_methods: dict[str, FunctionValue] = (
            dict(parent.static_methods) if parent else {}
        )
        self.private: dict[str, str] = dict(parent.private) if parent else {}
        self.constructor: FunctionValue | None = parent.constructor if parent else None
        self.initializers: list[FunctionValue] = list(parent.initializers) if parent else []
        self.is_error: bool = parent.is_error if parent else False
        self.is_builtin = False

    def finish(self) -> None:
        """Fill in what follows from the other tables."""
        self.inner_methods = {
            name: method for name, method in self.methods.items() if name not in self.fields
        }
        self.public_methods = {
            name: method for name, method in self.inner_methods.items() if name not in self.private
        }

    def descends_from(self, other: ClassValue) -> bool:
        ancestor: ClassValue | None = self
        while ancestor is not None and ancestor is not other:
            ancestor = ancestor.parent
        return ancestor is other


#: Structs have neither.
NO_METHODS: Final[dict[str, FunctionValue]] = {}
NO_PRIVATE: Final[dict[str, str]] = {}


class StructType:
    """A struct; it shares with classes what member access looks at.

    ``defaults`` takes the fields as arguments and returns the list of their values.
    """

    __slots__ = (
        "defaults",
        "fields",
        "inner_methods",
        "methods",
        "name",
        "parameters",
        "private",
        "public_methods",
    )

    def __init__(
        self,
        name: str,
        parameters: list[LoadedParameter],
        defaults: FunctionValue | None = None,
    ) -> None:
        self.name = name
        self.defaults = defaults
        self.parameters = parameters
        self.fields = [parameter.name for parameter in parameters]
        self.methods = NO_METHODS
        self.inner_methods = NO_METHODS
        self.public_methods = NO_METHODS
        self.private = NO_PRIVATE


class Instance:
    """A value of a class or of a struct."""

    __slots__ = ("fields", "type")

    def __init__(self, type_: ClassValue | StructType, fields: dict[str, Value]) -> None:
        self.type = type_
        self.fields = fields


class ErrorValue(Instance):
    """An instance of an error class.

    ``payload`` is what the built-in constructor was given; the field
    ``message`` is its text. ``place`` and ``stack`` are set by the first throw:
    ``file:line:column`` and one line a frame, innermost first.
    """

    __slots__ = ("payload", "place", "stack")
    type: ClassValue

    def __init__(self, type_: ClassValue, fields: dict[str, Value], payload: Value) -> None:
        super().__init__(type_, fields)
        self.payload = payload
        self.place: str | None = None
        self.stack: list[str] = []


class EnumType:
    """An enum. ``qualified`` tells whether its name is printed before the variant's."""

    __slots__ = ("name", "qualified", "variants")

    def __init__(self, name: str, qualified: bool = True) -> None:
        self.name = name
        self.qualified = qualified
        self.variants: dict[str, Variant | EnumValue] = {}


class Variant:
    """One variant of an enum; as a value, it is the constructor of one with payload.

    ``defaults`` are as a struct's.
    """

    __slots__ = ("defaults", "enum", "has_payload", "name", "parameters")

    def __init__(
        self,
        enum: EnumType,
        name: str,
        has_payload: bool,
        parameters: list[LoadedParameter],
        defaults: FunctionValue | None = None,
    ) -> None:
        self.enum = enum
        self.name = name
        self.has_payload = has_payload
        self.parameters = parameters
        self.defaults = defaults

    @property
    def full_name(self) -> str:
        return f"{self.enum.name}.{self.name}" if self.enum.qualified else self.name


class EnumValue:
    """A value of an enum, and so of Option and of Success; never changes."""

    __slots__ = ("payload", "variant")

    def __init__(self, variant: Variant, payload: list[Value]) -> None:
        self.variant = variant
        self.payload = payload


class ModuleValue:
    """A module as its importers see it; ``exports`` are its variables, not copies."""

    __slots__ = ("exports", "initialized", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.exports: dict[str, Cell] = {}
        self.initialized = False
