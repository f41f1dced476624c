"""``noodle-host call``: one method, with good arguments and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CODE = """
import os, sys, time

class Greeter:
    def greet(self, name: str, times: int = 1) -> str:
        print("a worker prints this")
        return ", ".join([f"Hello, {name}"] * times)

    def count(self, n: int):
        yield from range(n)

    def fail(self):
        raise ValueError("not today")

    def nap(self):
        time.sleep(60)

    def leave(self):
        os._exit(5)

    def raw(self):
        return object()
"""


@pytest.fixture(autouse=True)
def greeter(tmp_path: Path) -> None:
    folder = tmp_path / "plugins" / "greeter" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "component.toml").write_text(
        '[component]\nname = "greeter"\nversion = "1.0.0"\nentry_point = "greeter:Greeter"\n'
    )
    (folder / "greeter.py").write_text(CODE)


@pytest.fixture
def call(noodle_host: Any) -> Any:
    def run(*arguments: str) -> Any:
        return noodle_host("call", "--plugin-path", "plugins", *arguments)

    return run


def test_the_result_is_printed_as_json(call: Any) -> None:
    result = call("greeter", "greet", '"Ann"', "2")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == "Hello, Ann, Hello, Ann"


def test_arguments_by_name(call: Any) -> None:
    assert json.loads(call("greeter==1.0.0", "greet", 'name="Ann"').stdout) == "Hello, Ann"


def test_a_stream_prints_one_line_an_item(call: Any) -> None:
    assert call("greeter", "count", "3").stdout.splitlines() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["greeter", "greet", "Ann"], 2, ["Ann", "JSON"]),
        (["greeter", "greet", 'name="A"', "1"], 2, ["1"]),
        (["greeter", "greet", "3"], 1, ["greeter 1.0.0", "name", "str"]),
        (["greeter", "greet"], 1, ["greeter 1.0.0", "name"]),
        (["greeter", "grete", '"Ann"'], 1, ["grete", "greet"]),
        (["greter", "greet", '"Ann"'], 1, ["greter", "greeter"]),
        (["greeter==2", "greet", '"Ann"'], 1, ["2", "1.0.0"]),
        (["greeter", "fail"], 1, ["ValueError", "not today"]),
        (["greeter", "leave"], 1, ["greeter 1.0.0", "died"]),
        (["greeter", "raw"], 1, ["greeter 1.0.0", "object"]),
        (["--timeout", "0.2", "greeter", "nap"], 1, ["greeter", "nap()", "deadline"]),
        (["greeter", "_hidden"], 1, ["_hidden"]),
    ],
)
def test_errors_are_one_line(
    call: Any, arguments: list[str], status: int, words: list[str]
) -> None:
    result = call(*arguments)
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert [word for word in words if word not in last] == []
    if status == 1:
        assert len(result.stderr.splitlines()) == 1
