"""Names in declarations and modules."""

from __future__ import annotations

from msgspec.structs import force_setattr

from hookspecs import ast
from hookspecs.ast import BUILTIN, BindingKind

from .statement_names import StatementNames
from .statements import Statements
from .walk import ClassContext, FunctionContext


class Resolver(StatementNames):
    """Completes the tree of one module in place, and complains."""

    def __init__(self, grammar: Statements, file: str) -> None:
        super().__init__(grammar, file)
        self._exports: list[ast.ExportedName] = []
        self.visitors |= {
            ast.FunctionDeclaration: self._function,
            ast.ClassDeclaration: self._class,
            ast.StructDeclaration: self._struct,
            ast.EnumDeclaration: self._enum,
            ast.ImportModule: self._import_module,
            ast.ImportNames: self._import_names,
            ast.ExportNames: lambda node: self._exports.extend(node.names),
            ast.ExportFrom: lambda node: None,
        }

    def resolve(self, body: list[ast.Statement]) -> list[ast.Binding]:
        """Resolve a whole module; return its variables."""
        self.scopes.open()
        self.body(body)
        for exported in self._exports:
            self._export(exported)
        self.scopes.close()
        self.report_undefined()
        self.checks.finish(self.scopes.bindings)
        return self.scopes.bindings

    def _export(self, exported: ast.ExportedName) -> None:
        name = exported.name
        binding = self.scopes.innermost.own.get(name)
        if binding is None:
            self.scopes.postpone(ast.Name(exported.line, exported.column, name, BUILTIN))
        else:
            force_setattr(exported, "binding", binding)

    # -- functions and types -----------------------------------------------

    def _function(self, node: ast.FunctionDeclaration) -> None:
        function = node.function
        binding = self.pass_declaration(node, function.name, "function")
        force_setattr(node, "binding", binding)
        self.checks.function(binding, function)
        self.function_body(function, self.function.receiver)

    def _class(self, node: ast.ClassDeclaration) -> None:
        force_setattr(node, "binding", self.pass_declaration(node, node.name, "class"))
        if node.parent is not None:
            self.visit(node.parent)
        self.checks.class_(node)
        outer, self.class_ = self.class_, ClassContext(node.name, node.parent is not None)
        self._fields(node)
        if node.constructor is not None:
            self._method(node.constructor)
        for method in node.methods:
            if method.is_static:
                self.function_body(method.function, BUILTIN)
            else:
                self._method(method.function)
        force_setattr(node, "own_class", self.class_.own_class)
        self.class_ = outer

    def _fields(self, node: ast.ClassDeclaration) -> None:
        receiver = self.scopes.add("self", BindingKind.SELF)
        force_setattr(node, "receiver", receiver)
        outer, self.function = self.function, FunctionContext(None, receiver)
        # They get their values when an instance is made, as in a function.
        self.scopes.depth += 1
        for field in node.fields:
            self.annotation(field.type)
            if field.value is not None:
                self.visit(field.value)
                self.checks.value(field.type, field.name, field.value)
        self.scopes.depth -= 1
        self.function = outer

    def _method(self, function: ast.Function) -> None:
        receiver = self.scopes.add("self", BindingKind.SELF)
        force_setattr(function, "receiver", receiver)
        self.function_body(function, receiver)

    def _struct(self, node: ast.StructDeclaration) -> None:
        force_setattr(node, "binding", self.pass_declaration(node, node.name, "struct"))
        self.checks.struct(node)
        self._parameters(node.fields)

    def _enum(self, node: ast.EnumDeclaration) -> None:
        force_setattr(node, "binding", self.pass_declaration(node, node.name, "enum"))
        for variant in node.variants:
            self._parameters(variant.fields)

    def _parameters(self, parameters: list[ast.Parameter]) -> None:
        seen: set[str] = set()
        self.scopes.depth += 1
        for parameter in parameters:
            name = parameter.name
            self.annotation(parameter.type)
            if parameter.default is not None:
                self.visit(parameter.default)
                self.checks.value(parameter.type, name, parameter.default)
            if name in seen:
                self.complain(
                    f'"{name}" is already declared here',
                    parameter.line,
                    parameter.column,
                    len(name),
                )
            seen.add(name)
        self.scopes.depth -= 1

    # -- modules -----------------------------------------------------------

    def _import_module(self, node: ast.ImportModule) -> None:
        force_setattr(node, "binding", self._imported(node, node.name))

    def _import_names(self, node: ast.ImportNames) -> None:
        for name in node.names:
            force_setattr(name, "binding", self._imported(name, name.name))
            self.checks.imported(name)

    def _imported(self, node: ast.Node, name: str) -> int:
        scope = self.scopes.innermost
        if name not in scope.own:
            self.scopes.declare(name, BindingKind.IMPORT)
        elif name not in scope.declared:
            self.complain_of_place(f'"{name}" is already declared in this block', node, len(name))
        return self.pass_declaration(node, name, "import")
