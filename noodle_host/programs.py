"""Noodle programs through a host's components: compile and run.

Between the stages the data stays as the components encoded it: the host passes
tokens and trees on without decoding them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from hookspecs.contracts.bytecode_generator import GenerateResult
from hookspecs.contracts.vm import Program, ProgramModule, RunEvent
from hookspecs.diagnostics import Diagnostic

from .errors import SourceError
from .host import Host

#: The components that compile, in the order of the stages.
COMPILER: Final = ("lexer", "parser", "optimizer", "bytecode_generator")
RUNTIME: Final = "vm"
SUFFIX: Final = ".noodle"


class _Lexed(msgspec.Struct, array_like=True):
    tokens: msgspec.Raw
    diagnostics: list[Diagnostic]


class _Parsed(msgspec.Struct, array_like=True):
    module: msgspec.Raw
    imports: list[str]
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
        infos = self._host.start_all(
            {name: wanted.get(name) for name in (*COMPILER, RUNTIME)}
        )
        return {info.name: info.version for info in infos}

    def compile(self, path: Path) -> Compilation:
        """Compile a file and the modules that it imports.

        Raises:
            SourceError: a file cannot be read, or is not UTF-8.
            HostError: a component failed.
        """
        began = time.perf_counter()
        compilation = Compilation()
        modules: dict[Path, ProgramModule] = {}
        self._compile_module(path, str(path), compilation, modules, ())
        if not any(d.severity == "error" for d in compilation.diagnostics):
            compilation.program = Program(list(modules.values()))
        compilation.compilation_time_s = time.perf_counter() - began
        return compilation

    def run(self, program: Program, timeout: float | None = None) -> Iterator[RunEvent]:
        """Run a program; yield what it prints as it prints it, and last its Exit.

        Raises:
            CallTimeout: it did not end within ``timeout`` seconds.
        """
        return self._host.stream(RUNTIME, "run", program, timeout=timeout)

    def _compile_module(
        self,
        path: Path,
        name: str,
        compilation: Compilation,
        modules: dict[Path, ProgramModule],
        importers: tuple[Path, ...],
    ) -> str:
        """Compile one module after those it imports; return its name."""
        identity = path.resolve()
        done = modules.get(identity)
        if done is not None:
            return done.name
        source = read_source(path)
        compilation.sources[name] = source
        parsed = self._parse(source, name, compilation)
        if parsed is None:
            return name
        imports: dict[str, str] = {}
        for written in parsed.imports:
            target = _resolve(path, written)
            problem = ""
            if target.resolve() in (*importers, identity):
                problem = f'"{written}" imports this module in turn'
            elif not target.is_file():
                problem = f'there is no module "{written}"'
            if problem:
                compilation.diagnostics.append(
                    _import_problem(parsed.module, written, name, problem, str(target))
                )
                continue
            imports[written] = self._compile_module(
                target, str(target), compilation, modules, (*importers, identity)
            )
        if not any(d.severity == "error" for d in compilation.diagnostics):
            code = self._generate(parsed.module, compilation)
            modules[identity] = ProgramModule(name, code, imports)
        return name

    def _parse(self, source: str, name: str, compilation: Compilation) -> _Parsed | None:
        call = self._host.call
        lexed = call("lexer", "tokenize", source, name, result_type=_Lexed)
        compilation.diagnostics += lexed.diagnostics
        if any(d.severity == "error" for d in lexed.diagnostics):
            # The parser goes on all the same: every error of a file at once.
            parsed = call("parser", "parse", lexed.tokens, name, result_type=_Parsed)
            compilation.diagnostics += parsed.diagnostics
            compilation.diagnostics.sort(key=lambda d: (d.file, d.line, d.column))
            return None
        parsed = call("parser", "parse", lexed.tokens, name, result_type=_Parsed)
        compilation.diagnostics += parsed.diagnostics
        if any(d.severity == "error" for d in parsed.diagnostics):
            return None
        assert isinstance(parsed, _Parsed)
        return parsed

    def _generate(self, module: msgspec.Raw, compilation: Compilation) -> bytes:
        call = self._host.call
        optimized = call("optimizer", "optimize", module, result_type=_Optimized)
        _add(compilation.optimizations, optimized.report)
        generated = call(
            "bytecode_generator", "generate", optimized.module, result_type=GenerateResult
        )
        compilation.diagnostics += generated.diagnostics
        _add(compilation.statistics, generated.statistics)
        code: bytes = generated.code
        return code


def read_source(path: Path) -> str:
    """Read a source file; raises SourceError that says why it cannot be."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SourceError("there is no such file", where=str(path)) from None
    except IsADirectoryError:
        raise SourceError("it is a directory, not a program", where=str(path)) from None
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise SourceError(
            f"it is not UTF-8: byte 0x{data[error.start]:02x} cannot stand here",
            where=f"{path}:{line}:{column}",
            hint="save the file as UTF-8",
        ) from None


def _resolve(importer: Path, written: str) -> Path:
    target = importer.parent / written
    return target if target.suffix == SUFFIX else target.with_name(target.name + SUFFIX)


def _import_problem(
    module: msgspec.Raw, written: str, file: str, problem: str, looked_at: str
) -> Diagnostic:
    # Only here is the tree decoded: where does the import stand?
    from hookspecs import ast

    tree = msgspec.msgpack.decode(module, type=ast.Module)
    line = column = 1
    for statement in tree.body:
        if getattr(statement, "path", None) == written:
            line, column = statement.line, statement.column
            break
    return Diagnostic(
        "error",
        "semantic_analysis",
        problem,
        file,
        line,
        column,
        expected=f"a module at {looked_at}",
    )


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value
