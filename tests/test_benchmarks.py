"""The benchmarks run and print what programs read; their figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def _measured(*arguments: str) -> dict[str, Any]:
    result = _run(*arguments, "--json", "--rounds", "1")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["name"] == arguments[0]
    return found


def test_call() -> None:
    found = _measured("call")
    sizes = ["64B", "4KiB", "64KiB", "1MiB", "16MiB"]
    assert set(found["ratios"]) == {f"call_{size}_vs_pipe" for size in sizes} | {
        "pipelined_vs_pipe"
    }
    assert set(found["medians_us"]) == {
        f"{who}_{what}" for who in ("call", "pipe") for what in [*sizes, "pipelined"]
    }
    assert all(value > 0 for value in [*found["ratios"].values(), *found["medians_us"].values()])


def test_pipeline() -> None:
    found = _measured("pipeline")
    assert found["ratios"]["isolated_vs_in_process"] > 0
    assert len(found["programs"]) >= 6


def test_swap() -> None:
    found = _measured("swap")
    assert set(found["ratios"]) == {
        "pause_live_1M_vs_10",
        "pause_by_hand_1M_vs_live_1M",
        "journal_vs_stateless",
        "follower_vs_stateless",
    }
    sizes = ("10", "10k", "1M")
    ways = {f"{way}_{size}" for way in ("live", "copied", "by_hand") for size in sizes}
    assert set(found["medians_ms"]) == ways | {"stateless", "adopted_1GiB", "takeover"}
    assert all(value > 0 for value in found["ratios"].values())
    for row in found["medians_ms"].values():
        assert 0 < row["p50"] <= row["p99"] <= row["longest"]
    assert (found["lost"], found["duplicated"]) == (0, 0)


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], [], ["call", "--rounds", "0"], ["call", "--output", "somewhere"]],
)
def test_what_is_not_understood(arguments: list[str]) -> None:
    result = _run(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
