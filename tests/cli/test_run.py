"""``noodle-host run``: programs through five processes, with good input and bad."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent.parent / "programs"


def test_it_prints_what_the_program_prints(noodle_host: Any) -> None:
    result = noodle_host("run", str(PROGRAMS / "bank.noodle"))
    assert result.stdout == (PROGRAMS / "bank.expected").read_text(encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "")


def test_json_tells_everything(noodle_host: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text("print(1 + 2)\n")
    result = noodle_host("run", "p.noodle", "--json")
    report = json.loads(result.stdout)
    assert report["output"] == "3\n"
    assert (report["status"], report["error"], report["diagnostics"]) == (0, None, [])
    assert set(report["versions"]) == {"lexer", "parser", "optimizer", "bytecode_generator", "vm"}
    assert report["optimizations"]["constant_folding"] == 1
    assert report["statistics"]["instructions"] > 0


def test_versions_go_to_standard_error(noodle_host: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text("print(1)\n")
    result = noodle_host("run", "p.noodle", "--versions")
    assert result.stdout == "1\n"
    assert "lexer 1.0.0, parser 1.0.0" in result.stderr


def test_a_version_can_be_asked_for(noodle_host: Any, one_line_error: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text("print(1)\n")
    assert noodle_host("run", "p.noodle", "--use", "lexer==1.0.0").stdout == "1\n"
    line = one_line_error(noodle_host("run", "p.noodle", "--use", "lexer==77"), 1)
    assert "lexer" in line
    assert "77" in line
    line = one_line_error(noodle_host("run", "p.noodle", "--use", "lexor==1.0.0"), 2)
    assert "lexor" in line


def test_imports_are_found_beside_the_importing_file(noodle_host: Any, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "shapes.noodle").write_text(
        "function area(w, h) { return w * h }\nexport { area }\n"
    )
    (tmp_path / "p.noodle").write_text('import { area } from "lib/shapes"\nprint(area(2, 3))\n')
    assert noodle_host("run", "p.noodle").stdout == "6\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"p.noodle": 'import "./nowhere"\n'},
            'p.noodle:1:8: error: cannot find module "./nowhere"',
        ),
        (
            {"p.noodle": 'import { x } from "./m"\n', "m.noodle": "y = 1\nexport { y }\n"},
            'p.noodle:1:10: error: module "./m" has no export "x"',
        ),
        (
            {"p.noodle": 'import "./q"\n', "q.noodle": '\nimport "./p"\n'},
            "q.noodle:2:8: error: import cycle: p.noodle -> q.noodle -> p.noodle",
        ),
        (
            {"p.noodle": 'import "./p"\n'},
            "p.noodle:1:8: error: import cycle: p.noodle -> p.noodle",
        ),
    ],
)
def test_imports_that_do_not_work(
    noodle_host: Any, tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = noodle_host("run", "p.noodle")
    assert result.returncode == 1
    assert expected in result.stderr.splitlines()
    assert result.stdout == ""


def test_all_errors_of_a_source_are_told_at_once(noodle_host: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text("x = $\nprint(totl)\nlet total = 1\nprint(1 +)\n")
    result = noodle_host("run", "p.noodle")
    assert result.returncode == 1
    heads = [line for line in result.stderr.splitlines() if line.startswith("p.noodle:")]
    assert [head.split(": ")[0] for head in heads] == [
        "p.noodle:1:5",
        "p.noodle:2:7",
        "p.noodle:4:10",
    ]
    assert "    ^" in result.stderr


def test_a_source_that_is_not_utf8(noodle_host: Any, one_line_error: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_bytes(b'x = 1\nprint("\xff")\n')
    line = one_line_error(noodle_host("run", "p.noodle"), 1)
    assert "p.noodle:2:8" in line
    assert "not UTF-8" in line


def test_a_directory(noodle_host: Any, one_line_error: Any, tmp_path: Path) -> None:
    assert "directory" in one_line_error(noodle_host("run", "."), 1)


def test_a_file_that_is_not_there(noodle_host: Any, one_line_error: Any) -> None:
    assert "nowhere.noodle" in one_line_error(noodle_host("run", "nowhere.noodle"), 1)


def test_a_file_that_cannot_be_read(noodle_host: Any, one_line_error: Any, tmp_path: Path) -> None:
    # A loop of links cannot be read by anybody, root included.
    (tmp_path / "p.noodle").symlink_to("p.noodle")
    assert "cannot be read" in one_line_error(noodle_host("run", "p.noodle"), 1)


def test_an_uncaught_error_is_one_line_and_the_stack(noodle_host: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text(
        "function inner(d) {\n  return 1 / d\n}\nfunction outer() {\n  return inner(0)\n}\n"
        'print("before")\nouter()\n'
    )
    result = noodle_host("run", "p.noodle")
    assert result.returncode == 1
    assert result.stdout == "before\n"
    assert result.stderr.splitlines() == [
        "p.noodle:2:12: DivisionError: division by zero",
        "  at inner (p.noodle:2:12)",
        "  at outer (p.noodle:5:15)",
        "  at <module> (p.noodle:8:6)",
    ]


def test_an_endless_loop_is_stopped(noodle_host: Any, one_line_error: Any, tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text("while (true) { }\n")
    began = time.monotonic()
    line = one_line_error(noodle_host("run", "p.noodle", "--timeout", "0.3"), 1)
    assert "0.3" in line
    assert time.monotonic() - began < 10


def test_output_comes_while_the_program_runs(tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text('print("first")\nwhile (true) { }\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "noodle_host", "run", "p.noodle"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], 30)
        assert readable
        assert os.read(process.stdout.fileno(), 100) == b"first\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    # A new line first: the terminal has shown ^C on this one.
    assert errors.decode() == "\nnoodle-host: interrupted\n"


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "p.noodle").write_text('while (true) { print("more") }\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "noodle_host", "run", "p.noodle"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"more\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "p.noodle", "--timeout", "-1"],
        ["run", "p.noodle", "--timeout", "soon"],
        ["run", "p.noodle", "--nonsense"],
        ["run", "p.noodle", "--plugin-path", "nowhere"],
        ["walk", "p.noodle"],
    ],
)
def test_a_command_that_is_not_understood(noodle_host: Any, arguments: list[str]) -> None:
    result = noodle_host(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


def test_debug_shows_the_traceback(noodle_host: Any) -> None:
    result = noodle_host("--debug", "run", "nowhere.noodle")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_broken_component_is_one_line(
    noodle_host: Any, one_line_error: Any, tmp_path: Path, make_component: Callable[..., None]
) -> None:
    make_component("vm", "9.0.0", "import nothing_like_this\n", kind="vm")
    (tmp_path / "p.noodle").write_text("print(1)\n")
    line = one_line_error(noodle_host("run", "p.noodle", "--plugin-path", "plugins"), 1)
    assert "vm 9.0.0" in line
    assert "nothing_like_this" in line


@pytest.fixture
def make_component(tmp_path: Path) -> Callable[..., None]:
    """Write a plugin whose class is ``it.It`` into ``plugins``."""

    def make(name: str, version: str, code: str, kind: str = "service") -> None:
        folder = tmp_path / "plugins" / name / version
        folder.mkdir(parents=True)
        (folder / "component.toml").write_text(
            f'[component]\nname = "{name}"\nversion = "{version}"\nkind = "{kind}"\n'
            'entry_point = "it:It"\n'
        )
        (folder / "it.py").write_text(code)

    return make


def test_the_vm_dies_in_the_middle(
    noodle_host: Any, one_line_error: Any, tmp_path: Path, make_component: Callable[..., None]
) -> None:
    code = "import os\nclass It:\n    def run(self, program):\n        yield os._exit(3)\n"
    make_component("vm", "9.0.0", code)
    (tmp_path / "p.noodle").write_text("print(1)\n")
    line = one_line_error(noodle_host("run", "p.noodle", "--plugin-path", "plugins"), 1)
    assert "vm 9.0.0" in line
    assert "died" in line
