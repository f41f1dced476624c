"""Hosts for the components that promises are proved with, loads for them, and checks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from noodle_host import Host, HostConfig, RestartPolicy

_HERE = Path(__file__).parent
# What the tests of this folder share is the package ``harness`` beside this file.
if str(_HERE) not in sys.path:
    sys.path.append(str(_HERE))

from harness.checker import violations  # noqa: E402
from harness.history import Operation  # noqa: E402
from harness.leftovers import Leftovers  # noqa: E402
from harness.load import COMPONENTS, Load, final_state  # noqa: E402

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def promise_plugins() -> Path:
    """The folder of the components, each in versions 1.0.0 and 2.0.0."""
    return _HERE / "plugins"


@pytest.fixture
def leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Leftovers]:
    """A :class:`Leftovers`, checked once more when the hosts of the test are closed.

    Hosts of this process, and those of ``new_hosting``, are started in its environment.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    left = Leftovers(temporary, [_HERE / "plugins"])
    for name, value in left.environment.items():
        monkeypatch.setenv(name, value)
    yield left
    # The traceback of a test that has failed holds on to its host.
    if not request.node.stash.get(_FAILED, False):
        left.check()


@pytest.fixture
def new_promise_host(leftovers: Leftovers, promise_plugins: Path) -> Iterator[Callable[..., Host]]:
    """``new_promise_host(*components, version="<2", **settings)``: a host in which they run.

    Without components, all of them. A worker that dies is started again at once. At
    the end of the test it is closed, and must have left nothing.
    """
    hosts: list[Host] = []

    def make(*components: str, version: str = "<2", **settings: Any) -> Host:
        settings.setdefault("stop_timeout_s", 2.0)
        settings.setdefault("restart", RestartPolicy(first_delay_s=0.0, quarantine_after=1000))
        hosts.append(Host(promise_plugins, config=HostConfig(**settings)))
        names = components or COMPONENTS
        if "teller" in names:
            # Of that version too, and said before the teller asks for any.
            names = ("kv", "journal", *names)
        hosts[-1].start_all(dict.fromkeys(names, version))
        return hosts[-1]

    yield make
    while hosts:
        hosts.pop().close()


@pytest.fixture
def new_load(new_promise_host: object) -> Iterator[Callable[..., Load]]:
    """``new_load(host, components=COMPONENTS, ...)``: a :class:`Load`, stopped at the end."""
    made: list[Load] = []

    def make(host: Host, *arguments: Any, **settings: Any) -> Load:
        made.append(Load(host, *arguments, **settings))
        return made[-1]

    yield make
    while made:
        made.pop().stop()


@pytest.fixture
def assert_kept() -> Callable[..., list[Operation]]:
    """``assert_kept(load, host, errors_are_allowed=False)``: stop the load and check it all.

    Returns the history. ``host`` None: the answers alone are checked.
    """

    def check(
        load: Load, host: Host | None, *, errors_are_allowed: bool = False
    ) -> list[Operation]:
        operations = load.stop()
        final = final_state(host) if host is not None else {}
        found = violations(operations, final, errors_are_allowed=errors_are_allowed)
        more = f"\n... and {len(found) - 20} more" if len(found) > 20 else ""
        assert not found, "\n".join(found[:20]) + more
        return operations

    return check


@pytest.fixture
def new_hosting(
    leftovers: Leftovers, promise_plugins: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``new_hosting(version="<2", *swap)``: a process with a host under load, see ``hosting``."""
    processes: list[subprocess.Popen[str]] = []
    path = os.pathsep.join([str(_HERE.parent.parent), str(_HERE)])

    def start(version: str = "<2", *swap: str) -> subprocess.Popen[str]:
        arguments = [promise_plugins, version, *swap]
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "harness.hosting", *arguments],
            env={**os.environ, **leftovers.environment, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
