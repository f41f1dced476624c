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


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(expressions=st.lists(_expressions, min_size=1, max_size=4))
def test_an_optimized_program_does_the_same(
    expressions: list[str], chain: Any, tmp_path: Path
) -> None:
    body = "\n".join(f"print({expression})" for expression in expressions)
    source = f"let a = 3\nlet b = a\nlet c = 1\nc = 2\n{body}\n"
    (tmp_path / "p.noodle").write_text(source)
    compiled = [chain.compile(tmp_path, "p.noodle", optimizer=choice) for choice in (True, False)]
    if compiled[0].program is None:
        # What is provably wrong is refused before the optimizer sees it.
        assert re.search("must be", compiled[0].diagnostics[0].message)
        return
    optimized, plain = (chain.run(each.program) for each in compiled)
    assert (optimized.stdout, optimized.stderr) == (plain.stdout, plain.stderr)
