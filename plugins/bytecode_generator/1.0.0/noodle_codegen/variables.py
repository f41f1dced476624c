"""Where each variable lives: in a slot of its frame, in a cell, or in the module.

Most live in **slots**. A variable that another function uses, or that may be
read before it has a value, lives in a **cell**; if it stands at the top level of
the module, it is a **module name** instead, which importers see.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from hookspecs import ast
from hookspecs.ast import BUILTIN


class Home(Enum):
    SLOT = "slot"
    CELL = "cell"
    MODULE = "module"


#: The body of the module, as the owner of variables.
MODULE_BODY: Final = 0


@dataclass
class Variables:
    """What the generator asks. Functions are known by the ``id`` of their node.

    ``free`` lists, for each function, the cells of enclosing functions that it
    or a function in it uses; ``cells_of_block``, by the id of a statement list,
    the cells that are new each time it is entered.
    """

    homes: list[Home]
    free: dict[int, list[int]]
    cells_of_block: dict[int, list[int]]


@dataclass
class _Survey:
    """What one walk over the tree has seen."""

    parents: dict[int, int] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    uses: set[tuple[int, int]] = field(default_factory=set)
    early: set[int] = field(default_factory=set)
    top: set[int] = field(default_factory=set)
    exported: set[int] = field(default_factory=set)
    declared_in: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def place_variables(module: ast.Module) -> Variables:
    """Decide where the variables of a module live."""
    survey = _Survey()
    _Walk(survey, module).run()
    captured: set[int] = set()
    free: dict[int, dict[int, None]] = defaultdict(dict)
    homes = [Home.SLOT] * len(module.bindings)
    for binding, user in survey.uses:
        if survey.owners.get(binding, user) != user:
            captured.add(binding)
    for binding in range(len(module.bindings)):
        if binding in survey.top and (
            binding in captured or binding in survey.early or binding in survey.exported
        ):
            homes[binding] = Home.MODULE
        elif binding in captured or binding in survey.early:
            homes[binding] = Home.CELL
    # In one order always: the same source gives the same code.
    for binding, user in sorted(survey.uses, key=lambda use: use[0]):
        owner = survey.owners.get(binding, user)
        if homes[binding] is not Home.CELL:
            continue
        while user != owner:
            free[user][binding] = None
            user = survey.parents[user]
    cells = {
        block: [binding for binding in bindings if homes[binding] is Home.CELL]
        for block, bindings in survey.declared_in.items()
    }
    return Variables(homes, {user: list(bindings) for user, bindings in free.items()}, cells)


class _Walk:
    """Visits everything in the order of the source."""

    def __init__(self, survey: _Survey, module: ast.Module) -> None:
        self._survey = survey
        self._module = module
        self._function = MODULE_BODY
        self._block = id(module.body)
        self._seen: set[int] = set()

    def run(self) -> None:
        self._statements(self._module.body)

    def _statements(self, body: list[ast.Statement]) -> None:
        outer, self._block = self._block, id(body)
        # Functions have their values from the beginning of the block.
        for statement in body:
            if isinstance(statement, ast.FunctionDeclaration):
                self._declare(statement.binding)
        for statement in body:
            self._visit(statement)
        self._block = outer

    def _declare(self, binding: int) -> None:
        if binding == BUILTIN:
            return
        survey = self._survey
        survey.owners[binding] = self._function
        if binding not in self._seen:
            self._seen.add(binding)
            survey.declared_in[self._block].append(binding)
        if self._block == id(self._module.body):
            survey.top.add(binding)

    def _bind(self, binding: int) -> None:
        """Declare what gets a new cell where it is bound, not at the block's entry."""
        if binding != BUILTIN:
            self._seen.add(binding)
            self._survey.owners[binding] = self._function

    def _use(self, binding: int) -> None:
        if binding == BUILTIN:
            return
        self._survey.uses.add((binding, self._function))
        if binding not in self._seen:
            # If it belongs to another function, that makes it a cell anyhow.
            self._survey.early.add(binding)

    def _visit(self, node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                self._visit(item)
            return
        if not isinstance(node, msgspec.Struct):
            return
        visit = getattr(self, f"_visit_{type(node).__name__}", None)
        if visit is not None:
            visit(node)
        else:
            self._children(node)

    def _children(self, node: msgspec.Struct) -> None:
        for name in node.__struct_fields__:
            value = getattr(node, name)
            if isinstance(value, list) and value and isinstance(value[0], _STATEMENTS):
                self._statements(value)
            elif isinstance(value, list | msgspec.Struct):
                self._visit(value)

    # -- functions ---------------------------------------------------------

    def _enter(self, key: int) -> tuple[int, int]:
        outer = self._function, self._block
        self._survey.parents[key] = self._function
        self._function = key
        return outer

    def _visit_Function(self, node: ast.Function) -> None:  # noqa: N802
        outer = self._enter(id(node))
        self._bind(node.receiver)
        for parameter in node.parameters:
            if parameter.default is not None:
                self._visit(parameter.default)
            self._bind(parameter.binding)
        if node.body is not None:
            self._statements(node.body)
        self._function, self._block = outer

    def _visit_FunctionDeclaration(self, node: ast.FunctionDeclaration) -> None:  # noqa: N802
        self._visit(node.function)

    def _visit_ClassDeclaration(self, node: ast.ClassDeclaration) -> None:  # noqa: N802
        self._declare(node.own_class)
        self._visit(node.parent)
        outer = self._enter(id(node))
        self._bind(node.receiver)
        for member in node.fields:
            self._visit(member.value)
        self._function, self._block = outer
        self._visit(node.constructor)
        for method in node.methods:
            self._visit(method.function)
        self._declare(node.binding)

    # -- declarations ------------------------------------------------------

    def _visit_StructDeclaration(self, node: ast.StructDeclaration) -> None:  # noqa: N802
        self._defaults(node, node.fields)
        self._declare(node.binding)

    def _visit_EnumDeclaration(self, node: ast.EnumDeclaration) -> None:  # noqa: N802
        for variant in node.variants:
            self._defaults(variant, variant.fields)
        self._declare(node.binding)

    def _defaults(self, node: ast.Node, fields: list[ast.Parameter]) -> None:
        """The defaults of fields are computed in a function of their own."""
        outer = self._enter(id(node))
        for parameter in fields:
            self._visit(parameter.default)
        self._function, self._block = outer

    def _visit_ImportModule(self, node: ast.ImportModule) -> None:  # noqa: N802
        self._declare(node.binding)

    def _visit_ImportedName(self, node: ast.ImportedName) -> None:  # noqa: N802
        self._declare(node.binding)

    def _visit_ExportedName(self, node: ast.ExportedName) -> None:  # noqa: N802
        if node.binding != BUILTIN:
            self._survey.exported.add(node.binding)

    def _visit_Declare(self, node: ast.Declare) -> None:  # noqa: N802
        self._visit(node.value)
        self._declare(node.binding)

    def _visit_Unpack(self, node: ast.Unpack) -> None:  # noqa: N802
        self._visit(node.value)
        for target in [*node.targets, *([node.rest] if node.rest else [])]:
            if target.declares:
                self._declare(target.binding)
            else:
                self._use(target.binding)

    def _visit_For(self, node: ast.For) -> None:  # noqa: N802
        outer, self._block = self._block, id(node)
        self._visit(node.initial)
        self._block = outer
        self._visit(node.condition)
        self._statements(node.body)
        self._visit(node.step)

    def _visit_ForIn(self, node: ast.ForIn) -> None:  # noqa: N802
        self._visit(node.iterable)
        for name in node.names:
            self._bind(name.binding)
        self._statements(node.body)

    def _visit_Catch(self, node: ast.Catch) -> None:  # noqa: N802
        self._visit(node.type)
        self._bind(node.binding)
        self._statements(node.body)

    def _visit_BindPattern(self, node: ast.BindPattern) -> None:  # noqa: N802
        self._bind(node.binding)

    # -- uses --------------------------------------------------------------

    def _visit_Name(self, node: ast.Name) -> None:  # noqa: N802
        self._use(node.binding)

    def _visit_SuperMember(self, node: ast.SuperMember) -> None:  # noqa: N802
        self._use(node.own_class)
        self._use(node.receiver)


_STATEMENTS: Final = ast.Statement.__args__
