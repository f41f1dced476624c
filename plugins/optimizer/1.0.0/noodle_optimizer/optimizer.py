"""The component: passes in turn until none finds anything to do."""

from __future__ import annotations

import sys
from typing import Final

from hookspecs import ast, hookimpl, query
from hookspecs.contracts.optimizer import OptimizeResult

from .dead_code import DeadCode
from .folding import Folding
from .propagation import ConstantPropagation, CopyPropagation
from .rewriter import Rewriter
from .uses import uses_of

#: One pass makes work for another; what is left after that many rounds stays.
MAX_ROUNDS: Final = 8
# A tree may be some 1,500 levels deep, and each takes a few calls.
_RECURSION_LIMIT: Final = 10_000


class Optimizer:
    """Kind ``optimizer``; holds nothing between calls."""

    def __init__(self) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))

    @hookimpl
    @query
    def optimize(self, module: ast.Module) -> OptimizeResult:
        """Rewrite a tree without diagnostics; never changes what it does."""
        report = dict.fromkeys(
            (
                "constant_folding",
                "constant_propagation",
                "copy_propagation",
                "dead_code_elimination",
            ),
            0,
        )
        for _ in range(MAX_ROUNDS):
            done = 0
            for name in report:
                rewriter = _pass(name, module)
                module = rewriter.module(module)
                report[name] += rewriter.count
                done += rewriter.count
            if not done:
                break
        return OptimizeResult(module, report)


def _pass(name: str, module: ast.Module) -> Rewriter:
    if name == "constant_folding":
        return Folding()
    uses = uses_of(module)
    if name == "constant_propagation":
        return ConstantPropagation(uses)
    if name == "copy_propagation":
        return CopyPropagation(uses)
    return DeadCode(uses)
