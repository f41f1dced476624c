"""Noodle programs through a host's components: compile and run.

Between the stages the data stays as the components encoded it: the host passes
tokens and trees on without decoding them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from hookspecs.contracts.bytecode_generator import GenerateResult
from hookspecs.contracts.parser import Import
from hookspecs.contracts.vm import Program, ProgramModule, RunEvent
from hookspecs.diagnostics import Diagnostic

from .host import Host
from .source import imported_file, read_source

#: The components that compile, in the order of the stages.
COMPILER: Final = ("lexer", "parser", "optimizer", "bytecode_generator")
RUNTIME: Final = "vm"
PIPELINE: Final = (*COMPILER, RUNTIME)
#: Modules of which each imports the next one; a chain that long is a mistake.
MAX_IMPORT_DEPTH: Final = 100


class _Lexed(msgspec.Struct, array_like=True):
    tokens: msgspec.Raw
    diagnostics: list[Diagnostic]


class _Parsed(msgspec.Struct, array_like=True):
    module: msgspec.Raw
    imports: list[Import]
    exports: list[str]
    diagnostics: list[Diagnostic]


class _Optimized(msgspec.Struct, array_like=True):
    module: msgspec.Raw
    report: dict[str, int]


@dataclass
class Compilation:
    """What came of compiling a file and what it imports.

    ``program`` is None if a diagnostic is an error. ``sources`` holds the text
    of each file by its name in the diagnostics; ``optimizations`` counts what
    the optimizer did.
    """

    program: Program | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, int] = field(default_factory=dict)
    optimizations: dict[str, int] = field(default_factory=dict)
    compilation_time_s: float = 0.0

    @property
    def success(self) -> bool:
        return self.program is not None


class Programs:
    """Compiles and runs Noodle programs on a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self, versions: Mapping[str, str] | None = None) -> dict[str, str]:
        """Start the five components; return the version of each.

        ``versions`` maps a component to a version or a PEP 440 range.
        """
        wanted = versions or {}
        infos = self._host.start_all({name: wanted.get(name) for name in PIPELINE})
        return {info.name: info.version for info in infos}

    def compile(self, path: Path) -> Compilation:
        """Compile a file and the modules that it imports.

        Raises:
            SourceError: a file cannot be read, or is not UTF-8.
            HostError: a component failed.
        """
        began = time.perf_counter()
        compilation = Compilation()
        _Compiler(self._host, compilation).compile(str(path))
        compilation.compilation_time_s = time.perf_counter() - began
        return compilation

    def run(self, program: Program, timeout: float | None = None) -> Iterator[RunEvent]:
        """Run a program; yield what it prints as it prints it, and last its Exit.

        Raises:
            CallTimeout: it did not end within ``timeout`` seconds.
        """
        return self._host.stream(RUNTIME, "run", program, timeout=timeout)


class _Compiler:
    """Compiles one program: each module once, after those it imports."""

    def __init__(self, host: Host, compilation: Compilation) -> None:
        self._host = host
        self._result = compilation
        #: By real path, in the order to initialize; the files whose imports are
        #: being compiled, from the main one; the files that have errors.
        self._modules: dict[str, ProgramModule] = {}
        self._exports: dict[str, set[str]] = {}
        self._open: dict[str, str] = {}
        self._failed: set[str] = set()

    def compile(self, file: str) -> None:
        self._compile_module(file)
        if not self._failed:
            self._result.program = Program(list(self._modules.values()))

    def _compile_module(self, file: str) -> str | None:
        """Return the name of the module; None if it, or one it imports, has errors."""
        identity = os.path.realpath(file)
        if identity in self._failed:
            return None
        if identity in self._modules:
            return self._modules[identity].name
        source = self._result.sources[file] = read_source(Path(file))
        parsed = self._parse(source, file)
        self._open[identity] = file
        found: list[Diagnostic] = [*parsed.diagnostics]
        imports: dict[str, str] = {}
        exports = self._exports[identity] = set(parsed.exports)
        for wanted in parsed.imports:
            target = imported_file(file, wanted.path)
            problem = self._cannot_import(wanted, target)
            if problem:
                found.append(_error(problem, file, wanted.line, wanted.column, len(wanted.path)))
                continue
            name = self._compile_module(target)
            if name is None:
                self._failed.add(identity)
                continue
            imports[wanted.path] = name
            seen = self._exports[os.path.realpath(target)]
            if wanted.exports_all:
                exports |= seen
            found += [
                _error(
                    f'module "{wanted.path}" has no export "{asked.name}"',
                    file,
                    asked.line,
                    asked.column,
                    len(asked.name),
                )
                for asked in wanted.names
                if asked.name not in seen
            ]
        del self._open[identity]
        self._report(found)
        if any(diagnostic.severity == "error" for diagnostic in found):
            self._failed.add(identity)
        if identity in self._failed:
            return None
        self._modules[identity] = ProgramModule(file, self._generate(parsed.module), imports)
        return file

    def _cannot_import(self, wanted: Import, target: str) -> str:
        if not os.path.isfile(target):
            return f'cannot find module "{wanted.path}"'
        identity = os.path.realpath(target)
        if identity in self._open:
            files = list(self._open.items())
            start = [real for real, _ in files].index(identity)
            chain = [shown for _, shown in files[start:]]
            return f"import cycle: {' -> '.join([*chain, chain[0]])}"
        if len(self._open) >= MAX_IMPORT_DEPTH:
            return f"more than {MAX_IMPORT_DEPTH} modules import one another in a row"
        return ""

    def _parse(self, source: str, file: str) -> _Parsed:
        call = self._host.call
        lexed = call("lexer", "tokenize", source, file, result_type=_Lexed)
        # The parser goes on after errors of the lexer: every error of a file at once.
        parsed: _Parsed = call("parser", "parse", lexed.tokens, file, result_type=_Parsed)
        parsed.diagnostics += lexed.diagnostics
        return parsed

    def _generate(self, module: msgspec.Raw) -> bytes:
        call = self._host.call
        optimized = call("optimizer", "optimize", module, result_type=_Optimized)
        _add(self._result.optimizations, optimized.report)
        generated = call(
            "bytecode_generator", "generate", optimized.module, result_type=GenerateResult
        )
        self._report(generated.diagnostics)
        _add(self._result.statistics, generated.statistics)
        code: bytes = generated.code
        return code

    def _report(self, diagnostics: list[Diagnostic]) -> None:
        self._result.diagnostics += sorted(diagnostics, key=lambda d: (d.line, d.column))


def _error(message: str, file: str, line: int, column: int, length: int) -> Diagnostic:
    return Diagnostic("error", "semantic_analysis", message, file, line, column, max(1, length))


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value
