"""``noodle-host doctor``: what this machine offers, and what that means."""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import asdict, dataclass
from typing import Literal

import click

from .options import json_option

#: Each channel takes a few descriptors, in the host and in its workers.
_FEW_FILES = 1024


@dataclass(frozen=True)
class Finding:
    """``status``: ``ok``; ``slow`` works with less speed; ``bad`` does not work."""

    name: str
    status: Literal["ok", "slow", "bad"]
    detail: str


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check what the host needs from this machine.

    The exit status is 1 if something is missing without which it does not work.
    """
    findings = examine()
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode([asdict(finding) for finding in findings]).decode())
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            click.echo(f"{finding.status:<4}  {finding.name:<{width}}  {finding.detail}")
    return int(any(finding.status == "bad" for finding in findings))


def examine() -> list[Finding]:
    """Look at everything once."""
    return [_python(), _lanes(), _kernel(), _cores(), _files()]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.machine()}")


def _lanes() -> Finding:
    from noodle_host.router.native import implementation

    used = implementation()
    if used.is_native:
        return Finding("lanes", "ok", f"native: {used.reason}")
    detail = f"in Python, a call takes about twice as long: {used.reason}"
    # Python cannot order stores, which other machines than x86 need.
    is_ordered = platform.machine() in ("x86_64", "AMD64", "i686")
    return Finding("lanes", "slow" if is_ordered else "bad", detail)


def _kernel() -> Finding:
    wanted = ("memfd_create", "eventfd", "pidfd_open")
    missing = [name for name in wanted if not hasattr(os, name)]
    if missing:
        return Finding("kernel", "bad", f"{platform.release()} lacks {', '.join(missing)}")
    return Finding("kernel", "ok", f"{platform.system()} {platform.release()}")


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0))
    if count == 1:
        return Finding("cores", "slow", "1: host and worker take turns, nobody spins")
    return Finding("cores", "ok", str(count))


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft <= _FEW_FILES:
        return Finding("open files", "slow", f"{soft} (of {hard}): few for more than 100 workers")
    return Finding("open files", "ok", f"{soft} (of {hard})")
