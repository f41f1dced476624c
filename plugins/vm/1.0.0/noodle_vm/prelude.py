"""Built-in functions that call others, written in NBC.

So a call of ``map`` is frames and registers like any other call: it can be
interrupted in the middle, and no Noodle call is a Python call. None of these
functions has a source map, so that stack traces do not show them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hookspecs.bytecode import (
    Constant,
    Function,
    Instruction,
    Module,
    Opcode,
    Parameter,
    ParameterKind,
    Slot,
    SlotKind,
)

from .builtins import BUILTINS, INTERNAL
from .calls import Entry, make
from .loaded import LoadedFunction
from .loading import LoadedModule
from .options import NONE, SOME, SUCCESS
from .thrown import ERROR_CLASSES
from .values import BuiltinFunction, FunctionValue, Instance, StructType, Value, Variant

if TYPE_CHECKING:
    from .machine import Frame, Machine

#: The number of the module of these functions; those of a program begin at 0.
PRELUDE: Final = -1

# A label, or an opcode and its operands: b last; names of labels, constants,
# slots and built-ins stand for their numbers.
_Line = str | tuple[Any, ...]

_EACH: Final[list[_Line]] = [
    ("LOAD_BUILTIN", "callback items"),
    ("LOAD_FAST", "xs"),
    ("LOAD_FAST", "f"),
    ("LOAD_CONST", "NAME"),
    ("CALL_FUNCTION", 3),
    ("GET_ITER", "iterator"),
]

# The results of f for each item of the iterator begun, in a list.
_COLLECT: Final[list[_Line]] = [
    ("BUILD_LIST", 0),
    ("STORE_FAST", "result"),
    "next",
    ("FOR_ITER", "end", "iterator"),
    ("STORE_FAST", "x"),
    ("LOAD_FAST", "result"),
    ("LOAD_FAST", "f"),
    ("LOAD_FAST", "x"),
    ("CALL_FUNCTION", 1),
    ("LIST_APPEND",),
    ("POP_TOP",),
    ("JUMP_ABSOLUTE", "next"),
    "end",
]

_MAP: Final[list[_Line]] = [
    *_EACH,
    *_COLLECT,
    ("LOAD_FAST", "result"),
    ("RETURN_VALUE",),
]

_FILTER: Final[list[_Line]] = [
    *_EACH,
    ("BUILD_LIST", 0),
    ("STORE_FAST", "result"),
    "next",
    ("FOR_ITER", "end", "iterator"),
    ("STORE_FAST", "x"),
    ("LOAD_FAST", "f"),
    ("LOAD_FAST", "x"),
    ("CALL_FUNCTION", 1),
    ("POP_JUMP_IF_FALSE", "next"),
    ("LOAD_FAST", "result"),
    ("LOAD_FAST", "x"),
    ("LIST_APPEND",),
    ("POP_TOP",),
    ("JUMP_ABSOLUTE", "next"),
    "end",
    ("LOAD_FAST", "result"),
    ("RETURN_VALUE",),
]

_REDUCE: Final[list[_Line]] = [
    *_EACH,
    "next",
    ("FOR_ITER", "end", "iterator"),
    ("STORE_FAST", "x"),
    ("LOAD_FAST", "f"),
    ("LOAD_FAST", "result"),
    ("LOAD_FAST", "x"),
    ("CALL_FUNCTION", 2),
    ("STORE_FAST", "result"),
    ("JUMP_ABSOLUTE", "next"),
    "end",
    ("LOAD_FAST", "result"),
    ("RETURN_VALUE",),
]

_SORTED: Final[list[_Line]] = [
    ("JUMP_IF_GIVEN", "with key", "f"),
    ("LOAD_BUILTIN", "sorted plain"),
    ("LOAD_FAST", "xs"),
    ("CALL_FUNCTION", 1),
    ("RETURN_VALUE",),
    "with key",
    *_EACH[:-1],
    ("STORE_FAST", "xs"),
    ("LOAD_FAST", "xs"),
    ("GET_ITER", "iterator"),
    *_COLLECT,
    ("LOAD_BUILTIN", "sorted by"),
    ("LOAD_FAST", "xs"),
    ("LOAD_FAST", "result"),
    ("CALL_FUNCTION", 2),
    ("RETURN_VALUE",),
]

# xs is the list of initializers.
_INITIALIZE: Final[list[_Line]] = [
    ("LOAD_FAST", "xs"),
    ("GET_ITER", "iterator"),
    "next",
    ("FOR_ITER", "end", "iterator"),
    ("STORE_FAST", "x"),
    ("LOAD_FAST", "x"),
    ("LOAD_FAST", "instance"),
    ("CALL_FUNCTION", 1),
    ("POP_TOP",),
    ("JUMP_ABSOLUTE", "next"),
    "end",
    ("LOAD_FAST", "instance"),
    ("RETURN_VALUE",),
]

# The next two are entered in the middle, where f returns to: the machine has
# called it, with arguments that no instruction can give.
_CONSTRUCTED: Final[list[_Line]] = [
    ("LOAD_FAST", "f"),
    ("CALL_FUNCTION", 0),
    ("POP_TOP",),
    ("LOAD_FAST", "instance"),
    ("RETURN_VALUE",),
]
_BUILT: Final[list[_Line]] = [
    ("LOAD_BUILTIN", "make"),
    ("LOAD_FAST", "type"),
    ("LOAD_FAST", "f"),
    ("CALL_FUNCTION", 0),
    ("CALL_FUNCTION", 2),
    ("RETURN_VALUE",),
]

_OPTIONAL: Final = Parameter("f", kind=ParameterKind.OPTIONAL)
#: Name, parameters, further slots, stack size, code.
_FUNCTIONS: Final[list[tuple[str, list[Parameter], list[str], int, list[_Line]]]] = [
    ("map", [Parameter("xs"), Parameter("f")], ["result", "x", "iterator"], 4, _MAP),
    ("filter", [Parameter("xs"), Parameter("f")], ["result", "x", "iterator"], 4, _FILTER),
    (
        "reduce",
        [Parameter("xs"), Parameter("result"), Parameter("f")],
        ["x", "iterator"],
        4,
        _REDUCE,
    ),
    ("sorted", [Parameter("xs"), _OPTIONAL], ["result", "x", "iterator"], 4, _SORTED),
    ("initialize", [Parameter("instance"), Parameter("xs")], ["x", "iterator"], 2, _INITIALIZE),
    ("constructed", [Parameter("instance"), Parameter("f")], [], 1, _CONSTRUCTED),
    ("built", [Parameter("type"), Parameter("f")], [], 3, _BUILT),
]


def _assemble() -> Module:
    """The prelude as a module whose body does nothing."""
    names = [*INTERNAL, "make"]
    constants: list[Constant] = [None, *(name for name, *_ in _FUNCTIONS)]
    body = [Instruction(Opcode.LOAD_CONST), Instruction(Opcode.RETURN_VALUE)]
    functions = [Function("<prelude>", False, [], [], [], 1, body, [], [])]
    for name, parameters, others, stack_size, lines in _FUNCTIONS:
        slots = [Slot(parameter.name) for parameter in parameters]
        for other in others:
            if other == "iterator":
                slots.append(Slot(other, SlotKind.ITERATOR))
                slots.append(Slot("", SlotKind.ITERATOR_STATE))
            else:
                slots.append(Slot(other))
        numbers: dict[Any, Any] = {"NAME": constants.index(name)}
        numbers |= {each: at for at, each in enumerate(names)}
        numbers |= {slot.name: at for at, slot in enumerate(slots) if slot.name}
        code = [line for line in lines if not isinstance(line, str)]
        at = 0
        for line in lines:
            if isinstance(line, str):
                numbers[line] = at
            else:
                at += 1
        instructions = []
        for opcode, *operands in code:
            resolved: list[Any] = [numbers.get(each, each) for each in operands]
            instructions.append(Instruction(Opcode[opcode], *resolved))
        functions.append(
            Function(name, False, parameters, [], slots, stack_size, instructions, [], [])
        )
    return Module("<prelude>", names, constants, [], [], functions, [], [], [], [])


class Prelude:
    """The loaded functions, and frames of them that the machine needs."""

    def __init__(self) -> None:
        self.internal = {**INTERNAL, "make": BuiltinFunction("make", make, 2, 2)}
        known = self.internal.__getitem__
        self.module = LoadedModule(_assemble(), "<prelude>", PRELUDE, {}, known)
        self.functions = {
            function.name: FunctionValue(function, []) for function in self.module.functions[1:]
        }
        self._initialize = self.functions.pop("initialize").function
        self._constructed = self.functions.pop("constructed").function
        self._built = self.functions.pop("built").function

    def builtin(self, name: str) -> Value:
        """The built-in value of a name that programs can use; KeyError for others."""
        for table in (BUILTINS, self.functions, ERROR_CLASSES, _VALUES):
            if name in table:
                return table[name]
        raise KeyError(name)

    def constructed(self, machine: Machine, instance: Instance) -> Frame:
        """A frame that gives a new object when its constructor returns to it."""
        return _waiting(machine, self._constructed, [instance, None])

    def initialize(self, machine: Machine, instance: Instance, beneath: tuple[Frame, ...]) -> Entry:
        """Give the fields of a new object their first values."""
        machine.max_frames += 1
        initializers = instance.type.initializers  # type: ignore[union-attr]
        registers = [instance, initializers, *self._initialize.template]
        return Entry(self._initialize, registers, beneath)

    def built(self, machine: Machine, type_: StructType | Variant) -> Frame:
        """A frame that makes a value of the list of its fields that it waits for."""
        return _waiting(machine, self._built, [type_, None])


def _waiting(machine: Machine, function: LoadedFunction, slots: list[Value]) -> Frame:
    """A frame that waits for the first call in ``function``."""
    machine.max_frames += 1
    origin = min(function.calls)
    ip = function.calls[origin]
    operations = iter(function.code)
    operations.__setstate__(ip)  # type: ignore[attr-defined]
    registers = slots + function.template
    for place, register in enumerate(function.waiting[ip]):
        own = function.stack_base + place
        if register != own:
            registers[own] = registers[register]
    return function, operations, registers, function.code[ip - 1][3]


_VALUES: Final[dict[str, Value]] = {"Some": SOME, "None": NONE, "Success": SUCCESS}


@cache
def prelude() -> Prelude:
    """The one prelude: nothing in it ever changes."""
    return Prelude()
