"""The contract of kind ``bytecode_generator``: a tree to NBC."""

from __future__ import annotations

import msgspec

from .. import ast
from ..diagnostics import Diagnostic
from ..markers import hookspec, query


class GenerateResult(msgspec.Struct, frozen=True, array_like=True):
    """``code`` is one module in the binary form of :mod:`hookspecs.bytecode`.

    It holds the source map. Statistics: ``instructions``, ``constants``,
    ``functions``.
    """

    code: bytes
    diagnostics: list[Diagnostic]
    statistics: dict[str, int]


class BytecodeGeneratorSpec:
    @hookspec(firstresult=True)
    @query
    def generate(self, module: ast.Module) -> GenerateResult:
        """Generate bytecode for a tree without errors."""
        raise NotImplementedError
