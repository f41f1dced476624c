"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from noodle_host import Host

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def _write_plugins(folder: Path) -> None:
    manifest = _blocks("toml")[0]
    greeter, _, shop, tally, _ = _blocks("python")
    for name, version, code, more in (
        ("greeter", "1.0.0", greeter, ""),
        ("shop", "1.0.0", shop, '[requires]\ngreeter = ">=1"\n'),
        ("tally", "1.0.0", tally, _blocks("toml")[1]),
        ("tally", "2.0.0", tally, _blocks("toml")[1]),
    ):
        plugin = folder / name / version
        plugin.mkdir(parents=True)
        text = manifest.replace("greeter", name).replace("Greeter", name.capitalize())
        text = text.replace("1.0.0", version) + "\n" + more
        (plugin / "component.toml").write_text(text)
        (plugin / f"{name}.py").write_text(code)


@pytest.mark.parametrize(("block", "printed"), [(1, "0\n1\n2\n"), (4, "2 tally\n{'Ann': 2}\n")])
def test_the_examples_of_a_host_run(tmp_path: Path, block: int, printed: str) -> None:
    _write_plugins(tmp_path / "plugins")
    result = subprocess.run(
        [sys.executable, "-c", _blocks("python")[block]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.stdout, result.stderr) == (printed, "")


def test_the_example_of_a_component_that_calls_another_works(tmp_path: Path) -> None:
    _write_plugins(tmp_path)
    with Host(tmp_path) as host:
        host.start("shop")
        assert host.call("shop", "welcome", "Eve") == "Hello, Eve, what may it be?"


def test_it_opens_with_two_commands_that_stand_for_themselves() -> None:
    commands = re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)
    assert len(commands) == 2
    assert "noodle-host run " in commands[0]
    assert commands[1].endswith("python -m pytest")
    program = commands[0].split()[-1]
    assert (Path(__file__).parents[1] / program).is_file()
