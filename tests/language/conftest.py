"""The whole chain from source to output, in one process and without a host."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hookspecs.bytecode import encode
from hookspecs.contracts.vm import Exit, Output, Program, ProgramModule
from hookspecs.diagnostics import Diagnostic
from noodle_host.source import imported_file

PLUGINS = Path(__file__).parents[2] / "plugins"
KINDS = ("lexer", "parser", "optimizer", "bytecode_generator", "vm")
#: No program here needs a tenth of it.
RUN_LIMIT_S = 60.0


@dataclass
class Compiled:
    """``program`` is None if ``diagnostics``, in the order of the modules, has an error."""

    program: Program | None
    diagnostics: list[Diagnostic]


@dataclass
class Ran:
    """``stderr`` is what the run command writes about the error, if there is one."""

    stdout: str
    stderr: str
    status: int
    instructions: int


@dataclass
class _Compilation:
    """One program: each module once, after those it imports."""

    chain: Chain
    root: Path
    with_optimizer: bool
    modules: dict[str, ProgramModule] = field(default_factory=dict)
    exports: dict[str, set[str]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def compile(self, file: str) -> bool:
        """Compile ``file`` unless that has been done; tell whether it has no errors."""
        if file in self.modules or file in self.failed:
            return file in self.modules
        source = (self.root / file).read_text(encoding="utf-8")
        lexed = self.chain.lexer.tokenize(source, file)
        parsed = self.chain.parser.parse(lexed.tokens, file)
        found = [*lexed.diagnostics, *parsed.diagnostics]
        exports = self.exports[file] = set(parsed.exports)
        imports: dict[str, str] = {}
        self.open.append(file)
        imports_are_right = True
        for wanted in parsed.imports:
            target = imported_file(file, wanted.path)
            problem = self._problem(wanted.path, target)
            if problem:
                found.append(_error(problem, file, wanted.line, wanted.column))
            elif not self.compile(target):
                imports_are_right = False
            else:
                imports[wanted.path] = target
                exports |= self.exports[target] if wanted.exports_all else set()
                found += [
                    _error(
                        f'module "{wanted.path}" has no export "{asked.name}"',
                        file,
                        asked.line,
                        asked.column,
                    )
                    for asked in wanted.names
                    if asked.name not in self.exports[target]
                ]
        self.open.pop()
        self.diagnostics += sorted(found, key=lambda d: (d.line, d.column))
        if not imports_are_right or any(d.severity == "error" for d in found):
            self.failed.add(file)
            return False
        tree = parsed.module
        if self.with_optimizer:
            tree = self.chain.optimizer.optimize(tree).module
        generated = self.chain.bytecode_generator.generate(tree)
        self.diagnostics += generated.diagnostics
        self.modules[file] = ProgramModule(file, generated.code, imports)
        return True

    def _problem(self, path: str, target: str) -> str:
        if not (self.root / target).is_file():
            return f'cannot find module "{path}"'
        if target in self.open:
            cycle = [*self.open[self.open.index(target) :], target]
            return f"import cycle: {' -> '.join(cycle)}"
        return ""


def _error(message: str, file: str, line: int, column: int) -> Diagnostic:
    return Diagnostic("error", "semantic_analysis", message, file, line, column)


class Chain:
    """The five plugins, as their manifests name them; each is loaded when it is needed."""

    def __getattr__(self, kind: str) -> Any:
        if kind not in KINDS:
            raise AttributeError(kind)
        plugin = _plugin(kind)
        setattr(self, kind, plugin)
        return plugin

    def compile(self, root: Path, file: str, *, optimizer: bool = True) -> Compiled:
        """Compile ``root/file``; ``file`` is what messages call it."""
        compilation = _Compilation(self, root, optimizer)
        is_right = compilation.compile(os.path.normpath(file))
        program = Program(list(compilation.modules.values())) if is_right else None
        return Compiled(program, compilation.diagnostics)

    def run(self, program: Program) -> Ran:
        """Run to the end, but no longer than RUN_LIMIT_S."""
        printed: list[str] = []
        last: Exit | None = None
        give_up = time.monotonic() + RUN_LIMIT_S
        for event in self.vm.run(program):
            assert last is None, "an event after Exit"
            assert time.monotonic() < give_up, "the program does not end"
            if isinstance(event, Output):
                printed.append(event.text)
            elif isinstance(event, Exit):
                last = event
        assert last is not None, "no Exit"
        lines = [] if last.error is None else [last.error, *last.stack]
        stderr = "".join(line + "\n" for line in lines)
        return Ran("".join(printed), stderr, last.status, last.instructions)

    def run_file(self, root: Path, file: str, *, optimizer: bool) -> Ran:
        """Compile and run a program that has nothing to complain about."""
        compiled = self.compile(root, file, optimizer=optimizer)
        assert compiled.diagnostics == []
        assert compiled.program is not None
        return self.run(compiled.program)


def _plugin(kind: str) -> Any:
    folder = PLUGINS / kind / "1.0.0"
    manifest = tomllib.loads((folder / "component.toml").read_text(encoding="utf-8"))
    module, _, name = manifest["component"]["entry_point"].partition(":")
    return getattr(importlib.import_module(module), name)()


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """The plugins, importable for as long as the tests run."""
    folders = [str(PLUGINS / kind / "1.0.0") for kind in KINDS]
    sys.path[:0] = folders
    try:
        yield Chain()
    finally:
        for folder in folders:
            sys.path.remove(folder)


class Nbc:
    """Programs of hand-written bytecode; see ``nbc_assembler.py``."""

    def __init__(self, chain: Chain) -> None:
        path = Path(__file__).with_name("nbc_assembler.py")
        spec = importlib.util.spec_from_file_location("nbc_assembler", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.chain = chain
        self.assemble = module.assemble
        self.stack_size = module.stack_size

    def program(self, text: str, **tables: Any) -> Program:
        module = self.assemble(text, **tables)
        return Program([ProgramModule(module.file, encode(module), {})])

    def run(self, text: str, **tables: Any) -> Ran:
        return self.chain.run(self.program(text, **tables))

    def prints(self, text: str, **tables: Any) -> str:
        """What a program prints that ends without an error."""
        ran = self.run(text, **tables)
        assert (ran.stderr, ran.status) == ("", 0)
        return ran.stdout


@pytest.fixture(scope="session")
def nbc(chain: Chain) -> Nbc:
    return Nbc(chain)
