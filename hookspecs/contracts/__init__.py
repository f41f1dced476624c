"""The contracts of the eight kinds of component.

Each module holds one kind: the hooks that a component of the kind implements
and the types that they speak. They are imported one by one, on demand: a
plugin pays only for its own kind.
"""

from __future__ import annotations

import importlib
from typing import Final

#: kind -> "module:class" of its contract. The kind "service" has none.
KINDS: Final[dict[str, str | None]] = {
    "service": None,
    "lexer": "hookspecs.contracts.lexer:LexerSpec",
    "parser": "hookspecs.contracts.parser:ParserSpec",
    "optimizer": "hookspecs.contracts.optimizer:OptimizerSpec",
    "bytecode_generator": "hookspecs.contracts.bytecode_generator:BytecodeGeneratorSpec",
    "vm": "hookspecs.contracts.vm:VmSpec",
    "jit_compiler": "hookspecs.contracts.jit_compiler:JitCompilerSpec",
    "memory_manager": "hookspecs.contracts.memory_manager:MemoryManagerSpec",
    "agent": "hookspecs.contracts.agent:AgentSpec",
}


def load_contract(kind: str) -> type | None:
    """Import the contract class of a kind; None for kinds without one.

    Raises:
        KeyError: there is no such kind.
    """
    where = KINDS[kind]
    if where is None:
        return None
    module_name, _, class_name = where.partition(":")
    contract: type = getattr(importlib.import_module(module_name), class_name)
    return contract
