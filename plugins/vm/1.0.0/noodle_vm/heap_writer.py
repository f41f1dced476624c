"""The objects of a running program as a table; see :mod:`.snapshot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .builtins import BUILTINS
from .calls import BASE_CONSTRUCTOR
from .keys import from_key
from .loaded import LoadedParameter
from .members import NO_CONSTRUCTOR
from .methods import METHODS
from .options import NONE, OPTION, RESULT, SOME, SUCCESS
from .thrown import ERROR_CLASSES
from .values import (
    UNSET,
    BoundMethod,
    Cell,
    ClassValue,
    EnumType,
    EnumValue,
    ErrorValue,
    FunctionValue,
    Instance,
    SetValue,
    StructType,
    Value,
    Variant,
)

if TYPE_CHECKING:
    from .machine import Machine


def fixtures(machine: Machine) -> dict[tuple[str, ...], Value]:
    """What every machine has, by the value that stands for it in a state."""
    known: dict[tuple[str, ...], Value] = {
        ("unset", ""): UNSET,
        ("enum", "Option"): OPTION,
        ("enum", "Result"): RESULT,
        ("variant", "Some"): SOME,
        ("variant", "None"): NONE.variant,
        ("variant", "Success"): SUCCESS,
        ("value", "None"): NONE,
        ("constructor", "error"): BASE_CONSTRUCTOR,
        ("constructor", "none"): NO_CONSTRUCTOR,
    }
    for tables in (BUILTINS, machine.prelude.internal):
        known |= {("built in", name): value for name, value in tables.items()}
    for name, class_ in ERROR_CLASSES.items():
        known["class", name] = class_
    for name, function in machine.prelude.functions.items():
        known["prelude", name] = function
    for kind, methods in METHODS.items():
        for name, method in methods.items():
            known["method", kind.__name__, name] = method
    for number, module in enumerate(machine.modules):
        known["module", str(number)] = module.value
    return known


class HeapWriter:
    """Gives objects numbers as they are met, and their contents at the end.

    Nothing recurses: contents are written when their turn comes.
    """

    def __init__(self, machine: Machine) -> None:
        self._fixtures = {id(value): key for key, value in fixtures(machine).items()}
        self._numbers: dict[int, int] = {}
        #: Holding the objects keeps their ids theirs.
        self._objects: list[Any] = []

    def write(self, value: Value) -> Any:
        """What stands for a value, a cell or an iterator in a state."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        fixture = self._fixtures.get(id(value))
        if fixture is not None:
            return fixture
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return (number,)

    def finish(self) -> list[tuple[Any, ...]]:
        """The table: for each object its kind and its contents."""
        # Writing contents appends to the list that is gone through.
        return [self._contents(value) for value in self._objects]

    def _contents(self, value: Any) -> tuple[Any, ...]:
        write = self.write
        match value:
            case list():
                return "list", [write(item) for item in value]
            case dict():
                keys = [write(from_key(key)) for key in value]
                return "map", keys, [write(item) for item in value.values()]
            case SetValue():
                return "set", [write(from_key(key)) for key in value.items]
            case Cell():
                return "cell", write(value.value)
            case FunctionValue():
                function = value.function
                cells = [write(cell) for cell in value.cells]
                return "function", function.module, function.index, cells
            case BoundMethod():
                return "bound", write(value.receiver), write(value.method)
            case ErrorValue():
                names, values = self._named(value.fields)
                payload = write(value.payload)
                return "error", write(value.type), names, values, payload, value.place, value.stack
            case Instance():
                return "instance", write(value.type), *self._named(value.fields)
            case EnumValue():
                return "value", write(value.variant), [write(part) for part in value.payload]
            case ClassValue() | StructType() | EnumType() | Variant():
                return self._type(value)
            case _:
                return self._iterator(value)

    def _named(self, values: dict[str, Value]) -> tuple[list[str], list[Any]]:
        return list(values), [self.write(value) for value in values.values()]

    def _type(self, value: ClassValue | StructType | EnumType | Variant) -> tuple[Any, ...]:
        write = self.write
        match value:
            case ClassValue():
                return (
                    "class",
                    value.name,
                    write(value.parent),
                    value.fields,
                    self._named(value.methods),
                    self._named(value.static_methods),
                    dict(value.private),
                    write(value.constructor),
                    [write(function) for function in value.initializers],
                    value.is_error,
                )
            case StructType():
                parameters = _parameters(value.parameters)
                return "struct", value.name, parameters, write(value.defaults)
            case EnumType():
                return "enum", value.name, *self._named(value.variants)
            case Variant():
                return (
                    "variant",
                    write(value.enum),
                    value.name,
                    value.has_payload,
                    _parameters(value.parameters),
                    write(value.defaults),
                )

    def _iterator(self, value: Any) -> tuple[Any, ...]:
        """A loop in progress: what it goes through, and how far it is."""
        _, (source,), *state = value.__reduce__()
        at = state[0] if state and state[0] is not None else 0
        if isinstance(source, range):
            return "range", source.start, source.stop, source.step, at
        # An iterator at its end has let go of what it went through.
        return "iterator", self.write([] if source == () else source), at


def _parameters(parameters: list[LoadedParameter]) -> list[tuple[Any, ...]]:
    return [
        (
            parameter.name,
            int(parameter.kind),
            None if parameter.type is None else parameter.type.text,
            [] if parameter.type is None else sorted(parameter.type.names),
        )
        for parameter in parameters
    ]
