"""The command line as a person uses it: a process, its two outputs, its exit status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def noodle_host(tmp_path: Path) -> Run:
    """Run ``noodle-host ARGUMENTS`` in an empty folder."""

    def run(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "noodle_host", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def one_line_error() -> Callable[[subprocess.CompletedProcess[str], int], str]:
    """Check that a command failed with one line, and return it."""

    def check(result: subprocess.CompletedProcess[str], status: int) -> str:
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("noodle-host: ")
        return lines[0]

    return check
