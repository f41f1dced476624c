"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from noodle_host import Host

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def _write_plugins(folder: Path) -> None:
    manifest = _blocks("toml")[0]
    greeter, _, shop = _blocks("python")
    for name, code in (("greeter", greeter), ("shop", shop)):
        plugin = folder / name / "1.0.0"
        plugin.mkdir(parents=True)
        text = manifest.replace("greeter", name).replace("Greeter", name.capitalize())
        if name == "shop":
            text += '\n[requires]\ngreeter = ">=1"\n'
        (plugin / "component.toml").write_text(text)
        (plugin / f"{name}.py").write_text(code)


def test_the_example_of_a_host_runs(tmp_path: Path) -> None:
    _write_plugins(tmp_path / "plugins")
    result = subprocess.run(
        [sys.executable, "-c", _blocks("python")[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("0\n1\n2\n", "")


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
