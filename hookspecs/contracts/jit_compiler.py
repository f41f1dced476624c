"""The contract of kind ``jit_compiler``: hot NBC functions to machine code."""

from __future__ import annotations

import msgspec

from ..markers import hookspec, query


class CompiledFunction(msgspec.Struct, frozen=True, array_like=True):
    """Relocatable machine code of one function, for one target and signature.

    ``object_code`` is None when the function cannot be compiled; ``reason``
    then says why, in words a person reads.
    """

    object_code: bytes | None
    symbol: str = ""
    target: str = ""
    reason: str = ""


class JitStatistics(msgspec.Struct, frozen=True, array_like=True):
    functions_profiled: int
    functions_compiled: int
    cache_hits: int
    cache_bytes: int


class JitCompilerSpec:
    @hookspec(firstresult=True)
    def compile_function(
        self, module_code: bytes, function_index: int, argument_types: list[str]
    ) -> CompiledFunction:
        """Compile one function of an NBC module for arguments of these types."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    @query
    def statistics(self) -> JitStatistics:
        """What was compiled since the start, and how much of it is kept."""
        raise NotImplementedError
