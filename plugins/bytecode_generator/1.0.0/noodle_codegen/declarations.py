"""Functions, classes and the other types, and what modules exchange."""

from __future__ import annotations

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.bytecode import (
    ClassSpec,
    EnumSpec,
    Export,
    Function,
    Opcode,
    Parameter,
    SlotKind,
    StructSpec,
    Variant,
)

from .assembler import Assembler, Label
from .statements import Statements
from .unit import Shared
from .variables import Home


class FunctionUnit(Statements):
    """Generates one function: the whole of the generator's parts."""

    # -- functions ---------------------------------------------------------

    def function(self, function: ast.Function) -> None:
        self._make(self._new_function(function.name), function)

    def _new_function(self, name: str, is_initializer: bool = False) -> int:
        functions = self.tables.module.functions
        functions.append(Function(name, is_initializer, [], [], [], 0, [], [], []))
        return len(functions) - 1

    def _make(self, index: int, function: ast.Function, is_inner: bool = False) -> None:
        """Generate a function, and leave it on the stack."""
        unit = self._inner(index, id(function), function.receiver, is_inner)
        made = self.tables.module.functions[index]
        for parameter in function.parameters:
            made.parameters.append(self.tables.parameter(parameter))
            slot = unit.code.slot(parameter.name)
            if self.shared.variables.homes[parameter.binding] is not Home.CELL:
                unit.put_in_slot(parameter.binding, slot)
        unit.open_frame(made, id(function), function)
        if function.body is None:
            unit.fail_without_body(function)
        else:
            unit.returns = function.returns
            unit.statements(function.body)
            unit.end(function)
        unit.code.finish(made)
        if function.body is None:
            # Its frame is not the program's: the error belongs to the call.
            made.source_map = []
        self.code.emit(Opcode.MAKE_FUNCTION, index)

    def _inner(self, index: int, key: int, receiver: int, is_inner: bool = False) -> FunctionUnit:
        made = self.tables.module.functions[index]
        code = Assembler(self.tables.module, made.name)
        unit = FunctionUnit(self.shared, code, self.is_inner or is_inner)
        if receiver != BUILTIN:
            made.parameters.append(Parameter("self"))
            slot = code.slot("self")
            if self.shared.variables.homes[receiver] is not Home.CELL:
                unit.put_in_slot(receiver, slot)
        # In the order of the captured cells' slots, which come behind the parameters.
        made.captures = [self.slot_of(b) for b in self.shared.variables.free.get(key, ())]
        return unit

    def open_frame(self, made: Function, key: int, node: ast.Function | None) -> None:
        """Give captured cells their slots, parameters their cells and defaults."""
        for binding in self.shared.variables.free.get(key, ()):
            name = self.shared.module.bindings[binding].name
            self.put_in_slot(binding, self.code.slot(name, SlotKind.CELL))
        if node is None:
            return
        self.at(node)
        slot = 0
        if node.receiver != BUILTIN:
            self._to_cell(node.receiver, 0)
            slot = 1
        has_defaults = any(parameter.default is not None for parameter in node.parameters)
        if has_defaults:
            # A function in a default may capture a parameter that comes later.
            for parameter in node.parameters:
                if self.is_own_cell(parameter.binding):
                    self.code.emit(Opcode.EMPTY_CELL, self.slot_of(parameter.binding))
        for parameter in node.parameters:
            if parameter.default is not None:
                self.default(parameter.default, slot, parameter)
            self._to_cell(parameter.binding, slot, has_defaults)
            slot += 1

    def default(self, value: ast.Expression, slot: int, parameter: ast.Parameter) -> None:
        """Compute what a parameter is if the caller has not given it."""
        given = Label()
        self.at(parameter)
        self.code.jump(Opcode.JUMP_IF_GIVEN, given, slot)
        self.expression(value)
        self.at(parameter)
        self.code.emit(Opcode.STORE_FAST, slot)
        self.code.place(given)

    def _to_cell(self, binding: int, slot: int, is_made: bool = False) -> None:
        if self.is_own_cell(binding):
            self.code.emit(Opcode.LOAD_FAST, slot)
            self.code.emit(
                Opcode.STORE_CELL if is_made else Opcode.MAKE_CELL, self.slot_of(binding)
            )

    def end(self, function: ast.Function) -> None:
        """Fall off the end: the result is null."""
        if not self.code.is_reachable:
            return
        self.at(function)
        self.constant(None)
        check = self.tables.type(self.returns)
        if check >= 0:
            self.code.emit(Opcode.CHECK_TYPE, check)
        self.code.emit(Opcode.RETURN_VALUE)

    def fail_without_body(self, function: ast.Function) -> None:
        self.code.emit(Opcode.LOAD_BUILTIN, self.tables.name("TypeError"))
        self.constant(f"{function.name} has no body")
        self.code.emit(Opcode.CALL_FUNCTION, 1)
        self.code.emit(Opcode.THROW)

    # -- types -------------------------------------------------------------

    def declaration(self, node: ast.Statement) -> None:
        match node:
            case ast.ClassDeclaration():
                self._class(node)
            case ast.StructDeclaration():
                structs = self.tables.module.structs
                fields = [self.tables.parameter(field) for field in node.fields]
                has_defaults = self._defaults(node, node.fields)
                structs.append(StructSpec(node.name, fields, has_defaults))
                self.at(node)
                self.code.emit(Opcode.BUILD_STRUCT, len(structs) - 1)
                self.store(node.binding)
            case ast.EnumDeclaration():
                enums = self.tables.module.enums
                enums.append(EnumSpec(node.name, [self._variant(v) for v in node.variants]))
                self.at(node)
                self.code.emit(Opcode.BUILD_ENUM, len(enums) - 1)
                self.store(node.binding)
            case ast.ImportModule():
                self._import(node.path, node)
                self.store(node.binding)
            case ast.ImportNames():
                self._import(node.path, node)
                for name in node.names:
                    self.code.emit(Opcode.DUP_TOP)
                    self.at(name)
                    self.code.emit(Opcode.LOAD_EXPORT, self.tables.name(name.exported))
                    self.store(name.binding)
                self.code.emit(Opcode.POP_TOP)
            case ast.ExportNames():
                for exported in node.names:
                    own = self.tables.module.names[self.module_name(exported.binding)]
                    self.tables.module.exports.append(Export(exported.exported, own))
            case ast.ExportFrom():
                self._export_from(node)
            case _:
                raise TypeError(f"not a statement: {type(node).__name__}")

    def _variant(self, variant: ast.Variant) -> Variant:
        fields = [self.tables.parameter(field) for field in variant.fields]
        return Variant(
            variant.name, variant.has_payload, fields, self._defaults(variant, variant.fields)
        )

    def _defaults(
        self, node: ast.StructDeclaration | ast.Variant, fields: list[ast.Parameter]
    ) -> bool:
        """Leave a function that returns all values of the fields, if one has a default."""
        if all(field.default is None for field in fields):
            return False
        index = self._new_function(node.name)
        unit = self._inner(index, id(node), BUILTIN)
        made = self.tables.module.functions[index]
        for field in fields:
            made.parameters.append(self.tables.parameter(field))
            unit.code.slot(field.name)
        unit.open_frame(made, id(node), None)
        for slot, field in enumerate(fields):
            unit.at(field)
            if field.default is not None:
                unit.default(field.default, slot, field)
        unit.at(node)
        for slot in range(len(fields)):
            unit.code.emit(Opcode.LOAD_FAST, slot)
        unit.code.emit(Opcode.BUILD_LIST, len(fields))
        unit.code.emit(Opcode.RETURN_VALUE)
        unit.code.finish(made)
        self.at(node)
        self.code.emit(Opcode.MAKE_FUNCTION, index)
        return True

    def _class(self, node: ast.ClassDeclaration) -> None:
        self.at(node)
        if node.parent is not None:
            self.expression(node.parent)
        if node.constructor is not None:
            self._make(self._new_function(node.constructor.name), node.constructor, True)
        values = [field for field in node.fields if field.value is not None]
        if values:
            self._initializer(node, values)
        plain = [method for method in node.methods if not method.is_static]
        static = [method for method in node.methods if method.is_static]
        for method in [*plain, *static]:
            self._make(self._new_function(method.function.name), method.function, True)
        private = [
            *(field.name for field in node.fields if field.is_private),
            *(method.name for method in node.methods if method.is_private),
        ]
        classes = self.tables.module.classes
        classes.append(
            ClassSpec(
                node.name,
                [field.name for field in node.fields],
                [method.name for method in plain],
                [method.name for method in static],
                private,
                node.constructor is not None,
                bool(values),
            )
        )
        self.at(node)
        self.code.emit(Opcode.BUILD_CLASS, len(classes) - 1, int(node.parent is not None))
        if node.own_class != BUILTIN:
            self.code.emit(Opcode.DUP_TOP)
            self.store(node.own_class)
        self.store(node.binding)

    def _initializer(self, node: ast.ClassDeclaration, fields: list[ast.Field]) -> None:
        """A function that gives the fields of a new instance their first values."""
        index = self._new_function(f"{node.name}.constructor", is_initializer=True)
        unit = self._inner(index, id(node), node.receiver, is_inner=True)
        made = self.tables.module.functions[index]
        unit.open_frame(made, id(node), None)
        unit.at(node)
        unit._to_cell(node.receiver, 0)
        for field in fields:
            assert field.value is not None
            unit.at(field)
            unit.code.emit(Opcode.LOAD_FAST, 0)
            unit.expression(field.value)
            unit.at(field)
            unit.code.emit(Opcode.STORE_ATTR, self.tables.name(field.name), 1)
        unit.code.emit(Opcode.END_INITIALIZER)
        unit.code.finish(made)
        self.code.emit(Opcode.MAKE_FUNCTION, index)

    # -- modules -----------------------------------------------------------

    def _import(self, path: str, node: ast.Node) -> None:
        self.at(node)
        self.code.emit(Opcode.IMPORT_MODULE, self.tables.name(path))

    def _export_from(self, node: ast.ExportFrom) -> None:
        self._import(node.path, node)
        if node.names is None:
            self.code.emit(Opcode.EXPORT_ALL)
            return
        for name in node.names:
            # No source can write that name.
            hidden = f"<from {node.path}> {name.name}"
            self.code.emit(Opcode.DUP_TOP)
            self.code.emit(Opcode.LOAD_EXPORT, self.tables.name(name.name))
            self.code.emit(Opcode.STORE_NAME, self.tables.name(hidden))
            self.tables.module.exports.append(Export(name.exported, hidden))
        self.code.emit(Opcode.POP_TOP)


def generate_body(shared: Shared) -> None:
    """Generate the module's body, and with it everything in it."""
    tables = shared.tables
    body = Function("<module>", False, [], [], [], 0, [], [], [])
    tables.module.functions.append(body)
    unit = FunctionUnit(shared, Assembler(tables.module, body.name), is_inner=False)
    unit.statements(shared.module.body)
    if unit.code.is_reachable:
        unit.constant(None)
        unit.code.emit(Opcode.RETURN_VALUE)
    unit.code.finish(body)
