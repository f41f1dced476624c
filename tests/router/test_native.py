"""Which lanes are chosen, and that processes with different ones work together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

_CHOICE = """
import json
from noodle_host.router import native
chosen = native.implementation()
print(json.dumps([chosen.is_native, chosen.reason, native.LaneReader.__module__]))
"""

_MIXED = """
import os, sys
here, there, folder = sys.argv[1:]
os.environ["NOODLE_HOST_NATIVE"] = here
from noodle_host.router import native
os.environ["NOODLE_HOST_NATIVE"] = there
from noodle_host import Host
with Host(folder) as host:
    host.start("mirror")
    for size in (0, 1, 1000, 100_000):
        body = os.urandom(size)
        assert host.call("mirror", "echo", body) == body
    waiting = [host.submit("mirror", "echo", bytes(1000)) for _ in range(3000)]
    assert all(call.result() == bytes(1000) for call in waiting)
    assert list(host.stream("mirror", "count", 500)) == list(range(500))
    print(native.implementation().is_native, host.call("mirror", "is_native"))
"""

_MANIFEST = """
[component]
name = "mirror"
version = "1.0.0"
entry_point = "mirror:Mirror"
"""

_PLUGIN = """
from collections.abc import Iterator

from noodle_host.router import native


class Mirror:
    def echo(self, body: bytes) -> bytes:
        return body

    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    def is_native(self) -> bool:
        return native.implementation().is_native
"""


def run(program: str, *arguments: str, variable: str | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "NOODLE_HOST_NATIVE"}
    if variable is not None:
        environment["NOODLE_HOST_NATIVE"] = variable
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout


@pytest.mark.parametrize("variable", [None, "1", ""])
def test_native_lanes_are_chosen_where_they_load(native: Any, variable: str | None) -> None:
    is_native, reason, module = json.loads(run(_CHOICE, variable=variable))
    assert is_native
    assert "loads" in reason
    assert module == "noodle_host.router._lane"


def test_variable_forces_python() -> None:
    is_native, reason, module = json.loads(run(_CHOICE, variable="0"))
    assert not is_native
    assert "NOODLE_HOST_NATIVE=0" in reason
    assert module == "noodle_host.router.lane"


def test_missing_extension_is_no_error() -> None:
    hidden = "import sys; sys.modules['noodle_host.router._lane'] = None\n"
    is_native, reason, module = json.loads(run(hidden + _CHOICE))
    assert not is_native
    assert "not built" in reason
    assert module == "noodle_host.router.lane"


def test_python_lanes_refuse_machines_that_reorder_stores() -> None:
    program = (
        "import platform; platform.machine = lambda: 'aarch64'\n"
        "from noodle_host.router import lane\n"
        "words = memoryview(bytearray(4096)).cast('Q')\n"
        "try: lane.LaneMemory(words, memoryview(bytearray(1024)), 16)\n"
        "except RuntimeError as error: print(error)\n"
    )
    assert "aarch64" in run(program)


@pytest.mark.parametrize(("here", "there"), [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")])
def test_host_and_worker_need_not_agree(native: Any, tmp_path: Path, here: str, there: str) -> None:
    folder = tmp_path / "mirror" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "component.toml").write_text(_MANIFEST)
    (folder / "mirror.py").write_text(_PLUGIN)
    said = run(_MIXED, here, there, str(tmp_path))
    assert said.split() == [str(here == "1"), str(there == "1")]


def test_package_builds_without_a_compiler(tmp_path: Path) -> None:
    """What cannot be compiled is left out with a warning."""
    source = tmp_path / "source"
    (source / "noodle_host" / "router").mkdir(parents=True)
    (source / "noodle_host" / "router" / "_lane.c").write_bytes(
        (ROOT / "noodle_host" / "router" / "_lane.c").read_bytes()
    )
    (source / "setup.py").write_bytes((ROOT / "setup.py").read_bytes())
    result = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path / "out")],
        env=dict(os.environ, CC="/nonexistent/compiler"),
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert not list((tmp_path / "out").rglob("*.so"))
