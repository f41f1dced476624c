"""The texts of a new plugin, one pair for every kind; ``$name`` and so on are filled in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PluginTemplate:
    """The module of a plugin and its test; both are :class:`string.Template` texts."""

    module: str
    test: str


_SERVICE = PluginTemplate(
    module='''\
"""The component $name."""

from __future__ import annotations

from hookspecs import query


class $class_name:
    """Say here what it is for; every public method can be called."""

    @query
    def greet(self, name: str) -> str:
        return f"Hello, {name}!"
''',
    test="""\
from __future__ import annotations

from $name import $class_name


def test_greets_by_name() -> None:
    assert $class_name().greet("world") == "Hello, world!"
""",
)

_LEXER = PluginTemplate(
    module='''\
"""The lexer $name."""

from __future__ import annotations

from hookspecs import hookimpl
from hookspecs.contracts.lexer import LexResult
from hookspecs.tokens import Token


class $class_name:
    """Say here which language it reads."""

    @hookimpl
    def tokenize(self, source: str, file: str) -> LexResult:
        tokens: list[Token] = []
        return LexResult(tokens, diagnostics=[])
''',
    test="""\
from __future__ import annotations

from $name import $class_name


def test_has_nothing_to_say_about_an_empty_file() -> None:
    assert $class_name().tokenize("", "empty.noodle").diagnostics == []
""",
)

_PARSER = PluginTemplate(
    module='''\
"""The parser $name."""

from __future__ import annotations

from hookspecs import ast, hookimpl
from hookspecs.contracts.parser import ParseResult
from hookspecs.tokens import Token


class $class_name:
    """Say here which language it parses."""

    @hookimpl
    def parse(self, tokens: list[Token], file: str) -> ParseResult:
        module = ast.Module(file, body=[], bindings=[])
        return ParseResult(module, imports=[], exports=[], diagnostics=[])
''',
    test="""\
from __future__ import annotations

from $name import $class_name


def test_parses_an_empty_file() -> None:
    result = $class_name().parse([], "empty.noodle")
    assert result.module.file == "empty.noodle"
    assert result.diagnostics == []
""",
)

_OPTIMIZER = PluginTemplate(
    module='''\
"""The optimizer $name."""

from __future__ import annotations

from hookspecs import ast, hookimpl
from hookspecs.contracts.optimizer import OptimizeResult


class $class_name:
    """Say here what it makes better."""

    @hookimpl
    def optimize(self, module: ast.Module) -> OptimizeResult:
        return OptimizeResult(module, report={})
''',
    test="""\
from __future__ import annotations

from hookspecs import ast

from $name import $class_name


def test_leaves_an_empty_module_alone() -> None:
    module = ast.Module("empty.noodle", body=[], bindings=[])
    assert $class_name().optimize(module).module == module
""",
)

_BYTECODE_GENERATOR = PluginTemplate(
    module='''\
"""The bytecode generator $name."""

from __future__ import annotations

from hookspecs import ast, bytecode, hookimpl
from hookspecs.contracts.bytecode_generator import GenerateResult


class $class_name:
    """Say here what is special about its code."""

    @hookimpl
    def generate(self, module: ast.Module) -> GenerateResult:
        body = bytecode.Function(
            name="",
            is_initializer=False,
            parameters=[],
            captures=[],
            slots=[],
            stack_size=1,
            instructions=[
                bytecode.Instruction(bytecode.Opcode.LOAD_CONST, 0),
                bytecode.Instruction(bytecode.Opcode.RETURN_VALUE),
            ],
            handlers=[],
            source_map=[],
        )
        compiled = bytecode.Module(
            file=module.file,
            names=[],
            constants=[None],
            name_lists=[],
            types=[],
            functions=[body],
            classes=[],
            structs=[],
            enums=[],
            exports=[],
        )
        statistics = {"instructions": 2, "constants": 1, "functions": 1}
        return GenerateResult(bytecode.encode(compiled), diagnostics=[], statistics=statistics)
''',
    test="""\
from __future__ import annotations

from hookspecs import ast, bytecode

from $name import $class_name


def test_generates_a_module_that_can_be_run() -> None:
    result = $class_name().generate(ast.Module("empty.noodle", body=[], bindings=[]))
    bytecode.verify(bytecode.decode(result.code))
    assert result.diagnostics == []
""",
)

_VM = PluginTemplate(
    module='''\
"""The virtual machine $name."""

from __future__ import annotations

from collections.abc import Iterator

from hookspecs import SafePoint, hookimpl
from hookspecs.contracts.vm import Exit, Program, RunEvent


class $class_name:
    """Say here how it runs programs."""

    @hookimpl
    def run(self, program: Program) -> Iterator[RunEvent | SafePoint]:
        # Yield Output for what is printed, and SAFE_POINT every few milliseconds.
        yield Exit(status=0)
''',
    test="""\
from __future__ import annotations

from hookspecs.contracts.vm import Exit, Program

from $name import $class_name


def test_runs_an_empty_program_to_its_end() -> None:
    assert list($class_name().run(Program(modules=[]))) == [Exit(status=0)]
""",
)

_JIT_COMPILER = PluginTemplate(
    module='''\
"""The JIT compiler $name."""

from __future__ import annotations

from hookspecs import hookimpl, query
from hookspecs.contracts.jit_compiler import CompiledFunction, JitStatistics


class $class_name:
    """Say here for which machines it compiles."""

    def __init__(self) -> None:
        self.profiled = 0

    @hookimpl
    def compile_function(
        self, module_code: bytes, function_index: int, argument_types: list[str]
    ) -> CompiledFunction:
        self.profiled += 1
        return CompiledFunction(None, reason="nothing is compiled yet")

    @hookimpl
    @query
    def statistics(self) -> JitStatistics:
        return JitStatistics(self.profiled, functions_compiled=0, cache_hits=0, cache_bytes=0)
''',
    test="""\
from __future__ import annotations

from $name import $class_name


def test_says_why_it_did_not_compile() -> None:
    jit = $class_name()
    function = jit.compile_function(b"", 0, ["int"])
    assert function.object_code is None
    assert function.reason
    assert jit.statistics().functions_profiled == 1
""",
)

_MEMORY_MANAGER = PluginTemplate(
    module='''\
"""The memory manager $name."""

from __future__ import annotations

from hookspecs import hookimpl, query
from hookspecs.contracts.memory_manager import Allocation, MemoryStatistics


class $class_name:
    """Say here how it places allocations; this one never fills a gap."""

    def __init__(self) -> None:
        self.live: dict[int, Allocation] = {}
        self.next_id = 1
        self.end_bytes = 0
        self.peak_bytes = 0

    @hookimpl
    def allocate(self, program_id: str, size_bytes: int) -> Allocation:
        allocation = Allocation(self.next_id, program_id, self.end_bytes, size_bytes)
        self.live[self.next_id] = allocation
        self.next_id += 1
        self.end_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes())
        return allocation

    @hookimpl
    def release(self, allocation_id: int) -> None:
        del self.live[allocation_id]

    @hookimpl
    @query
    def statistics(self) -> MemoryStatistics:
        live = self.live_bytes()
        return MemoryStatistics(
            live, self.peak_bytes, self.end_bytes - live, len(self.live), fragmentation=0.0
        )

    @query
    def live_bytes(self) -> int:
        return sum(allocation.size_bytes for allocation in self.live.values())
''',
    test="""\
from __future__ import annotations

from $name import $class_name


def test_counts_what_is_live() -> None:
    memory = $class_name()
    first = memory.allocate("program", 100)
    memory.allocate("program", 50)
    memory.release(first.allocation_id)
    statistics = memory.statistics()
    assert (statistics.live_bytes, statistics.peak_bytes) == (50, 150)
""",
)

_AGENT = PluginTemplate(
    module='''\
"""The agent $name."""

from __future__ import annotations

from hookspecs import hookimpl, query
from hookspecs.contracts.agent import Assessment, Role, UpgradeFacts


class $class_name:
    """Say here what it looks at; this one remembers which versions failed."""

    def __init__(self) -> None:
        self.failed: set[tuple[str, str]] = set()

    @hookimpl
    @query
    def assess(self, role: Role, facts: UpgradeFacts) -> Assessment:
        if (facts.component, facts.to_version) in self.failed:
            return Assessment(False, 0.9, ["this version has failed before"])
        return Assessment(True, 0.5, ["nothing speaks against it"])

    @hookimpl
    def learn(self, facts: UpgradeFacts, success: bool) -> None:
        if not success:
            self.failed.add((facts.component, facts.to_version))
''',
    test="""\
from __future__ import annotations

from hookspecs.contracts.agent import UpgradeFacts

from $name import $class_name


def test_learns_from_a_failure() -> None:
    agent = $class_name()
    facts = UpgradeFacts("lexer", "1.0.0", "2.0.0", "gradual", {})
    assert agent.assess("decision_maker", facts).approve
    agent.learn(facts, success=False)
    assert not agent.assess("decision_maker", facts).approve
""",
)

TEMPLATES = {
    "service": _SERVICE,
    "lexer": _LEXER,
    "parser": _PARSER,
    "optimizer": _OPTIMIZER,
    "bytecode_generator": _BYTECODE_GENERATOR,
    "vm": _VM,
    "jit_compiler": _JIT_COMPILER,
    "memory_manager": _MEMORY_MANAGER,
    "agent": _AGENT,
}
