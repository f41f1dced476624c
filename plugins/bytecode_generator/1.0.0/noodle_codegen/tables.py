"""The tables of a module, each entry once."""

from __future__ import annotations

from hookspecs import ast
from hookspecs.bytecode import Constant, Module, Parameter, ParameterKind, TypeCheck, constant_key


class Tables:
    """Gives entries their numbers; the module is filled while code refers to it."""

    def __init__(self, file: str) -> None:
        self.module = Module(file, [], [], [], [], [], [], [], [], [])
        self._names: dict[str, int] = {}
        self._constants: dict[tuple[str, str], int] = {}
        self._name_lists: dict[tuple[str, ...], int] = {}
        self._types: dict[tuple[str, tuple[str, ...]], int] = {}

    def name(self, name: str) -> int:
        index = self._names.get(name)
        if index is None:
            index = self._names[name] = len(self.module.names)
            self.module.names.append(name)
        return index

    def constant(self, value: Constant) -> int:
        key = constant_key(value)
        index = self._constants.get(key)
        if index is None:
            index = self._constants[key] = len(self.module.constants)
            self.module.constants.append(value)
        return index

    def name_list(self, names: list[str]) -> int:
        key = tuple(names)
        index = self._name_lists.get(key)
        if index is None:
            index = self._name_lists[key] = len(self.module.name_lists)
            self.module.name_lists.append(names)
        return index

    def type(self, annotation: ast.Type | None) -> int:
        """The number of a type, -1 if it accepts everything."""
        if annotation is None or not annotation.names:
            return -1
        key = annotation.text, tuple(annotation.names)
        index = self._types.get(key)
        if index is None:
            index = self._types[key] = len(self.module.types)
            self.module.types.append(TypeCheck(annotation.text, list(annotation.names)))
        return index

    def parameter(self, parameter: ast.Parameter) -> Parameter:
        kind = ParameterKind(parameter.kind)
        return Parameter(parameter.name, self.type(parameter.type), kind)
