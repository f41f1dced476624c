"""One NBC module as plain structs, the form that programs work on."""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from .opcodes import Opcode

#: 1, 1.0 and true are three constants: compare them with :func:`constant_key`.
Constant = None | bool | int | float | str

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1


class Instruction(NamedTuple):
    """``a`` is 0 to 2**32 - 1, ``b`` 0 to 65,535; both 0 if not used."""

    opcode: Opcode
    a: int = 0
    b: int = 0


class SlotKind(IntEnum):
    """What a slot of a frame holds. Instructions of one kind never touch another."""

    PLAIN = 0  # a value; null at first
    CELL = 1  # a variable shared with closures
    ITERATOR = 2  # a loop in progress; takes this slot and the next one
    ITERATOR_STATE = 3  # the next one


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """``name`` is for people; empty for slots that the source does not name."""

    name: str
    kind: SlotKind = SlotKind.PLAIN


class ParameterKind(IntEnum):
    REQUIRED = 0
    OPTIONAL = 1  # null unless the code tests it with JUMP_IF_GIVEN
    VARIADIC = 2  # the list of the remaining arguments; the last parameter only


class Parameter(msgspec.Struct, frozen=True, array_like=True):
    """``type`` indexes the module's types; -1 accepts everything."""

    name: str
    type: int = -1
    kind: ParameterKind = ParameterKind.REQUIRED


class TypeCheck(msgspec.Struct, frozen=True, array_like=True):
    """A type that is checked at run time: a value fits if it has one of the ``names``.

    A value has the name that ``typeOf`` gives, those of its class's ancestors,
    and besides ``any``; an int also fits ``float``, a one-character string
    ``char``, a function ``function``, null ``null`` and ``void``; Some and None
    ``Option``, Success and Error ``Result``. ``text`` is the type as written.
    """

    text: str
    names: list[str]


class Handler(msgspec.Struct, frozen=True, array_like=True):
    """An error at ``start`` <= instruction < ``end`` goes on at ``target``.

    The stack is then cut to ``depth`` values and the error pushed. The first
    handler of the function that covers the instruction is taken.
    """

    start: int
    end: int
    target: int
    depth: int


class SourceEntry(msgspec.Struct, frozen=True, array_like=True):
    """Instructions from ``start`` to the next entry come from this place, from 1."""

    start: int
    line: int
    column: int


class Function(msgspec.Struct, array_like=True):
    """The code of one function.

    The first slots are the parameters, then come the captured cells:
    ``captures`` holds the cell slots of the function that executes
    MAKE_FUNCTION, in this order. ``stack_size`` is the greatest stack depth.
    Initializers, which give the fields of an instance their first values, end
    with END_INITIALIZER, all others with RETURN_VALUE.
    """

    name: str
    is_initializer: bool
    parameters: list[Parameter]
    captures: list[int]
    slots: list[Slot]
    stack_size: int
    instructions: list[Instruction]
    handlers: list[Handler]
    source_map: list[SourceEntry]

    def position(self, instruction: int) -> tuple[int, int]:
        """Line and column, from 1, of an instruction; (0, 0) if not recorded."""
        index = bisect_right(self.source_map, instruction, key=lambda entry: entry.start) - 1
        if index < 0:
            return 0, 0
        entry = self.source_map[index]
        return entry.line, entry.column


class ClassSpec(msgspec.Struct, frozen=True, array_like=True):
    """BUILD_CLASS takes one function each from the stack, in this order:

    the constructor if ``has_constructor``; the function that gives fields
    their first values if ``has_initializer`` (it ends with END_INITIALIZER);
    the ``methods``; the ``static_methods``. All but the last get the instance
    as their first argument. ``fields`` are null at first. ``private`` members
    are open to code inside of classes alone.
    """

    name: str
    fields: list[str]
    methods: list[str]
    static_methods: list[str]
    private: list[str]
    has_constructor: bool
    has_initializer: bool

    @property
    def function_count(self) -> int:
        own = int(self.has_constructor) + int(self.has_initializer)
        return own + len(self.methods) + len(self.static_methods)


class StructSpec(msgspec.Struct, frozen=True, array_like=True):
    """A struct is built by a call; its fields are the parameters.

    If fields have defaults, BUILD_STRUCT takes a function from the stack that
    has the fields as parameters and returns the list of their values.
    """

    name: str
    fields: list[Parameter]
    has_defaults: bool = False


class Variant(msgspec.Struct, frozen=True, array_like=True):
    """``has_payload`` tells ``Empty()`` from ``Empty``.

    BUILD_ENUM takes a function as for a struct for each variant that
    ``has_defaults``, in their order.
    """

    name: str
    has_payload: bool
    fields: list[Parameter]
    has_defaults: bool = False


class EnumSpec(msgspec.Struct, frozen=True, array_like=True):
    name: str
    variants: list[Variant]

    @property
    def function_count(self) -> int:
        return sum(variant.has_defaults for variant in self.variants)


class Export(msgspec.Struct, frozen=True, array_like=True):
    """The module's name ``name`` is seen by importers as ``exported``."""

    exported: str
    name: str


class Module(msgspec.Struct, array_like=True):
    """One compiled source file; ``functions[0]`` is its body, without parameters."""

    file: str
    names: list[str]
    constants: list[Constant]
    name_lists: list[list[str]]
    types: list[TypeCheck]
    functions: list[Function]
    classes: list[ClassSpec]
    structs: list[StructSpec]
    enums: list[EnumSpec]
    exports: list[Export]


def constant_key(value: Constant) -> tuple[str, str]:
    """A key that is equal for equal constants of one type only.

    ``repr`` also tells 0.0 from -0.0, and holds all NaNs for one.
    """
    return type(value).__name__, repr(value)
