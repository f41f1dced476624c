"""What all parts of the walk over a read tree share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import force_setattr

from hookspecs import ast
from hookspecs.ast import BUILTIN, BindingKind
from hookspecs.diagnostics import Diagnostic

from .checks import Checks
from .known_names import BUILTIN_NAMES, BUILTIN_TYPES, LATER_TYPES, did_you_mean
from .scopes import Scopes
from .statements import Statements

_TYPE_KINDS = frozenset(
    (BindingKind.CLASS, BindingKind.STRUCT, BindingKind.ENUM, BindingKind.IMPORT)
)
# More would not help, and each compares with all names.
_MOST_SUGGESTIONS = 100


class FunctionContext:
    """The function that the walk is in: what ``return``, ``break`` and ``self`` mean there.

    ``function`` is None in the body of the file. ``receiver`` is that of the
    innermost method around it, or BUILTIN.
    """

    __slots__ = ("function", "loops", "receiver")

    def __init__(self, function: ast.Function | None, receiver: int) -> None:
        self.function = function
        self.receiver = receiver
        self.loops = 0


class ClassContext:
    """The class that the walk is in; ``own_class`` is made when super is first used."""

    __slots__ = ("has_parent", "name", "own_class")

    def __init__(self, name: str, has_parent: bool) -> None:
        self.name = name
        self.has_parent = has_parent
        self.own_class = BUILTIN


class Walk:
    """The base of the walk.

    ``grammar`` is what has read the tree: it knows how declarations are
    spelled, and which names may be missing because of its errors.
    """

    def __init__(self, grammar: Statements, file: str) -> None:
        self.grammar = grammar
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.scopes = Scopes(_MOST_SUGGESTIONS)
        self.checks = Checks(self.complain)
        #: With braces missing nobody knows what is inside of what.
        self.knows_blocks = grammar.brackets.braces_match
        self.function = FunctionContext(None, BUILTIN)
        self.class_: ClassContext | None = None
        self._unknown_types = 0
        #: By class of node. A statement's may return another one to stand in its place.
        self.visitors: dict[type[Any], Callable[[Any], ast.Statement | None]] = {}

    def visit(self, node: ast.Node) -> None:
        """Visit an expression."""
        self.visitors[type(node)](node)

    # -- complaining -------------------------------------------------------

    def complain(self, message: str, line: int, column: int, length: int = 1) -> None:
        self.diagnostics.append(
            Diagnostic("error", "semantic_analysis", message, self.file, line, column, length)
        )

    def complain_of_place(self, message: str, node: ast.Node, length: int) -> None:
        """Complain that something stands where it must not, if that is known."""
        if self.knows_blocks:
            self.complain(message, node.line, node.column, length)

    # -- names -------------------------------------------------------------

    def name(self, node: ast.Name) -> None:
        """Find the variable that a use of a name means."""
        name = node.name
        binding = self.scopes.visible.get(name)
        if binding is not None:
            force_setattr(node, "binding", binding)
        elif name == "self":
            if self.function.receiver == BUILTIN:
                self.complain_of_place("self outside a class", node, 4)
            force_setattr(node, "binding", self.function.receiver)
        elif name not in BUILTIN_NAMES:
            self.scopes.postpone(node)

    def annotation(self, type_: ast.Type | None) -> None:
        """Check the names in an annotation, which come from the places in the source."""
        if type_ is None:
            return
        for name, line, column in self.grammar.type_references[id(type_)]:
            binding = self.scopes.visible.get(name)
            if binding is not None and self.scopes.bindings[binding].kind in _TYPE_KINDS:
                continue
            if name in BUILTIN_TYPES:
                continue
            # Nothing can be proved about it.
            type_.names.clear()
            if name in self.grammar.skipped_names:
                continue
            if name in LATER_TYPES:
                self.complain(f"not supported yet: {name}", line, column, len(name))
                continue
            self._unknown_types += 1
            near = ""
            if self._unknown_types <= _MOST_SUGGESTIONS:
                near = did_you_mean(name, [*BUILTIN_TYPES, *self._visible_types()])
            self.complain(f'unknown type "{name}"{near}', line, column, len(name))

    def _visible_types(self) -> list[str]:
        bindings = self.scopes.bindings
        visible = self.scopes.visible.items()
        return [name for name, binding in visible if bindings[binding].kind in _TYPE_KINDS]

    def report_undefined(self) -> None:
        """Report the names that are declared nowhere, when all has been walked over."""
        hidden = set(self.grammar.skipped_names)
        if not self.knows_blocks:
            hidden |= {binding.name for binding in self.scopes.bindings}
        for use in self.scopes.finish():
            name = use.node.name
            if name not in hidden:
                near = ""
                if use.known is not None:
                    near = did_you_mean(name, [*use.known, *BUILTIN_NAMES])
                message = f'undefined name "{name}"{near}'
                self.complain(message, use.node.line, use.node.column, len(name))
