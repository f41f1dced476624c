"""Modules as the interpreter runs them: verified, resolved, translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hookspecs.bytecode import Function, Module, ParameterKind, verify

from .classes import load_parameters
from .loaded import LoadedFunction, LoadedType
from .translation import translate
from .values import UNSET, Cell, ModuleValue, Value


class LoadedModule:
    """One module of a program.

    ``cells`` are its variables by name; ``number`` is its place in the program.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        number: int,
        imports: Mapping[str, ModuleValue],
        builtin: Callable[[str], Value],
    ) -> None:
        """Load a decoded module.

        ``imports`` are the modules by the paths in IMPORT_MODULE; ``builtin``
        gives a built-in value by its name.

        Raises:
            ValueError: the module cannot be run safely; says where and why.
        """
        self.module = module
        self.name = name
        self.value = ModuleValue(name)
        self.cells: dict[str, Cell] = {}
        self.types = [LoadedType(check.text, check.names) for check in module.types]
        self._imports = imports
        self._builtin = builtin
        depths = verify(module)
        self.value.exports = {export.exported: self.cell(export.name) for export in module.exports}
        self.functions = [
            self._shell(function, number, index) for index, function in enumerate(module.functions)
        ]
        for function, loaded, known in zip(module.functions, self.functions, depths, strict=True):
            translate(self, function, loaded, known)

    def cell(self, name: str) -> Cell:
        """The variable ``name`` of the module's top level."""
        found = self.cells.get(name)
        if found is None:
            found = self.cells[name] = Cell(UNSET)
        return found

    def builtin(self, name: str) -> Value:
        try:
            return self._builtin(name)
        except KeyError:
            raise ValueError(
                f"NBC of {self.module.file!r} needs {name!r} built in, which this virtual "
                "machine does not have"
            ) from None

    def imported(self, path: str) -> ModuleValue:
        found = self._imports.get(path)
        if found is None:
            raise ValueError(
                f"NBC of {self.module.file!r} imports {path!r}, expected one of its program's "
                f"imports: {sorted(self._imports)}"
            )
        return found

    def _shell(self, function: Function, number: int, index: int) -> LoadedFunction:
        """A function without its code: others may refer to it."""
        loaded = LoadedFunction(function.name, self.module.file, number, index)
        loaded.is_hidden = not function.source_map
        loaded.parameters = load_parameters(function.parameters, self.types)
        loaded.captures = function.captures
        loaded.tested = frozenset(
            instruction.b
            for instruction in function.instructions
            if instruction.opcode.name == "JUMP_IF_GIVEN"
        )
        kinds = {parameter.kind for parameter in loaded.parameters}
        if kinds <= {ParameterKind.REQUIRED} and not loaded.is_hidden:
            loaded.arity = len(loaded.parameters)
            loaded.checks = [
                (at, parameter.type)
                for at, parameter in enumerate(loaded.parameters)
                if parameter.type is not None and parameter.type.names
            ]
        loaded.starts = [entry.start for entry in function.source_map]
        loaded.places = [(entry.line, entry.column) for entry in function.source_map]
        return loaded
