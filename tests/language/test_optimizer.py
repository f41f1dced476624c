"""The optimizer: what it does, what it must leave alone, and that nothing shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookspecs import ast

PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.fixture
def optimize(chain: Any) -> Any:
    """``optimize(source)``: the tree, and the report."""

    def optimize(source: str) -> tuple[ast.Module, dict[str, int]]:
        parsed = chain.parser.parse(chain.lexer.tokenize(source, "p.noodle").tokens, "p.noodle")
        assert parsed.diagnostics == []
        result = chain.optimizer.optimize(parsed.module)
        return result.module, result.report

    return optimize


def _printed(module: ast.Module) -> list[Any]:
    """The literals that the program prints, in the order of its statements."""
    found = []
    for statement in module.body:
        if isinstance(statement, ast.ExpressionStatement):
            assert isinstance(statement.value, ast.Call)
            argument = statement.value.arguments[0].value
            found.append(argument.value if isinstance(argument, ast.Literal) else argument)
    return found


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-(2 ** 10)", -1024),
        ("7 / 2", 3.5),
        ("-7 % 3", 2),
        ('"a" + 1 + true', "a1true"),
        ("1 < 2 && 2 != 3", True),
        ("false && true", False),
        ("!true || 1 == 1", True),
        ("if (1 < 2) 10 else 20", 10),
        ("`a${1 + 1}b${null}`", "a2bnull"),
    ],
)
def test_constants_are_folded(optimize: Any, expression: str, value: Any) -> None:
    module, report = optimize(f"print({expression})\n")
    assert _printed(module) == [value]
    assert type(_printed(module)[0]) is type(value)
    assert report["constant_folding"] > 0


@pytest.mark.parametrize(
    "expression",
    [
        "1 / 0",
        "1 % 0",
        "9223372036854775807 + 1",
        "2 ** 64",
        "0 ** -1",
        "1 + true",
        '1 < "a"',
        "-true",
        "!1",
        "1 && true",
        "true && 1",
        '"a" - "b"',
        "1 == 1.0",
    ],
)
def test_what_fails_or_depends_on_the_machine_is_left_for_run_time(
    optimize: Any, expression: str
) -> None:
    module, _ = optimize(f"print({expression})\n")
    assert isinstance(_printed(module)[0], ast.Binary | ast.Unary | ast.Logical)


def test_constants_and_copies_are_propagated(optimize: Any) -> None:
    module, report = optimize(
        "const A = 2\nlet b = A * 3\nfunction f(x) { let y = x\nreturn y + b }\n"
        "print(b)\nprint(f(1))\n"
    )
    assert _printed(module)[0] == 6
    assert report["constant_propagation"] >= 2
    assert report["copy_propagation"] == 1


@pytest.mark.parametrize(
    "source",
    [
        "let a = 1\na = 2\nprint(a)\n",
        "let a = 1\nfunction f() { a += 1 }\nf()\nprint(a)\n",
        "for (i = 0; i < 3; i++) { print(i) }\n",
    ],
)
def test_a_variable_that_changes_is_no_constant(optimize: Any, source: str) -> None:
    _, report = optimize(source)
    assert report["constant_propagation"] == 0


def test_a_function_may_be_called_before_the_constant_has_its_value(
    optimize: Any, chain: Any, tmp_path: Path
) -> None:
    source = "f()\nlet a = 1\nfunction f() { print(a) }\n"
    _, report = optimize(source)
    assert report["constant_propagation"] == 0
    (tmp_path / "p.noodle").write_text(source)
    ran = chain.run_file(tmp_path, "p.noodle", optimizer=True)
    assert ran.stderr.startswith('p.noodle:3:22: ValueError: "a" has no value yet')


def test_dead_code_is_removed(optimize: Any) -> None:
    module, report = optimize(
        "function f() {\n  return 1\n  print(2)\n}\nif (false) { print(3) } else { print(4) }\n"
        "while (false) { print(5) }\nlet unused = 6\nf()\n"
    )
    assert report["dead_code_elimination"] >= 4
    function = next(s for s in module.body if isinstance(s, ast.FunctionDeclaration))
    assert function.function.body is not None
    assert len(function.function.body) == 1


def test_what_a_closure_needs_is_not_dead(chain: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text(
        "function f() {\n  let g = () => x\n  return g\n  let x = 1\n}\n"
        'try { f()() } catch (ValueError e) { print("no value") }\n'
    )
    for optimizer in (True, False):
        assert chain.run_file(tmp_path, "p.noodle", optimizer=optimizer).stdout == "no value\n"


def test_a_variable_that_is_only_assigned_to_keeps_its_declaration(
    chain: Any, tmp_path: Path
) -> None:
    (tmp_path / "p.noodle").write_text(
        "let x = 1\nfunction f() { let y = 1\n let g = () => { [y] = [2] }\n g() }\nx = 2\nf()\n"
    )
    ran = chain.run_file(tmp_path, "p.noodle", optimizer=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_what_destructuring_changes_is_not_dead(chain: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text(
        "function f() {\n  let g = () => { [x] = [2] }\n  return g\n  let x = 1\n}\nf()()\n"
    )
    ran = chain.run_file(tmp_path, "p.noodle", optimizer=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_exports_are_kept(optimize: Any) -> None:
    module, _ = optimize("let a = 1\nexport { a }\n")
    assert any(isinstance(statement, ast.Declare) for statement in module.body)


def test_a_program_gets_no_longer(chain: Any) -> None:
    for path in sorted(PROGRAMS.glob("*.noodle")):
        source = path.read_text(encoding="utf-8")
        tree = chain.parser.parse(chain.lexer.tokenize(source, path.name).tokens, path.name).module
        plain = chain.bytecode_generator.generate(tree).statistics["instructions"]
        better = chain.optimizer.optimize(tree).module
        assert chain.bytecode_generator.generate(better).statistics["instructions"] <= plain


_numbers = st.integers(-100, 100).map(str) | st.sampled_from(
    ["9223372036854775807", "0.5", "2.0", "true", '"a"', "null", "a", "b", "c"]
)
_operators = st.sampled_from("+ - * / % ** == != < <= > >= && ||".split())


def _combine(parts: Any) -> Any:
    return st.one_of(
        st.tuples(parts, _operators, parts).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        parts.map(lambda e: f"(- {e})"),
        parts.map(lambda e: f"(!{e})"),
        parts.map(lambda e: f"`<${{{e}}}>`"),
        st.tuples(parts, parts, parts).map(lambda t: f"(if ({t[0]}) {t[1]} else {t[2]})"),
    )


_expressions = st.recursive(_numbers, _combine, max_leaves=8)


@pytest.fixture
def loaded_chain(chain: Any) -> Any:
    """The plugins set the recursion limit when they are loaded; Hypothesis must not see that."""
    for kind in ("lexer", "parser", "optimizer", "bytecode_generator", "vm"):
        getattr(chain, kind)
    return chain


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(expressions=st.lists(_expressions, min_size=1, max_size=4))
def test_an_optimized_program_does_the_same(
    expressions: list[str], loaded_chain: Any, tmp_path: Path
) -> None:
    body = "\n".join(f"print({expression})" for expression in expressions)
    source = f"let a = 3\nlet b = a\nlet c = 1\nc = 2\n{body}\n"
    (tmp_path / "p.noodle").write_text(source)
    compiled = [
        loaded_chain.compile(tmp_path, "p.noodle", optimizer=choice) for choice in (True, False)
    ]
    if compiled[0].program is None:
        # What is provably wrong is refused before the optimizer sees it.
        assert re.search("must be", compiled[0].diagnostics[0].message)
        return
    optimized, plain = (loaded_chain.run(each.program) for each in compiled)
    assert (optimized.stdout, optimized.stderr) == (plain.stdout, plain.stderr)


_scoped = st.recursive(
    st.one_of(
        st.tuples(st.just("let"), st.sampled_from("abcd"), st.sampled_from("abcd123")),
        st.tuples(st.just("set"), st.sampled_from("abcd"), st.sampled_from("abcd123")),
        st.tuples(st.just("unpack"), st.sampled_from("abcd"), st.sampled_from("abcd")),
        st.tuples(st.just("show"), st.sampled_from(["a + b", "c", "d", "c == d", "a * 2"])),
        st.tuples(st.just("return"), st.sampled_from("abcd")),
    ),
    lambda inner: st.tuples(
        st.sampled_from(["block", "true", "false", "loop", "function", "lambda", "hoisted"]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=20,
)


class _Scopes:
    """Writes statements that declare, hide, change and capture four variables."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._functions = 0

    def body(self, statements: Any, in_function: bool) -> None:
        own: set[str] = set()
        for statement in statements:
            self._statement(statement, own, in_function)

    def _statement(self, statement: Any, own: set[str], in_function: bool) -> None:
        match statement:
            case ("let", name, value) if name not in own:
                own.add(name)
                self.lines.append(f"let {name} = {value if value != name else 4}")
            case ("let" | "set", name, value):
                self.lines.append(f"{name} = {value}")
            case ("unpack", name, other):
                self.lines.append(f"[{name}, {other}] = [{other}, 5]")
            case ("show", value):
                self.lines.append(f"try {{ print({value}) }} catch (e) {{ print(e.message) }}")
            case ("return", name):
                self.lines.append(f"return {name}" if in_function else f"print({name})")
            case ("block" | "true" | "false", body):
                self._around("if (1 < 2) {" if statement[0] != "false" else "if (1 > 2) {", body)
            case ("loop", body):
                self._around("for i in range(2) {", body)
            case (kind, body):
                self._functions += 1
                name = f"f{self._functions}"
                call = f"try {{ print({name}()) }} catch (e) {{ print(e.message) }}"
                if kind == "hoisted":
                    self.lines.append(call)
                self.lines.append(
                    f"let {name} = () => {{" if kind == "lambda" else f"function {name}() {{"
                )
                self.body(body, in_function=True)
                self.lines += ["}", call]

    def _around(self, head: str, body: Any) -> None:
        self.lines.append(head)
        # A return here would leave the program's own body.
        self.body(body, in_function=False)
        self.lines.append("}")


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(statements=st.lists(_scoped, min_size=1, max_size=6))
def test_scopes_and_closures_are_the_same_when_optimized(
    statements: list[Any], loaded_chain: Any, tmp_path: Path
) -> None:
    scopes = _Scopes()
    scopes.body(statements, in_function=False)
    source = "\n".join(["let a = 1", "let b = 2", "let c = a", "let d = true", "if (true) {"])
    source += "\n" + "\n".join(scopes.lines) + "\n}\nprint(a, b, c, d)\n"
    (tmp_path / "p.noodle").write_text(source)
    optimized, plain = (
        loaded_chain.run_file(tmp_path, "p.noodle", optimizer=choice) for choice in (True, False)
    )
    assert (optimized.stdout, optimized.stderr) == (plain.stdout, plain.stderr)
