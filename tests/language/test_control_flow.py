"""Random programs do what the same programs do in Python, optimized or not.

They are made of the ways through code: branches, loops, ``match``, ``try`` in
each other, left by ``break``, ``continue``, ``return`` and ``throw``.
"""

from __future__ import annotations

import warnings
from itertools import count, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookspecs.bytecode import decode, verify

#: Where a value is needed; ``a`` and ``b`` are changed by all functions.
_VALUES = st.sampled_from(["a", "b", "a + b", "2 * 3 + 1", "7", "k + a", "k"])
_CONDITIONS = st.sampled_from(
    [
        ("a % 2 == 0", "a % 2 == 0"),
        ("a > b && b != 3", "a > b and b != 3"),
        ("a == b || !(b > 2)", "a == b or not (b > 2)"),
        ("true", "True"),
        ("1 > 2", "1 > 2"),
        ("k == 5", "k == 5"),
    ]
)
_ERRORS = {"Error": "Failure", "ValueError": "ValueFailure", "KeyError": "KeyFailure"}

_simple = st.one_of(
    st.tuples(st.just("print"), _VALUES),
    st.tuples(st.just("set"), st.sampled_from("ab"), _VALUES),
    st.tuples(st.just("bump")),
    st.tuples(st.just("break")),
    st.tuples(st.just("continue")),
    st.tuples(st.just("return"), _VALUES),
    st.tuples(st.just("throw"), st.sampled_from(sorted(_ERRORS)), _VALUES),
)


def _compound(statement: Any) -> Any:
    body = st.lists(statement, max_size=3)
    catches = st.lists(st.tuples(st.sampled_from(sorted(_ERRORS)), body), max_size=2)
    return st.one_of(
        st.tuples(st.just("if"), _CONDITIONS, body, body),
        st.tuples(st.sampled_from(["for", "range", "while", "do"]), st.integers(0, 3), body),
        st.tuples(st.just("try"), body, catches, st.none() | body),
        st.tuples(st.just("try"), body, catches, body),
        st.tuples(st.just("match"), _VALUES, body, body),
        st.tuples(st.just("call"), body),
    )


_programs = st.lists(st.recursive(_simple, _compound, max_leaves=25), max_size=5)


class _Writer:
    """Writes one program in both languages, line by line."""

    def __init__(self) -> None:
        self.noodle: list[str] = []
        self.python: list[str] = []
        self._names = (f"v{number}" for number in count())

    def function(self, name: str, body: Any, indent: int) -> None:
        self._line(indent, f"function {name}(k) {{", f"def {name}(k):")
        self._line(indent + 1, "let c = 3", "c = 3")
        self._line(indent + 1, "", "global a, b")
        self._body(body, indent + 1, in_loop=False)
        self._line(indent, "}", None)

    def _line(self, indent: int, noodle: str | None, python: str | None) -> None:
        for lines, text in ((self.noodle, noodle), (self.python, python)):
            if text:
                lines.append("    " * indent + text)

    def _body(self, body: Any, indent: int, in_loop: bool) -> None:
        self._line(indent, None, "pass")
        for statement in body:
            self._statement(statement, indent, in_loop)

    def _statement(self, statement: Any, indent: int, in_loop: bool) -> None:
        match statement:
            case ("print", value):
                self._line(indent, f"print({value})", f"print({value})")
            case ("set", name, value):
                self._line(indent, *[f"{name} = ({value}) % 97"] * 2)
            case ("bump",):
                self._line(indent, *["bump()"] * 2)
            case ("break" | "continue" as word,):
                self._line(indent, *[word if in_loop else "print(c)"] * 2)
            case ("return", value):
                self._line(indent, *[f"return {value}"] * 2)
            case ("throw", kind, value):
                self._line(
                    indent,
                    f"throw {kind}(str({value}))",
                    f"raise {_ERRORS[kind]}(str({value}))",
                )
            case ("if", (noodle, python), then, otherwise):
                self._line(indent, f"if ({noodle}) {{", f"if {python}:")
                self._body(then, indent + 1, in_loop)
                self._line(indent, "} else {", "else:")
                self._body(otherwise, indent + 1, in_loop)
                self._line(indent, "}", None)
            case ("for" | "range" | "while" | "do" as kind, times, body):
                self._loop(kind, times, body, indent)
            case ("try", body, catches, final):
                self._try(body, catches, final, indent, in_loop)
            case ("match", value, first, second):
                self._match(value, first, second, indent, in_loop)
            case ("call", body):
                name = next(self._names)
                self.function(name, body, indent)
                self._line(indent, *[f"print({name}(a))"] * 2)

    def _loop(self, kind: str, times: int, body: Any, indent: int) -> None:
        name = next(self._names)
        if kind in ("for", "range"):
            head = f"for ({name} = 0; {name} < {times}; {name}++) {{"
            if kind == "range":
                head = f"for {name} in range({times}) {{"
            self._line(indent, head, f"for {name} in range({times}):")
            self._body(body, indent + 1, in_loop=True)
            self._line(indent, "}", None)
            return
        self._line(indent, f"let {name} = 0", f"{name} = 0")
        test = f"{name} < {times}"
        if kind == "while":
            self._line(indent, f"while ({test}) {{", f"while {test}:")
        else:
            self._line(indent, "do {", f"while {name} == 0 or {test}:")
        self._line(indent + 1, *[f"{name} += 1"] * 2)
        self._body(body, indent + 1, in_loop=True)
        self._line(indent, "}" if kind == "while" else f"}} while ({test})", None)

    def _try(self, body: Any, catches: Any, final: Any, indent: int, in_loop: bool) -> None:
        if not catches and final is None:
            final = []
        self._line(indent, "try {", "try:")
        self._body(body, indent + 1, in_loop)
        for kind, clause in catches:
            name = next(self._names)
            self._line(indent, f"}} catch ({kind} {name}) {{", f"except {_ERRORS[kind]} as {name}:")
            self._line(indent + 1, f"print({name}.message)", f"print({name})")
            self._body(clause, indent + 1, in_loop)
        if final is not None:
            self._line(indent, "} finally {", "finally:")
            self._body(final, indent + 1, in_loop)
        self._line(indent, "}", None)

    def _match(self, value: str, first: Any, second: Any, indent: int, in_loop: bool) -> None:
        """In the middle of an expression: values wait on the stack."""
        name = next(self._names)
        self._line(indent, f"len([c, a, match ([{value}, b]) {{", f"{name} = {value}")
        self._line(indent + 1, f"case [{name}, _] when {name} % 2 == 0 => {{", None)
        self._line(indent, None, f"if {name} % 2 == 0:")
        self._body(first, indent + 1, in_loop)
        self._line(indent + 1, "}", None)
        self._line(indent + 1, f"case [{name}, ...r] => {{", None)
        self._line(indent, None, "else:")
        self._body(second, indent + 1, in_loop)
        self._line(indent + 1, "}", None)
        self._line(indent, "}])", None)


def _both(*programs: Any) -> tuple[str, str]:
    """A source in each language that runs the programs one after the other."""
    writer = _Writer()
    for number, program in enumerate(programs):
        writer.function(f"run{number}", program, 0)
        writer.noodle += [
            f'try {{ print("end", run{number}(5)) }} catch (e) {{ print("failed", e.message) }}'
        ]
        writer.python += [
            f"try: print('end', run{number}(5))",
            "except Failure as e: print('failed', e)",
        ]
    noodle = [
        "let a = 1",
        "let b = 2",
        "function bump() { a = (a + b) % 97 }",
        *writer.noodle,
    ]
    python = [
        "class Failure(Exception): pass",
        "class ValueFailure(Failure): pass",
        "class KeyFailure(Failure): pass",
        "a, b = 1, 2",
        "def bump():",
        "    global a",
        "    a = (a + b) % 97",
        *writer.python,
    ]
    return "\n".join(noodle) + "\n", "\n".join(python) + "\n"


def _python_prints(source: str) -> str:
    printed: list[str] = []

    def show(*values: Any) -> None:
        printed.append(" ".join("null" if value is None else str(value) for value in values))

    with warnings.catch_warnings():
        # Leaving a finally block is what is tested.
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(source, "program", "exec"), {"print": show})
    return "".join(line + "\n" for line in printed)


@pytest.fixture
def loaded_chain(chain: Any) -> Any:
    """The plugins set the recursion limit when they are loaded; Hypothesis must not see that."""
    for kind in ("lexer", "parser", "optimizer", "bytecode_generator", "vm"):
        getattr(chain, kind)
    return chain


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=_programs)
def test_every_way_through_a_program_is_that_of_python(
    program: Any, loaded_chain: Any, tmp_path: Any
) -> None:
    noodle, python = _both(program)
    (tmp_path / "p.noodle").write_text(noodle, encoding="utf-8")
    expected = _python_prints(python)
    for optimizer in (False, True):
        ran = loaded_chain.run_file(tmp_path, "p.noodle", optimizer=optimizer)
        assert (ran.stdout, ran.stderr) == (expected, "")


def _around(kind: str, inner: list[Any], number: int) -> list[Any]:
    """Statements in which ``inner`` stands; what is executed besides is printed."""
    here = ("print", f"{number} + a")
    match kind:
        case "loop":
            return [("for", 2, [("bump",), *inner, here]), here]
        case "body":
            return [("try", [*inner, here], [], [here]), here]
        case "guarded":
            return [("try", [*inner, here], [("KeyError", [here])], None), here]
        case "clause":
            throw = ("throw", "KeyError", "a")
            return [("try", [throw], [("KeyError", [*inner, here])], [here]), here]
        case "final":
            return [("try", [("print", "b"), ("return", "a")], [], [*inner, here]), here]
        case _:
            return [("match", "2", [*inner, here], [here]), here]


_KINDS = ("loop", "body", "guarded", "clause", "final", "match")
_LEAVES = (("break",), ("continue",), ("return", "a"), ("throw", "KeyError", "b"))


@pytest.mark.parametrize("outermost", _KINDS)
def test_every_way_out_of_three_nested_statements(
    outermost: str, loaded_chain: Any, tmp_path: Any
) -> None:
    programs = []
    for middle, innermost, leaf in product(_KINDS, _KINDS, _LEAVES):
        body: list[Any] = [leaf]
        for number, kind in enumerate((innermost, middle, outermost)):
            body = _around(kind, body, number)
        programs.append([("for", 2, body)])
    noodle, python = _both(*programs)
    (tmp_path / "p.noodle").write_text(noodle, encoding="utf-8")
    compiled = loaded_chain.compile(tmp_path, "p.noodle", optimizer=False)
    verify(decode(compiled.program.modules[0].code))
    assert loaded_chain.run(compiled.program).stdout == _python_prints(python)
