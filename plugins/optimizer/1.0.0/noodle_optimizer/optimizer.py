"""The component: passes in turn until none finds anything to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from hookspecs import ast, hookimpl, query
from hookspecs.contracts.optimizer import OptimizeResult

from .constant_propagation import ConstantPropagation
from .copy_propagation import CopyPropagation
from .dead_code import DeadCode
from .folding import Folding
from .rewriter import Rewriter
from .uses import Uses, uses_of

#: One pass makes work for another; what is left after that many rounds stays.
MAX_ROUNDS: Final = 8
# A tree may be some 1,500 levels deep, and each takes a few calls.
_RECURSION_LIMIT: Final = 10_000


_PASSES: Final[dict[str, Callable[[Uses], Rewriter]]] = {
    "constant_folding": lambda _: Folding(),
    "constant_propagation": ConstantPropagation,
    "copy_propagation": CopyPropagation,
    "dead_code_elimination": DeadCode,
}


class Optimizer:
    """Kind ``optimizer``; holds nothing between calls."""

    def __init__(self) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))

    @hookimpl
    @query
    def optimize(self, module: ast.Module) -> OptimizeResult:
        """Rewrite a tree without diagnostics; never changes what it does."""
        report = dict.fromkeys(_PASSES, 0)
        uses, counted = uses_of(module), module
        idle = 0
        for name in list(_PASSES) * MAX_ROUNDS:
            if counted is not module:
                uses, counted = uses_of(module), module
            rewriter = _PASSES[name](uses)
            module = rewriter.module(module)
            report[name] += rewriter.count
            idle = 0 if rewriter.count else idle + 1
            if idle == len(_PASSES):
                break
        return OptimizeResult(module, report)
