"""Every Noodle program of the corpus does what is written beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parents[1] / "programs"
ERRORS = PROGRAMS / "errors"
COMPILE = ERRORS / "compile"
MESSAGES = ERRORS / "MESSAGES.md"


def names(folder: Path, suffix: str) -> list[str]:
    found = sorted(path.stem for path in folder.glob(f"*{suffix}"))
    assert found
    return found


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.parametrize("optimizer", [True, False], ids=["optimized", "plain"])
@pytest.mark.parametrize("name", names(PROGRAMS, ".noodle"))
def test_a_program_prints_what_its_reference_prints(name: str, optimizer: bool, chain: Any) -> None:
    ran = chain.run_file(PROGRAMS, f"{name}.noodle", optimizer=optimizer)
    assert (ran.stderr, ran.status) == ("", 0)
    assert ran.stdout == (PROGRAMS / f"{name}.expected").read_text(encoding="utf-8")


@pytest.mark.parametrize("optimizer", [True, False], ids=["optimized", "plain"])
@pytest.mark.parametrize("name", names(ERRORS, ".noodle"))
def test_an_uncaught_error_is_told_with_its_place(name: str, optimizer: bool, chain: Any) -> None:
    ran = chain.run_file(ERRORS, f"{name}.noodle", optimizer=optimizer)
    assert ran.stderr == text(ERRORS / f"{name}.stderr")
    assert ran.status == 1
    assert ran.stdout == text(ERRORS / f"{name}.expected")


@pytest.mark.parametrize("name", names(COMPILE, ".stderr"))
def test_all_errors_of_a_source_are_told_at_once(name: str, chain: Any) -> None:
    compiled = chain.compile(COMPILE, f"{name}.noodle")
    assert compiled.program is None
    told = [
        f"{d.file}:{d.line}:{d.column}: {d.severity}: {d.message}" for d in compiled.diagnostics
    ]
    assert told == text(COMPILE / f"{name}.stderr").splitlines()


@pytest.mark.parametrize("name", names(COMPILE, ".stderr"))
def test_what_is_underlined_stands_in_the_source(name: str, chain: Any) -> None:
    for diagnostic in chain.compile(COMPILE, f"{name}.noodle").diagnostics:
        line = (text(COMPILE / diagnostic.file).splitlines() or [""])[diagnostic.line - 1]
        assert diagnostic.length >= 1
        assert diagnostic.column <= len(line) + 1


def test_one_error_in_ten_thousand_lines_is_one_message(chain: Any, tmp_path: Path) -> None:
    lines = [f"function f{n}(a, b) {{ return a * {n} + b }}" for n in range(10_000)]
    lines[5_000] = "function f5000(a, b) { return a * 5000 + ) }"
    (tmp_path / "long.noodle").write_text("\n".join(lines) + "\n", encoding="utf-8")
    diagnostics = chain.compile(tmp_path, "long.noodle").diagnostics
    assert [(d.line, d.column, d.message) for d in diagnostics] == [
        (5_001, 42, 'expected an expression, found ")"')
    ]


def test_larger_programs_exist_and_are_larger(chain: Any) -> None:
    larger = text(PROGRAMS / "larger.txt").split()
    assert 6 <= len(larger) == len(set(larger)) <= 8
    assert set(larger) <= set(names(PROGRAMS, ".noodle"))
    for name in larger:
        ran = chain.run_file(PROGRAMS, f"{name}.noodle", optimizer=True)
        assert ran.instructions > 500_000, name


def test_programs_are_short_enough_to_read() -> None:
    for path in PROGRAMS.rglob("*.noodle"):
        assert len(text(path).splitlines()) <= 150, path


def test_expected_files_are_what_the_references_print() -> None:
    script = PROGRAMS / "reference" / "regenerate.py"
    result = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert {path.stem for path in PROGRAMS.glob("*.noodle")} == {
        path.stem for path in PROGRAMS.glob("*.expected")
    }


def test_every_error_program_says_what_it_ends_with() -> None:
    assert names(ERRORS, ".noodle") == names(ERRORS, ".stderr")
    assert set(names(COMPILE, ".stderr")) <= set(names(COMPILE, ".noodle"))


def templates(section: str, column: int) -> list[str]:
    """The messages in one table of MESSAGES.md."""
    body = text(MESSAGES).split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line) for line in body.splitlines() if line.startswith("|")]
    return [span for row in rows[2:] for span in re.findall(r"`([^`]+)`", row[column])]


def pattern(template: str) -> re.Pattern[str]:
    """What a template stands for: any name, number, type and value in its places."""
    loose = re.escape(template)
    loose = re.sub(r'"[^"]*"', '".*"', loose)
    loose = re.sub(r"\b(TYPE|VALUE|OP|FUNCTION|TOKEN)\b", ".+", loose)
    loose = re.sub(r"N\\ arguments", r"(\\d+ to )?\\d+ arguments?", loose)
    loose = re.sub(r"\b\w+\\\(\\\)", r"\\S+\\(\\)", loose)
    loose = re.sub(r"\d+", r"\\d+", loose)
    loose = re.sub(r"(?<=must\\ be\\ )int(?=,)|(?<=must\\ return\\ )int(?=,)", ".+", loose)
    loose = re.sub(r":\\ text$", ": .+", loose)
    loose = re.sub(r"[\w/]+\\\.noodle", r"\\S+\\.noodle", loose)
    return re.compile(loose)


RUN_TIME = templates("Run time", 3)
COMPILE_TIME = templates("Compile time", 2)


@pytest.mark.parametrize("template", RUN_TIME)
def test_a_run_time_message_has_a_program(template: str) -> None:
    shown = "".join(text(path) for path in ERRORS.glob("*.*") if path.suffix != ".noodle")
    shown = shown.replace(text(MESSAGES), "")
    assert pattern(template).search(shown)


@pytest.mark.parametrize("template", COMPILE_TIME)
def test_a_compile_time_message_has_a_source(template: str) -> None:
    shown = "".join(text(path) for path in COMPILE.glob("*.stderr"))
    assert pattern(template).search(shown)
