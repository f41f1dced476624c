"""Programs that ask for too much get an error, or an answer, and soon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hookspecs.contracts.vm import Exit, Output

#: Far more than any of these takes; a machine that recurses or computes it all would
#: need minutes, or its process would die.
SOON_S = 20.0


@pytest.fixture
def run(chain: Any, tmp_path: Path) -> Any:
    def run_source(source: str) -> Any:
        (tmp_path / "main.noodle").write_text(source, encoding="utf-8")
        begun = time.monotonic()
        ran = chain.run_file(tmp_path, "main.noodle", optimizer=False)
        assert time.monotonic() - begun < SOON_S
        return ran

    return run_source


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("n = 100000000\nprint(2 ** n)", "OverflowError: integer result of ** is outside"),
        ("n = 1000000000000\nprint(range(0, n))", "ValueError: a list of 1000000000000 items"),
        ("n = -5000000000\nprint(len(range(0, n, -2)))", "ValueError: a list of 2500000000 items"),
        ('s = "ab"\nwhile true { s = s + s }', "ValueError: a string of 134217728 characters"),
        ('s = "ab"\nwhile true { s = `${s}${s}` }', "ValueError: a string of 134217728 characters"),
        ('s = "ab"\nwhile true { s = join([s, s]) }', "ValueError: a string of"),
        ('s = "aa"\nwhile true { s = replace(s, "a", "aa") }', "ValueError: a string of"),
        ("xs = [1]\nwhile true { xs = xs + xs }", "ValueError: a list of 16777216 items"),
        ("xs = [1, 2]\nfor i in range(0, 60) { xs = [xs, xs] }\nprint(xs)", "ValueError: a string"),
        (
            """k = Some(1)
            enum E { Two(a: any, b: any) }
            for i in range(0, 60) { k = E.Two(k, k) }
            m = {}
            m[k] = 1""",
            "TypeError: E of more than 100000 parts cannot be a map key",
        ),
        ('print(int("9" + join(map(range(0, 5000), str), "")))', "OverflowError: integer result"),
        ("print(chr(55296))", "ValueError: chr() needs a code point, not 55296"),
        ("function f(n) { return f(n + 1) }\nf(0)", "StackOverflowError: more than 1000 calls"),
        (
            "class Node { next: any = Node() }\nNode()",
            "StackOverflowError: more than 1000 calls",
        ),
        ("f = xs => map(xs, f)\nxs = []\nxs.append(xs)\nf(xs)", "StackOverflowError"),
    ],
)
def test_too_much_is_an_error(source: str, told: str, run: Any) -> None:
    ran = run(source)
    assert told in ran.stderr
    assert ran.status == 1


def test_a_loop_counts_to_any_number(run: Any) -> None:
    ran = run(
        "let n = 0\nfor i in range(0, 1000000000000) { n += i\n if i > 100 { break } }\nprint(n)\n"
        "for i in range(-9223372036854775808, 9223372036854775807) { print(i)\n break }"
    )
    assert (ran.stdout, ran.stderr) == ("5151\n-9223372036854775808\n", "")


def test_what_contains_itself_is_shown_and_compared(run: Any) -> None:
    ran = run(
        """
        xs = [1]
        xs.append(xs)
        m = {"xs": xs}
        m["m"] = m
        class Node { name: string = "n"\n next: any = null }
        node = Node()
        node.next = node
        struct Pair { a: any\n b: any }
        pair = Pair(1, 2)
        pair.b = [pair]
        print(xs, m, node, pair)
        ys = [1]
        ys.append(ys)
        print(xs == ys, xs == xs, m == {"xs": ys, "m": m}, xs == [1, [1, [2]]])
        other = Pair(1, 2)
        other.b = [other]
        print(pair == other)
        a = []
        b = [a]
        a.append(b)
        print([a, b, [a]])
        other.a = 3
        print(pair == other)
        """
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        " ".join(
            [
                "[1, [...]]",
                '{"xs": [1, [...]], "m": {...}}',
                'Node(name: "n", next: Node(...))',
                "Pair(a: 1, b: [Pair(...)])",
            ]
        ),
        "true true true false",
        "true",
        "[[[[...]]], [[[...]]], [[[[...]]]]]",
        "false",
    ]


def test_depth_is_no_limit_for_data(run: Any) -> None:
    ran = run(
        """
        let xs = []
        let ys = []
        let some = None
        for i in range(0, 50000) {
            xs = [xs]
            ys = [ys]
            some = Some(some)
        }
        text = str(xs)
        print(len(text), xs == ys, xs == [ys], len(str(some)))
        m = {}
        m[some] = 1
        print(m[some], contains([ys], xs), len(`${{"k": xs}}`))
        function depth(value) {
            let n = 0
            let inner = value
            while len(inner) > 0 { inner = inner[0]; n++ }
            return n
        }
        print(depth(xs))
        """
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "100002 true false 300004",
        "1 true 100009",
        "50000",
    ]


def test_shared_parts_are_compared_once(run: Any) -> None:
    ran = run(
        """
        function doubled(x) {
            let made = [x]
            for i in range(0, 100) { made = [made, made] }
            return made
        }
        print(doubled(1) == doubled(1), doubled(1) == doubled(2))
        """
    )
    assert (ran.stdout, ran.stderr) == ("true false\n", "")


def test_a_thousand_calls_fit_whatever_is_between(run: Any) -> None:
    ran = run(
        """
        function down(n) { return if (n == 0) 0 else map([n], k => down(k - 1))[0] + 1 }
        print(down(499))
        try { down(500) } catch (StackOverflowError e) { print(e.message) }
        function plain(n) { return if (n == 0) 0 else plain(n - 1) + 1 }
        print(plain(999))
        class Chain {
            next: any
            constructor(n) { self.next = if (n == 0) null else Chain(n - 1) }
        }
        print(len(str(Chain(999))))
        try { Chain(1000) } catch (StackOverflowError e) { print(e.message) }
        print(plain(999), down(499))
        """
    )
    assert ran.stderr == ""
    told = "more than 1000 calls in progress"
    length = len("Chain(next: ") * 1000 + len("null") + 1000
    assert ran.stdout.splitlines() == ["499", told, "999", str(length), told, "999 499"]


def test_output_comes_in_pieces_and_before_the_end(chain: Any, tmp_path: Path) -> None:
    source = 'for i in range(0, 20000) { print("line", i) }\nprint("last")\n1 / 0'
    (tmp_path / "main.noodle").write_text(source, encoding="utf-8")
    program = chain.compile(tmp_path, "main.noodle").program
    events = list(chain.vm.run(program))
    assert isinstance(events[-1], Exit)
    assert events[-1].status == 1
    texts = [event.text for event in events if isinstance(event, Output)]
    lines = [f"line {i}\n" for i in range(20_000)] + ["last\n"]
    assert "".join(texts) == "".join(lines)
    assert all(len(text) < 10_000 for text in texts)
    assert not any(isinstance(event, Exit) for event in events[:-1])


def test_a_long_line_comes_in_pieces(chain: Any, tmp_path: Path) -> None:
    source = 'let s = "ab"\nfor i in range(0, 17) { s = s + s }\nprint(s)\nprint("end")'
    (tmp_path / "main.noodle").write_text(source, encoding="utf-8")
    events = list(chain.vm.run(chain.compile(tmp_path, "main.noodle").program))
    texts = [event.text for event in events if isinstance(event, Output)]
    assert "".join(texts) == "ab" * 2**17 + "\nend\n"
    assert len(texts) >= 4
    assert max(map(len, texts)) <= 2**16


def test_safe_points_come_at_least_every_ten_thousand_instructions(
    chain: Any, tmp_path: Path
) -> None:
    for source in (
        "let n = 0\nwhile n < 300000 { n++ }",
        "function f(n) { return if (n == 0) 0 else f(n - 1) }\nfor i in range(0, 400) { f(900) }",
        "map(range(0, 300000), n => n)",
        "for n in range(0, 900000) { }",
        "print(sorted(range(0, 200000), n => -n)[0])",
    ):
        (tmp_path / "main.noodle").write_text(source, encoding="utf-8")
        program = chain.compile(tmp_path, "main.noodle").program
        events = list(chain.vm.run(program))
        last = events[-1]
        assert isinstance(last, Exit)
        assert last.status == 0
        safe_points = sum(not isinstance(event, Exit | Output) for event in events)
        assert safe_points >= last.instructions // 10_000, source
        assert last.instructions > 500_000


def test_a_run_can_be_left_at_a_safe_point(chain: Any, tmp_path: Path) -> None:
    (tmp_path / "main.noodle").write_text("while true { }", encoding="utf-8")
    running = chain.vm.run(chain.compile(tmp_path, "main.noodle").program)
    for _ in range(5):
        assert not isinstance(next(running), Exit | Output)
    running.close()
    with pytest.raises(StopIteration):
        next(running)
