"""The protocol of following, checked by SPIN over all that following.pml lets happen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None,
    reason="needs spin and gcc on PATH (Debian packages spin, gcc)",
)

_MODEL = Path(__file__).with_name("following.pml")
_FULL = pytest.mark.skipif(
    os.environ.get("NOODLE_HOST_FULL") != "1",
    reason="needs more time or memory than every run may cost: set NOODLE_HOST_FULL=1",
)

#: Up to half a million states: a second, 50 MB.
_HOLDS_QUICK = [
    "",
    "-DKILL",
    "-DKILL -DEARLYEXEC",
    "-DYIELDS=2 -DSHARE -DPATIENT",
    "-DKILL -DYIELDS=2 -DSHARE -DNCALL=1",
]
#: Up to 25 million states: a minute, 1.5 GB.
_HOLDS_FULL = [
    "-DKILL -DYIELDS=2",
    "-DKILL -DYIELDS=2 -DWINDOW=2",
    "-DKILL -DYIELDS=2 -DNCALL=3",
    "-DKILL -DYIELDS=2 -DSHARE",
    "-DKILL -DYIELDS=2 -DSHARE -DPATIENT",
    "-DKILL -DYIELDS=2 -DSHARE -DRING=1",
    "-DKILL -DYIELDS=2 -DSHARE -DRING=2",
    "-DKILL -DYIELDS=2 -DSHARE -DRING=2 -DPATIENT",
    "-DKILL -DSHARE -DRING=2 -DWINDOW=2",
    "-DKILL -DSHARE -DRING=2 -DNCALL=3",
]
_FAILS_QUICK = [
    "-DKILL -DLIVESTAMP",
    "-DKILL -DLOGFIRST",
    "-DKILL -DSTATFIRST",
    "-DKILL -DEARLYEXEC -DNOREANSWER",
    "-DYIELDS=1 -DEARLYLEAD",
    "-DFALSEDEATH=1",
    "-DKILL -DSHARE -DFANSWERS",
]
_FAILS_FULL = [
    "-DKILL -DSHARE -DNOREANSWER",
    "-DKILL -DYIELDS=1 -DORDERONCE",
    "-DYIELDS=1 -DLATEEND",
    "-DYIELDS=1 -DSHARE -DOPENYIELD",
    "-DYIELDS=1 -DFALSEDEATH=0",
    "-DRING=1 -DFALSEDEATH=0",
    "-DSHARE -DRING=1 -DPATIENT -DOLDRELAY",
    "-DKILL -DSHARE -DRING=1 -DOPENREUSED",
    "-DKILL -DSHARE -DRING=2 -DNOGAP",
]
#: A broken rule that shows only at its event holds without it: it is found for its own reason.
_HOLDS_WITHOUT_EVENT = [
    "-DYIELDS=2 -DSHARE -DLIVESTAMP",
    "-DYIELDS=2 -DSHARE -DLOGFIRST",
    "-DYIELDS=2 -DSHARE -DSTATFIRST",
    "-DYIELDS=2 -DSHARE -DEARLYEXEC -DNOREANSWER",
    "-DYIELDS=2 -DSHARE -DORDERONCE",
    "-DYIELDS=2 -DSHARE -DRING=2 -DNOGAP",
    "-DSHARE -DFANSWERS",
    "-DSHARE -DRING=1 -DOPENREUSED",
    "-DKILL -DSHARE -DEARLYLEAD",
    "-DKILL -DSHARE -DLATEEND",
    "-DKILL -DSHARE -DOPENYIELD",
    "-DKILL -DSHARE -DPATIENT -DOLDRELAY",
    "-DFALSEDEATH=0",
]


def _some(quick: list[str], full: list[str]) -> list[object]:
    return [
        *(pytest.param(flags, id=flags or "none") for flags in quick),
        *(pytest.param(flags, id=flags, marks=_FULL) for flags in full),
    ]


def _run(command: list[str], folder: Path) -> str:
    result = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(command)}: {result.stdout}"
    return result.stdout


def _checked(flags: str, folder: Path) -> str:
    """What the verifier says of the model with these definitions."""
    generated = _run(["spin", *flags.split(), "-a", str(_MODEL)], folder)
    assert "Error" not in generated, generated
    bounds = ["-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2048"]
    _run(["gcc", "-O2", "-w", *bounds, "-o", "pan", "pan.c"], folder)
    return _run(["./pan", "-m10000", "-w22"], folder)


def _errors(said: str) -> int:
    found = re.search(r"errors: (\d+)", said)
    assert found is not None, said
    return int(found[1])


def _assert_holds(said: str) -> None:
    assert _errors(said) == 0, said
    for incomplete in ("Search not completed", "out of memory", "max search depth too small"):
        assert incomplete not in said, said


@pytest.mark.parametrize("flags", _some(_HOLDS_QUICK, _HOLDS_FULL))
def test_holds(flags: str, tmp_path: Path) -> None:
    _assert_holds(_checked(flags, tmp_path))


@pytest.mark.parametrize("flags", _some(_FAILS_QUICK, _FAILS_FULL))
def test_every_rule_is_needed(flags: str, tmp_path: Path) -> None:
    said = _checked(flags, tmp_path)
    assert _errors(said) == 1, said
    assert "assertion violated" in said, said


@pytest.mark.parametrize("flags", _some([], _HOLDS_WITHOUT_EVENT))
def test_a_broken_rule_waits_for_its_event(flags: str, tmp_path: Path) -> None:
    _assert_holds(_checked(flags, tmp_path))


def test_every_statement_is_reached(tmp_path: Path) -> None:
    """No error means nothing where the model cannot go."""
    said = _checked("-DKILL -DYIELDS=1 -DSHARE -DRING=1", tmp_path)
    _assert_holds(said)
    for process in ("Worker", "Caller", "Killer", "Check"):
        reached = re.search(rf"unreached in proctype {process}\n\t\(0 of \d+ states\)", said)
        assert reached is not None, said
