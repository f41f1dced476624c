"""The native lanes under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "noodle_host" / "router" / "_lane.c"
SUITES = ("test_lane.py", "test_lane_processes.py", "test_bell.py")


def runtime(compiler: str, name: str) -> str:
    """The path of a sanitizer's library, or skip."""
    found = subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    # A compiler that has none prints the bare name.
    if not os.path.isabs(found):
        pytest.skip(f"{compiler} has no {name}")
    return os.path.realpath(found)


@pytest.fixture
def sanitized(tmp_path: Path) -> tuple[Path, str]:
    """The extension with both sanitizers, and what to load before Python."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc")
    preload = runtime(compiler, "libasan.so")
    runtime(compiler, "libubsan.so")
    extension = tmp_path / "_lane.so"
    flags = "-std=c11 -O1 -g -shared -fPIC -fno-omit-frame-pointer -Wall -Wextra -Werror"
    flags += " -Wno-unused-parameter -Wno-missing-field-initializers -Wno-cast-function-type"
    flags += " -fsanitize=address,undefined -fno-sanitize-recover=all"
    include = sysconfig.get_paths()["include"]
    command = [compiler, *flags.split(), f"-I{include}", str(SOURCE), "-o", str(extension)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return extension, preload


def test_lanes_are_clean_under_sanitizers(sanitized: tuple[Path, str], tmp_path: Path) -> None:
    extension, preload = sanitized
    environment = dict(
        os.environ,
        LD_PRELOAD=preload,
        # Python frees little at its end, and its own allocator hides errors.
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=0:exitcode=99",
        PYTHONMALLOC="malloc",
        NOODLE_HOST_TEST_EXTENSION=str(extension),
        NOODLE_HOST_TEST_FULL="0",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "native"]
    result = subprocess.run(
        [*command, *(str(HERE / suite) for suite in SUITES)],
        env=environment,
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = result.stdout[-5000:] + result.stderr[-5000:]
    assert result.returncode == 0, output
    assert "Sanitizer" not in output
    assert "passed" in result.stdout


def test_sanitizers_see_what_they_should(sanitized: tuple[Path, str]) -> None:
    """The extension under test is the sanitized one, or the test above proves nothing."""
    extension, preload = sanitized
    program = (
        "import importlib.machinery as m, importlib.util as u, sys\n"
        "loader = m.ExtensionFileLoader('noodle_host.router._lane', sys.argv[1])\n"
        "module = u.module_from_spec(u.spec_from_loader(loader.name, loader))\n"
        "loader.exec_module(module)\n"
        "maps = open('/proc/self/maps').read()\n"
        "print(sys.argv[1] in maps, 'libasan' in maps, 'libubsan' in maps)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(extension)],
        env=dict(os.environ, LD_PRELOAD=preload, ASAN_OPTIONS="detect_leaks=0"),
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["True", "True", "True"], result.stderr
