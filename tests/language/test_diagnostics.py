"""How a diagnostic looks to a person."""

from __future__ import annotations

import pytest

from hookspecs.diagnostics import Diagnostic
from noodle_host.diagnostics import render


def _diagnostic(line: int, column: int, length: int = 1, expected: str = "") -> Diagnostic:
    return Diagnostic("error", "parsing", "wrong", "p.noodle", line, column, length, expected)


def _carets(text: str) -> str:
    return text.splitlines()[2]


def test_the_place_is_marked_below_its_line() -> None:
    assert render(_diagnostic(2, 7, 4, '"total"'), "total = 1\nprint(totl)\n") == (
        'p.noodle:2:7: error: wrong\n    print(totl)\n          ^^^^\n    expected: "total"'
    )


def test_without_a_source_there_is_the_message_alone() -> None:
    assert render(_diagnostic(2, 7), None) == "p.noodle:2:7: error: wrong"


@pytest.mark.parametrize("line", [0, 3, 1000])
def test_a_line_that_is_not_there(line: int) -> None:
    assert render(_diagnostic(line, 1), "a\nb").splitlines() == [f"p.noodle:{line}:1: error: wrong"]


def test_tabs_stay_tabs_so_that_the_caret_stands_below() -> None:
    assert _carets(render(_diagnostic(1, 3), "\t\tx")) == "    \t\t^"


def test_wide_characters_take_two_columns() -> None:
    assert _carets(render(_diagnostic(1, 3, 2), "日本語x")) == "        ^^^"


def test_combining_characters_take_none() -> None:
    assert _carets(render(_diagnostic(1, 3), "e\N{COMBINING ACUTE ACCENT}x")) == "     ^"


def test_the_place_behind_the_last_character() -> None:
    assert _carets(render(_diagnostic(1, 4), "abc")) == "       ^"


def test_the_underline_ends_with_the_line() -> None:
    assert _carets(render(_diagnostic(1, 2, 99), "abc")) == "     ^^"


@pytest.mark.parametrize("column", [1, 60, 5000, 9999])
def test_a_long_line_is_cut_around_the_place(column: int) -> None:
    source = "".join(str(number % 10) for number in range(1, 10_001))
    shown, carets = render(_diagnostic(1, column), source).splitlines()[1:]
    assert len(shown) < 120
    assert shown[carets.index("^")] == str(column % 10)


def test_control_characters_are_not_sent_to_the_terminal() -> None:
    assert "\x1b" not in render(_diagnostic(1, 1), "\x1b[2J")
