"""Types that can be proved to be wrong before the program runs.

Checks are collected during the walk and made at its end, when it is known
which functions are never replaced by an assignment.
"""

from __future__ import annotations

from collections.abc import Callable

from hookspecs import ast
from hookspecs.ast import Binding, ParameterKind

from .inference import Inference
from .places import beginning


class Checks:
    """Collects what to check; ``complain`` takes message, line, column and length."""

    def __init__(self, complain: Callable[[str, int, int, int], None]) -> None:
        self._complain = complain
        #: Variables that something is assigned to after their declaration.
        self.assigned: set[int] = set()
        self._annotations: dict[int, ast.Type] = {}
        self._parameters: dict[int, list[ast.Parameter]] = {}
        self._names: dict[int, str] = {}
        self._values: list[tuple[ast.Type, str, ast.Expression]] = []
        self._calls: list[ast.Call] = []
        self._inference = Inference()
        self._ancestors: dict[str, str | None] = {}
        self._aliases: dict[str, str] = {}

    # -- collecting --------------------------------------------------------

    def value(self, type_: ast.Type | None, name: str, value: ast.Expression) -> None:
        """``name`` gets a value that must fit."""
        if type_ is not None:
            self._values.append((type_, f'"{name}" must be', value))

    def assignment(self, binding: int, name: str, value: ast.Expression) -> None:
        self.value(self._annotations.get(binding), name, value)

    def result(self, function: ast.Function, value: ast.Expression) -> None:
        if function.returns is not None:
            self._values.append((function.returns, f"{function.name}() must return", value))

    def call(self, node: ast.Call) -> None:
        self._calls.append(node)

    def annotate(
        self,
        binding: int,
        type_: ast.Type | None,
        kind: ParameterKind = ParameterKind.REQUIRED,
    ) -> None:
        """What is assigned to the variable later must fit its annotation too."""
        if type_ is not None and kind is ParameterKind.REQUIRED:
            self._annotations[binding] = type_

    def constant(self, binding: int, value: ast.Expression) -> None:
        self._inference.constants[binding] = value

    def function(self, binding: int, function: ast.Function) -> None:
        self._parameters[binding] = function.parameters
        self._names[binding] = function.name
        if function.returns is not None and len(function.returns.names) == 1:
            self._inference.results[binding] = function.returns.names[0]

    def class_(self, node: ast.ClassDeclaration) -> None:
        self._names[node.binding] = node.name
        self._inference.results[node.binding] = node.name
        if node.constructor is not None:
            self._parameters[node.binding] = node.constructor.parameters
        parent = node.parent
        self._ancestors[node.name] = parent.name if isinstance(parent, ast.Name) else None

    def struct(self, node: ast.StructDeclaration) -> None:
        self._names[node.binding] = node.name
        self._inference.results[node.binding] = node.name
        self._parameters[node.binding] = node.fields

    def imported(self, name: ast.ImportedName) -> None:
        """A type that is imported under another name has still its own."""
        if name.name != name.exported:
            self._aliases[name.name] = name.exported

    # -- checking ----------------------------------------------------------

    def finish(self, bindings: list[Binding]) -> None:
        """Make all checks."""
        # A name that is declared twice has been complained about.
        self._inference.unreliable = self.assigned
        for type_, what, value in self._values:
            self._check(type_, what, value)
        for call in self._calls:
            callee = call.callee
            assert isinstance(callee, ast.Name)
            parameters = self._parameters.get(callee.binding)
            if parameters is not None and callee.binding not in self.assigned:
                self._check_call(call, parameters, self._names[callee.binding])

    def _check(
        self, type_: ast.Type, what: str, value: ast.Expression, nullable: bool = False
    ) -> None:
        found = self._inference.type_of(value)
        if not found or not type_.names or self._fits(found, type_.names):
            return
        if nullable and found == "null":
            return
        line, column = beginning(value)
        self._complain(f"{what} {type_.text}, not {found}", line, column, 1)

    def _check_call(self, call: ast.Call, parameters: list[ast.Parameter], name: str) -> None:
        by_name = {parameter.name: parameter for parameter in parameters}
        for position, argument in enumerate(call.arguments):
            if isinstance(argument.value, ast.Spread):
                return
            if argument.name:
                parameter = by_name.get(argument.name)
            elif position < len(parameters):
                parameter = parameters[position]
            else:
                parameter = None
            if parameter is None or parameter.kind is ParameterKind.VARIADIC:
                return
            if parameter.type is not None:
                self._check(
                    parameter.type,
                    f'argument "{parameter.name}" of {name}() must be',
                    argument.value,
                    nullable=parameter.kind is ParameterKind.OPTIONAL,
                )

    def _fits(self, found: str, names: list[str]) -> bool:
        seen: set[str] = set()
        while found not in names:
            seen.add(found)
            if found not in self._ancestors:
                return False
            parent = self._ancestors[found]
            if parent is None or parent in seen:
                # No parent, or one that is not known here.
                return False
            found = parent
        return True
