"""Which variable a name means.

The rules of the language, where its page leaves a choice:

* What is declared with a word (``let``, ``var``, ``const``, ``function``, ``class``, ...)
  belongs to its whole block: any use of the name in the block means it,
  also before the declaration, where it has no value yet (functions have).
* A plain assignment changes the variable that is visible at that point of the
  text, and otherwise declares one in the innermost block.
* Within a function, a name that is not visible yet may be declared by a plain
  assignment further down in an enclosing block.
* What a loop's head assigns to is always a new variable.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from hookspecs import ast
from hookspecs.ast import Binding, BindingKind


class Unresolved(NamedTuple):
    """A use of a name that was not visible; ``known`` is what was, or None if it was not kept."""

    node: ast.Name
    known: list[str] | None
    depth: int
    order: int


class Scope:
    """A block, the parameters of a function, or an arm of a match."""

    __slots__ = ("declared", "depth", "order", "own", "shadowed")

    def __init__(self, depth: int, order: int) -> None:
        self.own: dict[str, int] = {}
        #: Names whose declaration with a word has been passed, and the word.
        self.declared: dict[str, str] = {}
        self.shadowed: list[tuple[str, int | None]] = []
        self.depth = depth
        self.order = order


class Scopes:
    """The open scopes, seen as one table: a look-up takes one step."""

    def __init__(self, most_suggestions: int = 100) -> None:
        self.bindings: list[Binding] = []
        self.visible: dict[str, int] = {}
        #: How many functions are open.
        self.depth = 0
        self.stack: list[Scope] = []
        self.unresolved: list[Unresolved] = []
        self._waiting: dict[str, list[Unresolved]] = {}
        self._order = 0
        self._suggestions_left = most_suggestions

    @property
    def innermost(self) -> Scope:
        return self.stack[-1]

    def open(self) -> Scope:
        self._order += 1
        scope = Scope(self.depth, self._order)
        self.stack.append(scope)
        return scope

    def close(self) -> None:
        scope = self.stack.pop()
        if self._waiting:
            self._resolve_waiting(scope)
        visible = self.visible
        for name, before in reversed(scope.shadowed):
            if before is None:
                del visible[name]
            else:
                visible[name] = before

    def declare(self, name: str, kind: BindingKind) -> int:
        """Add a variable to the innermost scope."""
        scope = self.stack[-1]
        binding = self.add(name, kind)
        scope.shadowed.append((name, self.visible.get(name)))
        scope.own[name] = self.visible[name] = binding
        return binding

    def add(self, name: str, kind: BindingKind) -> int:
        """Add a variable that no name means."""
        self.bindings.append(Binding(name, kind))
        return len(self.bindings) - 1

    def postpone(self, node: ast.Name) -> None:
        """Remember a use of a name that is not visible."""
        known: list[str] | None = None
        # Every list is as long as the scopes are wide; one for each of a thousand
        # errors would help no one.
        if self._suggestions_left:
            self._suggestions_left -= 1
            known = list(self.visible)
        self._order += 1
        use = Unresolved(node, known, self.depth, self._order)
        if self.depth:
            self._waiting.setdefault(node.name, []).append(use)
        else:
            self.unresolved.append(use)

    def finish(self) -> list[Unresolved]:
        """All uses of names that are not declared where they could be."""
        for uses in self._waiting.values():
            self.unresolved += uses
        self._waiting.clear()
        return self.unresolved

    def _resolve_waiting(self, scope: Scope) -> None:
        """A function within this scope may have used a name that it declared later."""
        names = scope.own if len(scope.own) < len(self._waiting) else self._waiting
        for name in [name for name in names if name in self._waiting and name in scope.own]:
            uses = self._waiting[name]
            # The uses within the scope are the latest ones.
            first = len(uses)
            while first and uses[first - 1].order > scope.order:
                first -= 1
            within = uses[first:]
            del uses[first:]
            for use in within:
                if use.depth > scope.depth:
                    msgspec.structs.force_setattr(use.node, "binding", scope.own[name])
                else:
                    uses.append(use)
            if not uses:
                del self._waiting[name]
