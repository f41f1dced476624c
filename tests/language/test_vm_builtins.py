"""Built-in functions and methods at their edges; the programs of the corpus use the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def shows(chain: Any, tmp_path: Path) -> Any:
    """What ``print`` shows of an expression, or the error that it gives."""

    def show(expression: str) -> str:
        (tmp_path / "main.noodle").write_text(
            # Behind a function, so that nothing is known while compiling.
            f"function pass(x) {{ return x }}\nprint({expression})\n",
            encoding="utf-8",
        )
        ran = chain.run_file(tmp_path, "main.noodle", optimizer=False)
        if ran.status == 0:
            return str(ran.stdout.removesuffix("\n"))
        return str(ran.stderr.splitlines()[0].split(": ", 1)[1])

    return show


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("round(2.5), round(-2.5), round(0.49999999999999994), round(-0.5)", "3 -3 0 -1"),
        ("round(4503599627370497.5), round(7), round(2.71828, 2)", "4503599627370498 7 2.72"),
        ("floor(-0.5), ceil(-0.5), floor(3), ceil(2.000001)", "-1 0 3 3"),
        ('int(" 42 "), int("+7"), int("-007"), int(true), int(-2.9)', "42 7 -7 1 -2"),
        ('int("9223372036854775807"), int("-9223372036854775808")', "9223372036854775807 -92233"),
        ('float("1e3"), float(" .5 "), float("inf"), float("nan"), float(true)', "1000.0 0.5 inf"),
        ('bool("true"), bool(0), bool(0.1), bool(false)', "true false true false"),
        ("sqrt(2), abs(-0.0), abs(-5)", "1.4142135623730951 0.0 5"),
        ("sum([0.1, 0.2, 0.3]), sum([1, 2.0]), sum({1, 2})", "0.6000000000000001 3.0 3"),
        ("div(-7, 2), div(7, -2), -7 % 2, 7.5 % -2", "-4 -4 1 -0.5"),
        ('min("b", "a"), max([1, 2.5]), min({3, 2}), max("noodle")', "a 2.5 2 o"),
        ("1e16, 1e15, 0.1 + 0.2, 1.0e-7, -0.0", "1e+16 1000000000000000.0 0.30000000000"),
        ('len(""), len({}), len({1}), len([null])', "0 0 1 1"),
        ('split("a,b,,c", ","), split("", ","), join([1, null, "x"], "-")', '["a", "b", "", "c"]'),
        ('replace("aaa", "a", ""), replace("abc", "x", "y"), trim("\\t a b \\n")', " abc a b"),
        ('chars(""), upper("straße"), ord("🦊"), chr(0) == ""', "[] STRASSE 129418 false"),
        ('sorted([3, 1.5, 2]), sorted("hello"), sorted({2, 1})', "[1.5, 2, 3]"),
        ("sorted([[2, 1], [1, 2]], x => x[0]), sorted([1, 2], x => -x)", "[[1, 2], [2, 1]] [2, 1]"),
        ('reversed("abc"), reversed([1, 2]), reversed(range(0, 3))', "cba [2, 1] [2, 1, 0]"),
        ("zip([1, 2], [3]), zip([1]), enumerate({7})", "[[1, 3]] [[1]] [[0, 7]]"),
        ("range(3), range(2, 2), range(0, -5, -2), range(5, 0)", "[0, 1, 2] [] [0, -2, -4] []"),
        ("map({1: 2}, x => x), filter({1, 2}, x => x > 1), map([], str)", "[1] [2] []"),
        ('map("ab", upper), reduce([], 5, (a, b) => a), map([1], Some)', '["A", "B"] 5 [Some(1)]'),
        ("Set([1, 1, 2]), Set(), Set([1.0, 1, true])", "{1, 2} {} {1.0, true}"),
        ('[1, 2, 3].slice(1), [1, 2, 3].slice(-2, 9), "noodle".slice(1, 3)', "[2, 3] [2, 3] oo"),
        ('[1, "a"].contains("a"), [true].contains(1), {1: 2}.contains(1)', "true false true"),
        ("[[1]].contains([1]), contains([1.0], 1), contains([0], false)", "true true false"),
        ("{1: 2}.get(true), {true: 3}.get(true), {1: 2}.get(1.0)", "None Some(3) Some(2)"),
        ("{Some(1): 1}[Some(1)], {None: 2}[None], {1.0: 3}[1]", "1 2 3"),
        ("{1, 2}.union({2, 3}), {1, 2} == {2, 1}, {1: 2} == {1: 2.0}", "{1, 2, 3} true true"),
        ('typeOf(len), typeOf(x => x), typeOf(Error("")), typeOf(None)', "function function Error"),
        ('ValueError("m"), Error([1]), Success(null), [KeyError()]', 'ValueError("m") Error([1])'),
        ('Error("a") == Error("a"), Error(1) == ValueError(1), Some(1) == 1', "true false false"),
        ('str([1].append), print, "a".contains, Error', "<function append> <function print>"),
        ('["\\n\\t\\"\\\\"], {"\\r": 1}', '["\\n\\t\\"\\\\"] {"\\r": 1}'),
        ("[1, 2, 3][-3:][0], [1, 2][5:], [1, 2][-9:1], 'abc'[-1:]", "1 [] [1] c"),
    ],
)
def test_values(expression: str, shown: str, shows: Any) -> None:
    assert shows(expression).startswith(shown)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ('int("1_000")', 'ValueError: int() cannot read "1_000"'),
        ('int("٣")', 'ValueError: int() cannot read "٣"'),
        ('int("")', 'ValueError: int() cannot read ""'),
        ('float("0x10")', 'ValueError: float() cannot read "0x10"'),
        ('float("1e")', 'ValueError: float() cannot read "1e"'),
        ('bool("yes")', 'ValueError: bool() cannot read "yes"'),
        ('int("9223372036854775808")', "OverflowError: integer result of int() is outside"),
        ("int([1])", "TypeError: int() needs a number, not List"),
        ("round(true)", "TypeError: round() needs a number, not bool"),
        ("div(1.0, 2)", "TypeError: div() needs an int, not float"),
        ("sum([1, true])", "TypeError: sum() needs a number, not bool"),
        ('sum(["a"])', "TypeError: sum() needs a number, not string"),
        ('max(1, "a")', "TypeError: max() cannot compare int with string"),
        ("min([true, false])", "TypeError: min() cannot compare bool with bool"),
        ("max({})", "ValueError: max() of an empty list"),
        ('sorted([1, "a"])', "TypeError: sorted() cannot compare int with string"),
        ("sorted([[1], [2]], x => x)", "TypeError: sorted() cannot compare List with List"),
        ("sorted([1], 5)", "TypeError: sorted() needs a function, not int"),
        ("filter([1], x => x)", "TypeError: condition must be bool, not int"),
        ("map(5, x => x)", "TypeError: map() needs a collection, not int"),
        ("map([1])", "TypeError: map() takes 2 arguments, not 1"),
        ("reduce([1], 0)", "TypeError: reduce() takes 3 arguments, not 2"),
        ("len()", "TypeError: len() takes 1 argument, not 0"),
        ("min()", "TypeError: min() takes at least 1 argument, not 0"),
        ("assert(true, 1, 2)", "TypeError: assert() takes 1 to 2 arguments, not 3"),
        ("len(x: 1)", 'TypeError: len() has no parameter "x"'),
        ("[1].append(1, 2)", "TypeError: append() takes 1 argument, not 2"),
        ("{1: 2}.keys(1)", "TypeError: keys() takes 0 arguments, not 1"),
        ("[1].push(2)", 'TypeError: List has no member "push"'),
        ("pass(null).x", 'TypeError: null has no member "x"'),
        ("pass(5)(1)", "TypeError: int is not callable"),
        ("None()", "TypeError: Option is not callable"),
        ("range(1.5)", "TypeError: range() needs an int, not float"),
        ("replace('a', '', 'b')", "ValueError: replace() with an empty text to find"),
        ("join(5, ',')", "TypeError: join() needs a list, not int"),
        ("split('a', 1)", "TypeError: split() needs a string, not int"),
        ("push({}, 1)", "TypeError: push() needs a list, not Map"),
        ("contains('a', 1)", "TypeError: contains() needs a string, not int"),
        ("{1}.union([1])", "TypeError: union() needs a set, not List"),
        ("{Some([1]): 1}", "TypeError: Option with List in it cannot be a map key"),
        ("[1][pass(true)]", "TypeError: index of a list must be int, not bool"),
        ("{1: 2}[pass(true)]", "KeyError: no key true in the map"),
        ("'abc'[9]", "IndexError: index 9 is out of range for a string of length 3"),
        ("ValueError(1, 2)", "TypeError: ValueError() takes 0 to 1 arguments, not 2"),
        ("Some()", "TypeError: Some() takes 1 argument, not 0"),
        ("assert(1)", "TypeError: assert() needs a bool, not int"),
    ],
)
def test_errors(expression: str, told: str, shows: Any) -> None:
    assert shows(expression).startswith(told)


def test_a_list_may_change_while_it_is_gone_through(chain: Any, tmp_path: Path) -> None:
    source = """
    xs = [3, 1, 2]
    print(map(xs, x => { xs.append(x)
        return x }), len(xs))
    print(sorted(xs, x => { if len(xs) > 0 { pop(xs) }
        return -x }), xs)
    m = {1: 2, 3: 4}
    for k in m { m[k + 10] = k }
    for (k, v in m) { m.remove(k) }
    let s = {1}
    for x in s { s.add(x + 1) }
    ys = [1]
    for y in ys { if y < 4 { ys.append(y + 1) } }
    print(m, s, ys)
    """
    (tmp_path / "main.noodle").write_text(source, encoding="utf-8")
    ran = chain.run_file(tmp_path, "main.noodle", optimizer=False)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "[3, 1, 2] 6",
        "[3, 3, 2, 2, 1, 1] []",
        "{} {1, 2} [1, 2, 3, 4]",
    ]
