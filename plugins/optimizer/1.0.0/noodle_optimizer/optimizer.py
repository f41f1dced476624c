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
# The parser lets through 500 levels of nesting around 2,000 of operators and calls, and each
# takes a few calls of Python functions, which need none of the machine's stack.
_RECURSION_LIMIT: Final = 40_000

_PASSES: Final[dict[str, Callable[[Uses], Rewriter]]] = {
    "constant_folding": lambda _: Folding(),
    "constant_propagation": ConstantPropagation,
    "copy_propagation": CopyPropagation,
    "dead_code_elimination": DeadCode,
}


class Optimizer:
    """Kind ``optimizer``; holds nothing between calls."""

    @hookimpl
    @query
    def optimize(self, module: ast.Module) -> OptimizeResult:
        """Rewrite a tree without diagnostics; never changes what it does."""
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
        try:
            return _optimized(module)
        finally:
            sys.setrecursionlimit(limit)


def _optimized(module: ast.Module) -> OptimizeResult:
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
