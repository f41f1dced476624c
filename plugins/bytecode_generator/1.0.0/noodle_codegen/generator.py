"""The component: a tree to one module of NBC."""

from __future__ import annotations

import sys

from hookspecs import ast, hookimpl, query
from hookspecs.bytecode import encode
from hookspecs.contracts.bytecode_generator import GenerateResult

from .declarations import generate_body
from .tables import Tables
from .unit import Shared
from .variables import place_variables

# A tree may be some 1,500 levels deep, and each takes a few calls.
_RECURSION_LIMIT = 10_000


class BytecodeGenerator:
    """Kind ``bytecode_generator``; holds nothing between calls."""

    def __init__(self) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))

    @hookimpl
    @query
    def generate(self, module: ast.Module) -> GenerateResult:
        """Generate bytecode for a tree without errors."""
        tables = Tables(module.file)
        shared = Shared(module, tables, place_variables(module), [])
        generate_body(shared)
        made = tables.module
        statistics = {
            "instructions": sum(len(function.instructions) for function in made.functions),
            "constants": len(made.constants),
            "functions": len(made.functions),
        }
        return GenerateResult(encode(made), shared.diagnostics, statistics)
