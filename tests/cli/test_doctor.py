"""``noodle-host doctor``."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_a_machine_that_runs_these_tests_is_good_enough(noodle_host: Any) -> None:
    result = noodle_host("doctor")
    assert (result.returncode, result.stderr) == (0, "")
    names = [line.split()[1] for line in result.stdout.splitlines()]
    assert names == ["python", "lanes", "kernel", "cores", "open"]


def test_it_says_when_the_lanes_are_slow_and_why(
    noodle_host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOODLE_HOST_NATIVE", "0")
    findings = {
        found["name"]: found for found in json.loads(noodle_host("doctor", "--json").stdout)
    }
    assert findings["lanes"]["status"] in ("slow", "bad")
    assert "NOODLE_HOST_NATIVE=0" in findings["lanes"]["detail"]
