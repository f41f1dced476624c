"""The contract of kind ``optimizer``: a tree to a better tree that means the same."""

from __future__ import annotations

import msgspec

from .. import ast
from ..markers import hookspec, query


class OptimizeResult(msgspec.Struct, frozen=True, array_like=True):
    """The new tree; ``report`` counts what was done, by the name of the pass."""

    module: ast.Module
    report: dict[str, int]


class OptimizerSpec:
    @hookspec(firstresult=True)
    @query
    def optimize(self, module: ast.Module) -> OptimizeResult:
        """Rewrite a tree without diagnostics; never changes what it does."""
        raise NotImplementedError
