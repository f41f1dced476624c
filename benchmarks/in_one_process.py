"""The five components in one process, called directly: what isolation is measured against."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hookspecs.contracts.vm import Exit, Output, Program, ProgramModule
from noodle_host import RuntimeComponentRegistry
from noodle_host.source import imported_file, read_source


class Chain:
    """Compiles and runs a program by plain calls."""

    def __init__(self) -> None:
        registry = RuntimeComponentRegistry()
        self._lexer, self._parser, self._optimizer, self._generator, self._vm = (
            self._load(registry, name)
            for name in ("lexer", "parser", "optimizer", "bytecode_generator", "vm")
        )

    @staticmethod
    def _load(registry: RuntimeComponentRegistry, name: str) -> Any:
        manifest = registry.manifest(name)
        sys.path.insert(0, str(manifest.root))
        module, _, attribute = manifest.entry_point.partition(":")
        return getattr(importlib.import_module(module), attribute)()

    def run(self, file: str) -> str:
        """Return what the program prints."""
        modules: dict[str, ProgramModule] = {}
        self._compile(file, modules)
        printed = []
        for event in self._vm.run(Program(list(modules.values()))):
            if isinstance(event, Output):
                printed.append(event.text)
            elif isinstance(event, Exit) and event.status:
                raise RuntimeError(event.error)
        return "".join(printed)

    def _compile(self, file: str, modules: dict[str, ProgramModule]) -> None:
        tokens = self._lexer.tokenize(read_source(Path(file)), file).tokens
        parsed = self._parser.parse(tokens, file)
        imports = {}
        for wanted in parsed.imports:
            target = imports[wanted.path] = imported_file(file, wanted.path)
            if target not in modules:
                self._compile(target, modules)
        better = self._optimizer.optimize(parsed.module).module
        modules[file] = ProgramModule(file, self._generator.generate(better).code, imports)


def _serve(connection: Connection) -> None:
    # As in a worker: syntax trees are deep.
    sys.setrecursionlimit(10_000)
    chain = Chain()
    connection.send(None)
    while True:
        try:
            file = connection.recv()
        except EOFError:
            return
        began = time.perf_counter()
        printed = chain.run(file)
        connection.send((time.perf_counter() - began, printed))


class OneProcess:
    """A process of its own, so that both sides have one that does nothing else."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._near, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far,), daemon=True)
        self._process.start()
        far.close()
        self._near.recv()

    def run(self, file: str) -> tuple[float, str]:
        """Run a program; return the seconds it took there, and what it printed."""
        self._near.send(file)
        seconds, printed = self._near.recv()
        return seconds, printed

    def close(self) -> None:
        self._near.close()
        self._process.join()
