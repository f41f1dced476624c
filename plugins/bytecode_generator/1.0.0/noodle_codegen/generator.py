"""The component: a tree to one module of NBC."""

from __future__ import annotations

import sys
from typing import Final

from hookspecs import ast, hookimpl, query
from hookspecs.bytecode import encode
from hookspecs.contracts.bytecode_generator import GenerateResult

from .declarations import generate_body
from .tables import Tables
from .unit import Shared
from .variables import place_variables

# The parser lets through 500 levels of nesting around 2,000 of operators and calls, and each
# takes a few calls of Python functions, which need none of the machine's stack.
_RECURSION_LIMIT: Final = 40_000


class BytecodeGenerator:
    """Kind ``bytecode_generator``; holds nothing between calls."""

    @hookimpl
    @query
    def generate(self, module: ast.Module) -> GenerateResult:
        """Generate bytecode for a tree without errors."""
        tables = Tables(module.file)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
        try:
            shared = Shared(module, tables, place_variables(module), [])
            generate_body(shared)
        finally:
            sys.setrecursionlimit(limit)
        made = tables.module
        statistics = {
            "instructions": sum(len(function.instructions) for function in made.functions),
            "constants": len(made.constants),
            "functions": len(made.functions),
        }
        return GenerateResult(encode(made), shared.diagnostics, statistics)
