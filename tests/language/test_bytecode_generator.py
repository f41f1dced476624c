"""The generator: code that verifies, in linear time, with the places of errors."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest

from hookspecs.bytecode import Opcode, decode, verify

PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.fixture
def generate(chain: Any) -> Any:
    """``generate(source)``: the verified module."""

    def generate(source: str) -> Any:
        parsed = chain.parser.parse(chain.lexer.tokenize(source, "p.noodle").tokens, "p.noodle")
        assert parsed.diagnostics == []
        result = chain.bytecode_generator.generate(parsed.module)
        assert result.diagnostics == []
        module = decode(result.code)
        verify(module)
        return module

    return generate


def _opcodes(module: Any, function: int = 0) -> list[Opcode]:
    return [instruction.opcode for instruction in module.functions[function].instructions]


@pytest.mark.parametrize(
    "path",
    sorted([*PROGRAMS.glob("*.noodle"), *PROGRAMS.glob("errors/*.noodle")]),
    ids=lambda path: path.stem,
)
def test_the_code_of_every_program_verifies(path: Path, generate: Any) -> None:
    module = generate(path.read_text(encoding="utf-8"))
    assert all(function.instructions for function in module.functions)


def test_the_same_source_gives_the_same_code(chain: Any) -> None:
    source = (PROGRAMS / "closures.noodle").read_text(encoding="utf-8")
    codes = set()
    for _ in range(2):
        tree = chain.parser.parse(chain.lexer.tokenize(source, "p").tokens, "p").module
        codes.add(chain.bytecode_generator.generate(tree).code)
    assert len(codes) == 1


def test_locals_live_in_slots_and_captured_ones_in_cells(generate: Any) -> None:
    module = generate("function f() {\n  let a = 1\n  let b = 2\n  return () => b + a * 0\n}\n")
    assert Opcode.LOAD_NAME not in _opcodes(module, 1)
    assert _opcodes(module, 1).count(Opcode.EMPTY_CELL) == 2
    plain = generate("function f() {\n  let a = 1\n  return a\n}\n")
    assert Opcode.EMPTY_CELL not in _opcodes(plain, 1)


def test_a_default_may_capture_a_later_parameter(chain: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text(
        "function f(g = () => b, b = 2) { return g() }\n"
        "function h(g = (() => b)(), b = 2) { return g }\n"
        "print(f(), f(b: 3), f(() => 4))\nprint(h(1))\nprint(h())\n"
    )
    ran = chain.run_file(tmp_path, "p.noodle", optimizer=False)
    assert ran.stdout == "2 3 4\n1\n"
    assert ran.stderr.startswith('p.noodle:2:23: ValueError: "b" has no value yet\n')


def test_static_methods_may_touch_private_members(chain: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text(
        "class C {\n  private n: int = 0\n  private function up() { self.n += 1 }\n"
        "  static function make() {\n    let c = C()\n    c.n = 4\n    c.up()\n    return c.n\n"
        "  }\n}\nprint(C.make())\nprint(C().n)\n"
    )
    ran = chain.run_file(tmp_path, "p.noodle", optimizer=False)
    assert ran.stdout == "5\n"
    assert ran.stderr.startswith('p.noodle:12:10: TypeError: "n" is private in C\n')


def test_code_does_not_double_with_every_nested_finally(generate: Any) -> None:
    def size(depth: int) -> int:
        source = "try { f() } finally {\n" * depth + "return 1\n" + "}\n" * depth
        module = generate(f"function f() {{\n{source}}}\n")
        return len(module.functions[1].instructions)

    assert size(40) < 2.5 * size(20)


def test_loops_one_after_the_other_share_slots(generate: Any) -> None:
    loop = "for i in [1] { match (i) { case [a, b] => a\n case _ => 1 } }\n"
    temporary = [
        sum(not slot.name for slot in generate(loop * times).functions[0].slots) for times in (1, 9)
    ]
    assert temporary[0] == temporary[1]


def test_what_cannot_be_reached_is_not_written(generate: Any) -> None:
    module = generate("function f() {\n  return 1\n  print(2)\n}\n")
    assert _opcodes(module, 1) == [Opcode.LOAD_CONST, Opcode.RETURN_VALUE]


def test_a_loop_jumps_once_a_round(generate: Any) -> None:
    opcodes = _opcodes(generate("i = 0\nwhile (i < 10) { i += 1 }\n"))
    assert opcodes.count(Opcode.JUMP_ABSOLUTE) == 1
    assert opcodes.count(Opcode.POP_JUMP_IF_TRUE) == 1


def test_the_source_map_has_the_places_of_operators(generate: Any) -> None:
    module = generate("a = 1\nb = 2\nc = a +\n    b\n")
    function = module.functions[0]
    add = _opcodes(module).index(Opcode.BINARY_ADD)
    assert function.position(add) == (3, 7)


def test_named_arguments_beside_spread_ones_are_refused_with_their_place(chain: Any) -> None:
    source = "function f(a, b) { }\nxs = [1]\nf(...xs, b: 2)\n"
    parsed = chain.parser.parse(chain.lexer.tokenize(source, "p.noodle").tokens, "p.noodle")
    result = chain.bytecode_generator.generate(parsed.module)
    told = [(d.line, d.column, d.message) for d in [*parsed.diagnostics, *result.diagnostics]]
    assert len(told) == 1
    assert told[0][0] == 3


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("try { return 1 } finally { print('f') }", ["f", "1"]),
        ("try { throw Error('x') } catch (e) { return 2 } finally { print('f') }", ["f", "2"]),
        ("for (i = 0; i < 3; i++) { try { break } finally { print(i) } }\nreturn 3", ["0", "3"]),
        ("for i in [1, 2] { try { continue } finally { print(i) } }\nreturn 4", ["1", "2", "4"]),
        ("try { try { return 1 } finally { print('a') } } finally { print('b') }", ["a", "b", "1"]),
        ("try { return 1 } finally { return 5 }", ["5"]),
        ("while (true) { try { throw Error('x') } finally { break } }\nreturn 6", ["6"]),
        ("return [1, match (1) { case 1 => 7 }][1]", ["7"]),
        ("for i in [1] { x = [1, 2, match (i) { case 1 => { break } }] }\nreturn 8", ["8"]),
        ("try { return print('v') } finally { print('f') }", ["v", "f", "null"]),
        ("try { try { throw Error('a') } finally { return 9 } } catch (e) { }", ["9"]),
    ],
)
def test_every_way_out_of_a_try(body: str, printed: list[str], chain: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text(f"function f() {{\n{body}\n}}\nprint(f())\n")
    for optimizer in (True, False):
        ran = chain.run_file(tmp_path, "p.noodle", optimizer=optimizer)
        assert (ran.stdout.splitlines(), ran.stderr) == (printed, "")


def _program(lines: int) -> str:
    body = (PROGRAMS / "bank.noodle").read_text(encoding="utf-8").splitlines()
    function = ["function part() {", *body, "}"]
    return "\n".join((function * (lines // len(function) + 1))[:lines])


def test_all_stages_take_linear_time(chain: Any) -> None:
    def seconds(lines: int) -> float:
        source = _program(lines)
        times = []
        for _ in range(3):
            began = time.process_time()
            tokens = chain.lexer.tokenize(source, "p").tokens
            module = chain.parser.parse(tokens, "p").module
            chain.bytecode_generator.generate(chain.optimizer.optimize(module).module)
            times.append(time.process_time() - began)
        return min(times)

    # What other tests have left would be looked through at every collection.
    gc.collect()
    gc.freeze()
    try:
        assert seconds(10_000) <= 6 * seconds(2_000)
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 200 + "1" + ")" * 200,
        "[" * 200 + "]" * 200,
        "f(" * 200 + "1" + ")" * 200,
        "x => " * 200 + "1",
        "1" + " + 1" * 1000,
        "s" + ".upper()" * 500,
        "if (true) 1 else " * 200 + "2",
        "match (1) { case _ => " * 200 + "2" + "}" * 200,
        "!" * 200 + "true",
        "true" + " && true" * 1000,
        "{1: " * 200 + "1" + "}" * 200,
    ],
    ids=lambda expression: expression[:6],
)
def test_deep_nesting_works(expression: str, generate: Any) -> None:
    generate(f's = "a"\nfunction f(x) {{ return x }}\ny = {expression}\nprint(y)\n')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if (true) {", "}"),
        ("while (true) {", "}"),
        ("for i in [1] {", "}"),
        ("for (i = 0; i < 1; i++) {", "}"),
        ("try {", "} finally { return 1 }"),
        ("try { return 2 } finally {", "}"),
        ("try {", "} catch (e) { print(e) }"),
        ("match (1) { case n => {", "} }"),
        ("function g() {", "}"),
        ("class C { function m() {", "} }"),
    ],
)
def test_deep_blocks_work(before: str, after: str, generate: Any, chain: Any) -> None:
    depth = 150
    source = (
        f"function f() {{\n{(before + chr(10)) * depth}print(1)\n{(after + chr(10)) * depth}}}\n"
    )
    generate(source)
    tree = chain.parser.parse(chain.lexer.tokenize(source, "p.noodle").tokens, "p.noodle").module
    better = chain.bytecode_generator.generate(chain.optimizer.optimize(tree).module)
    verify(decode(better.code))


def test_the_deepest_tree_that_the_parser_lets_through_works(chain: Any, tmp_path: Path) -> None:
    deepest = "if (t) {\n" * 450 + "print(x" + " + x" * 1990 + ")\n" + "}\n" * 450
    (tmp_path / "p.noodle").write_text(f"x = 1\nx = 2\nt = false\nt = true\n{deepest}")
    for optimizer in (True, False):
        assert chain.run_file(tmp_path, "p.noodle", optimizer=optimizer).stdout == "3982\n"
