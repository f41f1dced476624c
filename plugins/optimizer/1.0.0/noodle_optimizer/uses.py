"""How often each variable is read, and which ever change."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hookspecs import ast

from .rewriter import Rewriter


class Uses(Rewriter):
    """Counts; changes nothing.

    ``reads`` counts where a variable is read, exports included; ``changed`` has
    those that are assigned to besides their declaration.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[int] = Counter()
        self.changed: set[int] = set()
        self.declared: Counter[int] = Counter()

    def is_fixed(self, binding: int) -> bool:
        """Whether a variable keeps the one value that it is given."""
        return binding not in self.changed and self.declared[binding] <= 1

    def leave_Name(self, node: ast.Name) -> ast.Name:  # noqa: N802
        self.reads[node.binding] += 1
        return node

    def leave_SuperMember(self, node: ast.SuperMember) -> ast.SuperMember:  # noqa: N802
        self.reads[node.own_class] += 1
        self.reads[node.receiver] += 1
        return node

    def leave_ExportedName(self, node: ast.ExportedName) -> ast.ExportedName:  # noqa: N802
        # Importers see the variable: it can be neither removed nor replaced.
        self.reads[node.binding] += 1
        self.changed.add(node.binding)
        return node

    def leave_Declare(self, node: ast.Declare) -> ast.Declare:  # noqa: N802
        self.declared[node.binding] += 1
        return node

    def leave_UnpackTarget(self, node: ast.UnpackTarget) -> ast.UnpackTarget:  # noqa: N802
        if node.declares:
            self.declared[node.binding] += 1
        else:
            self.changed.add(node.binding)
        return node

    def leave_Assign(self, node: ast.Assign) -> ast.Assign:  # noqa: N802
        self._assigned(node.target)
        return node

    def leave_CompoundAssign(  # noqa: N802
        self, node: ast.CompoundAssign
    ) -> ast.CompoundAssign:
        self._assigned(node.target)
        return node

    def _assigned(self, target: Any) -> None:
        if isinstance(target, ast.Name):
            self.changed.add(target.binding)


def uses_of(part: ast.Module | list[ast.Statement]) -> Uses:
    """Count the uses in a module, or in some statements."""
    uses = Uses()
    if isinstance(part, ast.Module):
        uses.module(part)
    else:
        uses.items(part)
    return uses
