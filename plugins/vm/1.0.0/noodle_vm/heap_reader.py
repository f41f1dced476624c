"""The table of a state back to objects; see :mod:`.snapshot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hookspecs.bytecode import ParameterKind

from .heap_writer import fixtures
from .keys import to_key
from .loaded import LoadedFunction, LoadedParameter, LoadedType
from .values import (
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

#: What has its contents only when keys can be made and lists have their length.
_LATE: Final = frozenset({"map", "set", "iterator"})
_KINDS: Final[dict[str, Any]] = {
    "list": list,
    "map": dict,
    "set": SetValue,
    "cell": Cell,
    "function": FunctionValue,
    "bound": BoundMethod,
    "error": ErrorValue,
    "instance": Instance,
    "value": EnumValue,
    "class": ClassValue,
    "struct": StructType,
    "enum": EnumType,
    "variant": Variant,
}


class HeapReader:
    """Makes all objects first, empty, and then fills them: cycles are no matter."""

    def __init__(self, machine: Machine, table: list[tuple[Any, ...]]) -> None:
        self._machine = machine
        self._fixtures = fixtures(machine)
        self._table = table
        self._objects: list[Any] = []
        for kind, *_ in table:
            made = _KINDS.get(kind)
            self._objects.append(made.__new__(made) if made else None)

    def place(self, reference: tuple[int], value: Cell) -> None:
        """Let a cell that the code refers to be the object of a number."""
        self._objects[reference[0]] = value

    def read(self, value: Any) -> Any:
        if type(value) is not tuple:
            return value
        return self._objects[value[0]] if len(value) == 1 else self._fixtures[value]

    def function(self, module: int, index: int) -> LoadedFunction:
        if module < 0:
            return self._machine.prelude.module.functions[index]
        return self._machine.modules[module].functions[index]

    def fill(self) -> None:
        for late in (False, True):
            for number, (kind, *contents) in enumerate(self._table):
                if kind == "range":
                    start, stop, step, at = contents
                    self._objects[number] = _iterator(range(start, stop, step), at)
                elif kind == "iterator" and late:
                    source, at = contents
                    self._objects[number] = _iterator(self.read(source), at)
                elif (kind in _LATE) is late:
                    self._fill(self._objects[number], kind, contents)
        for value in self._objects:
            if isinstance(value, ClassValue):
                value.finish()

    def _fill(self, value: Any, kind: str, contents: list[Any]) -> None:
        read = self.read
        match kind:
            case "list":
                value += [read(item) for item in contents[0]]
            case "map":
                keys = [to_key(read(key), "a map key") for key in contents[0]]
                value.update(zip(keys, map(read, contents[1]), strict=True))
            case "set":
                items = [to_key(read(item), "a set item") for item in contents[0]]
                value.items = dict.fromkeys(items)
            case "cell":
                value.value = read(contents[0])
            case "function":
                function = self.function(contents[0], contents[1])
                FunctionValue.__init__(value, function, [read(cell) for cell in contents[2]])
            case "bound":
                BoundMethod.__init__(value, read(contents[0]), read(contents[1]))
            case "instance":
                Instance.__init__(value, read(contents[0]), self._named(*contents[1:]))
            case "error":
                type_, names, values, payload, place, stack = contents
                ErrorValue.__init__(value, read(type_), self._named(names, values), read(payload))
                value.place, value.stack = place, stack
            case "value":
                EnumValue.__init__(value, read(contents[0]), [read(part) for part in contents[1]])
            case _:
                self._fill_type(value, contents)

    def _fill_type(self, value: Any, contents: list[Any]) -> None:
        read = self.read
        if isinstance(value, ClassValue):
            name, parent, fields, methods, static, private, constructor, initializers, is_error = (
                contents
            )
            # The tables hold what is inherited: the parent may not have its own yet.
            ClassValue.__init__(value, name, None, fields)
            value.parent = read(parent)
            value.methods = self._named(*methods)
            value.static_methods = self._named(*static)
            value.private = private
            value.constructor = read(constructor)
            value.initializers = [read(function) for function in initializers]
            value.is_error = is_error
        elif isinstance(value, StructType):
            name, parameters, defaults = contents
            StructType.__init__(value, name, _parameters(parameters), read(defaults))
        elif isinstance(value, EnumType):
            name, names, variants = contents
            EnumType.__init__(value, name)
            value.variants = self._named(names, variants)
        else:
            enum, name, has_payload, parameters, defaults = contents
            loaded = _parameters(parameters)
            Variant.__init__(value, read(enum), name, has_payload, loaded, read(defaults))

    def _named(self, names: list[str], values: list[Any]) -> dict[str, Value]:
        return {name: self.read(value) for name, value in zip(names, values, strict=True)}


def _iterator(source: Any, at: int) -> Any:
    iterator = iter(source)
    iterator.__setstate__(at)
    return iterator


def _parameters(kept: list[tuple[Any, ...]]) -> list[LoadedParameter]:
    return [
        LoadedParameter(
            name, None if text is None else LoadedType(text, names), ParameterKind(kind)
        )
        for name, kind, text, names in kept
    ]
