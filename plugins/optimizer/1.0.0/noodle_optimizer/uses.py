"""How often each variable is used, and which ever change."""

from __future__ import annotations

from collections import Counter

from hookspecs import ast

from .rewriter import Rewriter


class Uses(Rewriter):
    """Counts; changes nothing.

    ``uses`` counts where a variable is read, assigned to or exported, besides
    its declarations; ``changed`` has those that are assigned to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uses: Counter[int] = Counter()
        self.changed: set[int] = set()
        self.declared: Counter[int] = Counter()

    def is_fixed(self, binding: int) -> bool:
        """Whether a variable keeps the one value that it is given."""
        return binding not in self.changed and self.declared[binding] <= 1

    def leave_Name(self, node: ast.Name) -> ast.Name:  # noqa: N802
        self.uses[node.binding] += 1
        return node

    def leave_SuperMember(self, node: ast.SuperMember) -> ast.SuperMember:  # noqa: N802
        self.uses[node.own_class] += 1
        self.uses[node.receiver] += 1
        return node

    def leave_ExportedName(self, node: ast.ExportedName) -> ast.ExportedName:  # noqa: N802
        # Importers see the variable: it can be neither removed nor replaced.
        self._changed(node.binding)
        return node

    def leave_Declare(self, node: ast.Declare) -> ast.Declare:  # noqa: N802
        self.declared[node.binding] += 1
        return node

    def leave_UnpackTarget(self, node: ast.UnpackTarget) -> ast.UnpackTarget:  # noqa: N802
        if node.declares:
            self.declared[node.binding] += 1
        else:
            self._changed(node.binding)
        return node

    def leave_Assign(self, node: ast.Assign) -> ast.Assign:  # noqa: N802
        if isinstance(node.target, ast.Name):
            self._changed(node.target.binding)
        return node

    def leave_CompoundAssign(  # noqa: N802
        self, node: ast.CompoundAssign
    ) -> ast.CompoundAssign:
        if isinstance(node.target, ast.Name):
            self._changed(node.target.binding)
        return node

    def _changed(self, binding: int) -> None:
        self.uses[binding] += 1
        self.changed.add(binding)


def uses_of(part: ast.Module | list[ast.Statement]) -> Uses:
    """Count the uses in a module, or in some statements."""
    uses = Uses()
    if isinstance(part, ast.Module):
        uses.module(part)
    else:
        uses.items(part)
    return uses
