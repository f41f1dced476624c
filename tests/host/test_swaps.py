"""Swaps that go well, swaps that are refused, and swaps that fail: the state is kept."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import re
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from noodle_host import (
    CallError,
    ComponentInfo,
    ComponentNotFoundError,
    Host,
    HostConfig,
    HostError,
    HotSwapError,
    PoisonCall,
    RequirementError,
    RestartPolicy,
    WorkerDied,
)
from noodle_host.supervise.swap import SwapEvent, plan

_MODELS = ("stateless", "snapshot", "replicated")
_WITH_STATE = ("snapshot", "replicated")


class Versions:
    """Versions of the component ``vault``, made from the two that the tests have."""

    def __init__(self, folder: Path, plugins: Path) -> None:
        self.folder = folder
        self._plugins = plugins / "vault"

    def add(
        self,
        version: str,
        body: str = "",
        *,
        like: str = "1.0.0",
        model: str = "replicated",
        schema: int | None = None,
        name: str = "vault",
        component: str = "",
        resumes: bool = True,
        **tables: str,
    ) -> None:
        """Write a version whose class is that of ``like`` with ``body`` over it.

        ``component`` is added to the manifest's table of that name, ``tables`` below it,
        ``state`` to the table of the state. Without ``resumes`` it has no resume().
        """
        folder = self.folder / name / version
        folder.mkdir(parents=True)
        source = (self._plugins / like / "vault.py").read_text()
        if not resumes:
            source = source.replace("    @hookimpl\n    def resume(", "    def _resume(")
        body = textwrap.indent(textwrap.dedent(body).strip() or "pass", "    ")
        (folder / "vault.py").write_text(f"{source}\n\nclass Variant(Vault):\n{body}\n")
        if schema is None:
            schema = int(like[0])
        state = tables.pop("state", "")
        lines = [
            "[component]",
            f'name = "{name}"',
            f'version = "{version}"',
            'entry_point = "vault:Variant"',
            component,
            "[state]",
            f'model = "{model}"',
            f"schema = {schema}",
            state,
        ]
        for table, text in tables.items():
            lines += [f"[{table}]", text]
        (folder / "component.toml").write_text("\n".join(lines) + "\n")

    def add_both(self, model: str = "replicated", **settings: Any) -> None:
        """Write 1.0.0 and 2.0.0."""
        self.add("1.0.0", model=model, **settings)
        self.add("2.0.0", like="2.0.0", model=model, **settings)


@pytest.fixture
def versions(tmp_path: Path, plugins: Path) -> Versions:
    return Versions(tmp_path / "plugins", plugins)


@pytest.fixture
def serve(versions: Versions) -> Iterator[Callable[..., Host]]:
    """``serve(version="1.0.0", **settings)``: a host in which that version of the vault runs."""
    hosts: list[Host] = []

    def make(version: str | None = "1.0.0", **settings: Any) -> Host:
        settings.setdefault("stop_timeout_s", 2.0)
        settings.setdefault("restart", RestartPolicy(first_delay_s=0.0, quarantine_after=1000))
        hosts.append(Host(versions.folder, config=HostConfig(**settings)))
        if version is not None:
            hosts[-1].start("vault", version)
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


def vault_info(host: Host) -> ComponentInfo:
    (info,) = [info for info in host.components() if info.name == "vault"]
    return info


def serves(host: Host, version: str, items: list[Any]) -> None:
    """Assert that a version serves, with that state, and takes more."""
    assert host.call("vault", "version", timeout=20) == version
    assert host.call("vault", "items", timeout=20) == items
    assert host.call("vault", "put", "more", timeout=20) == len(items) + 1
    assert host.call("vault", "swap_last", "less", timeout=20) == "more"
    deadline = time.monotonic() + 20
    # A worker answers before the host has heard that it leads.
    while (info := vault_info(host)).state != "running":
        assert time.monotonic() < deadline, info
    assert info.version == version


# -- swaps that go well -----------------------------------------------------------------


@pytest.mark.parametrize("model", _WITH_STATE)
def test_the_state_goes_up_and_down_the_schemas(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add_both(model)
    host = serve()
    items: list[Any] = []
    for number, version in enumerate(("2.0.0", "1.0.0", "2.0.0", "1.0.0")):
        host.call("vault", "put", number)
        items.append(number)
        report = host.swap("vault", version)
        assert report.component == "vault"
        assert report.state_bytes > 0
        assert 0 <= report.pause_s <= report.total_s
        serves(host, version, items)
        items.append("less")


def test_a_stateless_component_is_swapped_without_a_copy(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both("stateless")
    host = serve()
    host.call("vault", "put", 1)
    report = host.swap("vault", "2.0.0")
    assert report.state_bytes == 0
    serves(host, "2.0.0", [])


@pytest.mark.parametrize("model", _MODELS)
def test_without_a_version_the_newest_takes_over(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add_both(model)
    versions.add("1.5.0", model=model)
    host = serve()
    host.swap("vault", "<2")
    assert host.call("vault", "version") == "1.5.0"
    host.swap("vault")
    assert host.call("vault", "version") == "2.0.0"


@pytest.mark.parametrize("model", _MODELS)
@pytest.mark.parametrize("bakes", [False, True])
def test_the_events_of_a_swap_are_those_of_its_plan(
    versions: Versions, serve: Callable[..., Host], model: str, bakes: bool
) -> None:
    versions.add_both(model)
    host = serve()
    events: list[SwapEvent] = []
    old_pid = host.call("vault", "pid")
    host.swap("vault", "2.0.0", bake=bakes, on_event=events.append)
    steps = plan(model, follows=False, bakes=bakes)
    assert [event.step for event in events] == [*steps, "done"]
    assert {event.old_pid for event in events} == {old_pid}
    assert events[-1].new_pid == host.call("vault", "pid")
    times_s = [event.at_s for event in events]
    assert times_s == sorted(times_s)
    if bakes and model == "replicated":
        events.clear()
        host.swap("vault", "1.0.0", bake=False, on_event=events.append)
        assert [event.step for event in events] == [
            *plan(model, follows=True, bakes=False),
            "done",
        ]
        assert host.call("vault", "pid") == old_pid


@pytest.mark.parametrize("model", _WITH_STATE)
def test_a_component_that_cannot_fork_is_swapped(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add("1.0.0", model=model, state="fork = false")
    versions.add("2.0.0", like="2.0.0", model=model, state="fork = false")
    host = serve()
    host.call("vault", "put", "a")
    host.swap("vault", "2.0.0")
    serves(host, "2.0.0", ["a"])
    host.swap("vault", "1.0.0")
    serves(host, "1.0.0", ["a", "less"])


# -- swaps that are refused -------------------------------------------------------------


def refused(host: Host, error: type[HostError], words: str, **arguments: Any) -> HostError:
    """The error of a swap to ``version``, of which the vault of 1.0.0 notices nothing."""
    before = host.call("vault", "pid")
    name = arguments.pop("name", "vault")
    with pytest.raises(error, match=words) as caught:
        host.swap(name, arguments.pop("version", "2.0.0"), **arguments)
    assert type(caught.value) is error
    assert host.call("vault", "pid") == before
    return caught.value


@pytest.mark.parametrize("model", _MODELS)
def test_the_version_that_runs_is_refused(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add_both(model)
    host = serve()
    error = refused(host, HotSwapError, r"version 1\.0\.0 is running already", version="1.0.0")
    assert error.code == "RTUP_0008"
    assert error.phase == "check"
    assert error.component == "vault"


def test_what_is_not_there_is_refused(versions: Versions, serve: Callable[..., Host]) -> None:
    versions.add_both()
    versions.add("1.0.0", name="idle")
    host = serve()
    refused(host, ComponentNotFoundError, r"vault.*9\.0\.0", version="9.0.0")
    refused(host, ComponentNotFoundError, "'idle' is not running", name="idle", version="1.0.0")
    refused(host, ComponentNotFoundError, "'nobody' is not running", name="nobody", version=None)
    serves(host, "1.0.0", [])


def test_a_kind_or_a_state_model_that_differs_is_refused(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both()
    versions.add("3.0.0", component='kind = "memory_manager"')
    versions.add("4.0.0", model="snapshot")
    versions.add("5.0.0", model="stateless")
    host = serve()
    host.call("vault", "put", 1)
    refused(
        host,
        HotSwapError,
        r"1\.0\.0 is a service, version 3\.0\.0 a memory_manager.*stop the component",
        version="3.0.0",
    )
    refused(host, HotSwapError, r"is replicated, version 4\.0\.0 snapshot", version="4.0.0")
    refused(host, HotSwapError, r"is replicated, version 5\.0\.0 stateless", version="5.0.0")
    serves(host, "1.0.0", [1])


def test_a_requirement_that_does_not_fit_is_refused_in_both_directions(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both()
    versions.add("3.0.0", requires='base = ">=2"')
    versions.add("4.0.0", requires='absent = ">=1"')
    versions.add("1.0.0", name="base")
    versions.add("1.0.0", name="needy", requires='vault = "<2"')
    host = serve()
    host.start("base")
    host.start("needy")
    refused(
        host,
        RequirementError,
        r"requires base >=2, which is running as 1\.0\.0 \(start or swap base first",
        version="3.0.0",
    )
    refused(host, RequirementError, "requires absent >=1, which is not running", version="4.0.0")
    refused(host, RequirementError, r"needy 1\.0\.0 requires vault <2 \(swap needy first")
    host.stop("needy")
    host.swap("vault", "2.0.0")
    serves(host, "2.0.0", [])


@pytest.mark.parametrize("model", _MODELS)
def test_of_two_swaps_at_once_one_is_refused(
    versions: Versions, serve: Callable[..., Host], fifo: Callable[[str], Path], model: str
) -> None:
    path = fifo("starts")
    versions.add("1.0.0", model=model)
    body = f"""
    @hookimpl
    def start(self, context):
        Path({str(path)!r}).read_text()
        self.context = context
    """
    versions.add("2.0.0", body, like="2.0.0", model=model)
    host = serve()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(host.swap, "vault", "2.0.0")
        with path.open("w") as gate:
            error = refused(host, HotSwapError, "another swap of it is under way")
            assert error.code == "HS_0001"
            gate.write("go on")
        first.result(20)
    serves(host, "2.0.0", [])


# -- swaps that fail --------------------------------------------------------------------


def fails(host: Host, words: str, version: str = "2.0.0", **arguments: Any) -> HotSwapError:
    """The HotSwapError of a swap, which must say what was tried, and why it was not done."""
    with pytest.raises(HotSwapError, match=words) as caught:
        host.swap("vault", version, **arguments)
    error = caught.value
    assert f"Failed to swap component 'vault' from 1.0.0 to {version}: " in str(error)
    assert (error.component, error.version, error.code) == ("vault", version, "RTUP_0008")
    return error


@pytest.mark.parametrize("model", _WITH_STATE)
@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ("restore(self, state)", "restore() raised ZeroDivisionError: division by zero"),
        (
            "migrate(self, state, from_schema, to_schema)",
            "migrate() from schema 1 to 2 raised ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_new_version_that_cannot_take_the_state_over_is_left(
    versions: Versions, serve: Callable[..., Host], model: str, hook: str, words: str
) -> None:
    versions.add("1.0.0", model=model)
    body = f"""
    @hookimpl
    def {hook}:
        1 / 0
    """
    versions.add("2.0.0", body, like="2.0.0", model=model)
    host = serve()
    pid = host.call("vault", "pid")
    host.call("vault", "put", 1)
    error = fails(host, re.escape(words))
    assert error.phase == "restore"
    assert error.worker not in (None, pid)
    assert host.call("vault", "pid") == pid
    serves(host, "1.0.0", [1])


@pytest.mark.parametrize("model", _MODELS)
def test_a_new_version_whose_start_raises_is_left(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add("1.0.0", model=model)
    body = """
    @hookimpl
    def start(self, context):
        raise OSError("port 80 is taken")
    """
    versions.add("2.0.0", body, like="2.0.0", model=model)
    host = serve()
    host.call("vault", "put", 1)
    error = fails(host, "port 80 is taken")
    assert error.phase == "start"
    serves(host, "1.0.0", [1])


@pytest.mark.parametrize("model", _WITH_STATE)
@pytest.mark.parametrize(
    "hook", ["restore(self, state)", "migrate(self, state, from_schema, to_schema)"]
)
def test_a_new_version_that_hangs_on_the_state_is_killed(
    versions: Versions,
    serve: Callable[..., Host],
    fifo: Callable[[str], Path],
    wait_gone: Callable[..., None],
    model: str,
    hook: str,
) -> None:
    path = fifo("for_ever")
    versions.add("1.0.0", model=model)
    body = f"""
    @hookimpl
    def {hook}:
        Path({str(path)!r}).read_text()
    """
    versions.add("2.0.0", body, like="2.0.0", model=model)
    host = serve(startup_timeout_s=1.5)
    host.call("vault", "put", 1)
    events: list[SwapEvent] = []
    fails(host, r"not ready within 1\.5 s", on_event=events.append)
    assert events[-1].step == "restore"
    assert events[-1].new_pid is not None
    wait_gone(events[-1].new_pid)
    serves(host, "1.0.0", [1])


@pytest.mark.parametrize("model", _WITH_STATE)
@pytest.mark.parametrize(
    "hook", ["restore(self, state)", "migrate(self, state, from_schema, to_schema)"]
)
def test_a_new_version_that_dies_of_the_state_is_left(
    versions: Versions, serve: Callable[..., Host], model: str, hook: str
) -> None:
    versions.add("1.0.0", model=model)
    body = f"""
    @hookimpl
    def {hook}:
        os._exit(7)
    """
    versions.add("2.0.0", body, like="2.0.0", model=model)
    host = serve()
    host.call("vault", "put", 1)
    fails(host, "exit status 7")
    serves(host, "1.0.0", [1])


@pytest.mark.parametrize("model", _WITH_STATE)
def test_a_new_version_that_is_given_nonsense_by_its_migrate_is_left(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add("1.0.0", model=model)
    body = """
    @hookimpl
    def migrate(self, state, from_schema, to_schema):
        return None
    """
    versions.add("2.0.0", body, like="2.0.0", model=model)
    host = serve()
    host.call("vault", "put", 1)
    fails(host, r"restore\(\) raised TypeError: .*NoneType")
    serves(host, "1.0.0", [1])


@pytest.mark.parametrize("model", _WITH_STATE)
def test_without_a_migrate_there_is_no_way_between_schemas(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add("1.0.0", model=model)
    versions.add("2.0.0", like="1.0.0", schema=2, model=model)
    host = serve()
    host.call("vault", "put", 1)
    fails(host, r"it has no migrate\(\) from schema 1 to 2")
    serves(host, "1.0.0", [1])


@pytest.mark.parametrize("model", _WITH_STATE)
@pytest.mark.parametrize("forks", ["fork = true", "fork = false"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            'raise OSError("the disk is full")',
            r"snapshot\(\) or migrate\(\) raised OSError: the disk is full",
        ),
        (
            'return {"items": [{"lock": __import__("threading").Lock()}]}',
            r"its state cannot be written: .*\['items'\]\[0\]\['lock'\]",
        ),
    ],
    ids=["raises", "cannot be pickled"],
)
def test_an_old_version_that_gives_no_state_serves_on(
    versions: Versions,
    serve: Callable[..., Host],
    model: str,
    forks: str,
    body: str,
    words: str,
) -> None:
    hook = f"""
    @hookimpl
    def snapshot(self):
        {body}
    """
    versions.add("1.0.0", hook, model=model, state=forks)
    versions.add("2.0.0", like="2.0.0", model=model)
    host = serve()
    pid = host.call("vault", "pid")
    host.call("vault", "put", 1)
    error = fails(host, words)
    assert error.worker == pid
    assert host.call("vault", "pid") == pid
    serves(host, "1.0.0", [1])


def hanging(path: Path) -> str:
    """A snapshot() that waits for what is written to a FIFO."""
    return f"""
    @hookimpl
    def snapshot(self):
        Path({str(path)!r}).read_text()
        return super().snapshot()
    """


def test_a_copy_of_the_old_version_whose_snapshot_hangs_is_left(
    versions: Versions, serve: Callable[..., Host], fifo: Callable[[str], Path]
) -> None:
    path = fifo("gate")
    versions.add("1.0.0", hanging(path))
    versions.add("2.0.0", like="2.0.0")
    host = serve(snapshot_timeout_s=0.3)
    host.call("vault", "put", 1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        swap = pool.submit(fails, host, r"snapshot\(\) took more than 0\.3 s")
        # As long as there is somebody who could write, it waits.
        with path.open("w"):
            error = swap.result(20)
            serves(host, "1.0.0", [1])
    assert error.phase == "snapshot"


def test_an_old_version_whose_snapshot_hangs_serves_on_after_it(
    versions: Versions, serve: Callable[..., Host], fifo: Callable[[str], Path]
) -> None:
    path = fifo("gate")
    versions.add("1.0.0", hanging(path), model="snapshot")
    versions.add("2.0.0", like="2.0.0", model="snapshot")
    host = serve(snapshot_timeout_s=0.3, swap_timeout_s=1.5)
    host.call("vault", "put", 1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        swap = pool.submit(fails, host, r"snapshot\(\) took more than 0\.3 s")
        with path.open("w"):
            # It has stopped for the copy, and the copy is the only one.
            waiting = host.submit("vault", "put", 2)
            swap.result(10)
    assert waiting.result(20) == 2
    serves(host, "1.0.0", [1, 2])


@pytest.mark.parametrize("model", _WITH_STATE)
def test_nothing_is_left_of_swaps_that_fail(
    versions: Versions, serve: Callable[..., Host], leaves_nothing: Any, model: str
) -> None:
    versions.add("1.0.0", model=model)
    versions.add("2.0.0", like="1.0.0", schema=2, model=model)
    host = serve()
    host.call("vault", "put", 1)
    fails(host, "no migrate")
    with leaves_nothing():
        for _ in range(5):
            fails(host, "no migrate")
    serves(host, "1.0.0", [1])


# -- comparing --------------------------------------------------------------------------


class Gate:
    """A FIFO that a version waits for before it restores, so that commands come in between."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.body = f"""
    @hookimpl
    def restore(self, state):
        if Path({str(path)!r}).exists():
            Path({str(path)!r}).read_text()
        super().restore(state)
    """

    def swap_with(
        self,
        host: Host,
        between: Callable[[], object],
        *,
        is_served: bool = True,
        **arguments: Any,
    ) -> Any:
        """Swap to 2.0.0, and do something while it is about to restore.

        ``is_served`` tells that the old version serves meanwhile.
        """
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            swap = pool.submit(host.swap, "vault", "2.0.0", **arguments)
            with self.path.open("w"):
                # Only now: it has come to it, and whoever restores later is to go through.
                self.path.unlink()
                between()
                if is_served:
                    # A reply comes before the leader notes that it has answered.
                    host.call("vault", "version")
            return swap.result(20)


@pytest.fixture
def gate(fifo: Callable[[str], Path]) -> Gate:
    return Gate(fifo("gate"))


def test_what_is_answered_while_the_new_version_starts_is_in_its_state(
    versions: Versions, serve: Callable[..., Host], gate: Gate
) -> None:
    versions.add("1.0.0")
    versions.add("2.0.0", gate.body, like="2.0.0")
    host = serve()
    gate.swap_with(host, lambda: [host.call("vault", "put", n) for n in range(200)])
    serves(host, "2.0.0", list(range(200)))


def test_a_version_that_answers_otherwise_is_not_let_in(
    versions: Versions, serve: Callable[..., Host], gate: Gate, log: Any
) -> None:
    versions.add("1.0.0")
    body = """
    def put(self, item):
        return str(super().put(item))
    """
    versions.add("2.0.0", gate.body + body, like="2.0.0")
    host = serve()
    pid = host.call("vault", "pid")
    host.call("vault", "put", "before")
    with pytest.raises(HotSwapError) as caught:
        gate.swap_with(host, lambda: [host.call("vault", "put", n) for n in range(3)])
    words = "the new version does not do what the old one does: command 2, put(): its reply differs"
    assert words in str(caught.value)
    assert caught.value.phase == "follow"
    assert host.call("vault", "pid") == pid
    serves(host, "1.0.0", ["before", 0, 1, 2])
    # What the operator has said yes to is let in.
    os.mkfifo(gate.path)
    gate.swap_with(host, lambda: host.call("vault", "put", 3), compare=False)
    assert host.call("vault", "items") == ["before", 0, 1, 2, "less", 3]
    assert host.call("vault", "put", "after") == "7"


@pytest.mark.parametrize(
    "outside",
    [
        "__import__('random').random()",
        "__import__('time').time()",
        "__import__('os').getpid()",
        "id(object())",
    ],
)
def test_a_command_that_is_not_repeatable_is_found_out(
    versions: Versions, serve: Callable[..., Host], gate: Gate, outside: str
) -> None:
    body = f"""
    def draw(self):
        self.kept.append(1)
        return [{outside} for _ in range(8)]
    """
    versions.add("1.0.0", body)
    versions.add("2.0.0", gate.body + body, like="2.0.0")
    host = serve()
    host.call("vault", "put", 1)
    with pytest.raises(HotSwapError, match=r"command 2, draw\(\): its reply differs"):
        gate.swap_with(host, lambda: host.call("vault", "draw"))
    serves(host, "1.0.0", [1, 1])


def test_what_a_command_takes_from_its_context_is_repeatable(
    versions: Versions, serve: Callable[..., Host], gate: Gate
) -> None:
    body = """
    def draw(self):
        drawn = [self.context.random.random(), self.context.time_s(), hash("seed")]
        self.kept.append(drawn)
        return drawn
    """
    versions.add("1.0.0", body)
    versions.add("2.0.0", gate.body + body, like="2.0.0")
    host = serve()
    drawn: list[Any] = []
    gate.swap_with(host, lambda: drawn.extend(host.call("vault", "draw") for _ in range(50)))
    assert host.call("vault", "items") == drawn
    assert len({tuple(one) for one in drawn}) == 50
    drawn.append(host.call("vault", "draw"))
    assert host.call("vault", "items") == drawn


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("self.context.time_s()\n        self.context.time_s()", "it takes more from outside"),
        ("pass", "it takes less from outside"),
    ],
)
def test_a_version_that_asks_otherwise_of_the_outside_is_found_out(
    versions: Versions, serve: Callable[..., Host], gate: Gate, body: str, words: str
) -> None:
    def draw(what: str) -> str:
        return f"""
    def draw(self):
        {what}
    """

    versions.add("1.0.0", draw("self.context.time_s()"))
    versions.add("2.0.0", gate.body + draw(body), like="2.0.0")
    host = serve()
    with pytest.raises(HotSwapError, match=rf"command 1, draw\(\): {words} than the leader's did"):
        gate.swap_with(host, lambda: host.call("vault", "draw"))
    serves(host, "1.0.0", [])


# -- deaths -----------------------------------------------------------------------------


@pytest.mark.parametrize("lives", [1, 2])
@pytest.mark.parametrize("model", ["stateless", "replicated"])
def test_a_call_under_way_when_its_worker_dies_is_executed_again_once(
    versions: Versions, serve: Callable[..., Host], tmp_path: Path, model: str, lives: int
) -> None:
    versions.add("1.0.0", model=model)
    host = serve()
    host.call("vault", "put", "before")
    path = tmp_path / "deaths"
    path.write_text("death\n" * lives)
    call = host.submit("vault", "die_while", str(path))
    after = host.submit("vault", "put", "after")
    if lives == 1:
        assert call.result(20) == (1 if model == "stateless" else 2)
    else:
        with pytest.raises(PoisonCall, match=r"2 workers died while they executed die_while\(\)"):
            call.result(20)
    kept = [] if model == "stateless" else ["before"]
    kept += [str(path)] if lives == 1 else []
    assert after.result(20) == len(kept) + 1
    assert path.read_text() == ""
    serves(host, "1.0.0", [*kept, "after"])


@pytest.mark.parametrize("model", _MODELS)
def test_a_call_that_may_be_executed_once_is_not_executed_again(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add("1.0.0", model=model)
    host = serve()
    host.call("vault", "put", "before")
    call = host.submit("vault", "die_once", "once")
    after = host.submit("vault", "put", "after")
    with pytest.raises(
        WorkerDied, match=r"while it executed die_once\(\): exit status 3"
    ) as caught:
        call.result(20)
    assert type(caught.value) is WorkerDied
    # Whoever replicates has what was acknowledged; the others start anew.
    kept = ["before"] if model == "replicated" else []
    assert after.result(20) == len(kept) + 1
    serves(host, "1.0.0", [*kept, "after"])


@pytest.mark.parametrize("model", ["stateless", "replicated"])
def test_a_poison_call_is_set_aside_by_the_follower_too(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    versions.add_both(model)
    host = serve()
    host.call("vault", "put", "before")
    host.swap("vault", "2.0.0", bake=True)
    with pytest.raises(PoisonCall, match="exit status 3") as caught:
        host.call("vault", "die", "poison", timeout=20)
    assert caught.value.code == "CALL_0010"
    items = host.call("vault", "items", timeout=20)
    assert items == (["before"] if model == "replicated" else [])
    host.call("vault", "put", "after")
    for version in ("1.0.0", "2.0.0", "1.0.0"):
        if host.call("vault", "version", timeout=20) != version:
            host.swap("vault", version)
        if model == "replicated":
            assert host.call("vault", "items") == ["before", "after"]


def test_a_follower_leads_on_with_all_that_was_acknowledged(
    versions: Versions, serve: Callable[..., Host], wait_gone: Callable[..., None]
) -> None:
    versions.add_both()
    host = serve()
    old_pid = host.call("vault", "pid")
    host.swap("vault", "2.0.0", bake=True)
    pid = host.call("vault", "pid")
    for n in range(300):
        assert host.call("vault", "put", n) == n + 1
    os.kill(pid, signal.SIGKILL)
    assert host.call("vault", "put", 300, timeout=20) == 301
    assert host.call("vault", "pid") == old_pid
    wait_gone(pid)
    serves(host, "1.0.0", list(range(301)))


def test_swapping_back_to_the_version_that_follows_loses_no_write(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both()
    host = serve()
    old_pid = host.call("vault", "pid")
    host.swap("vault", "2.0.0", bake=True)
    for n in range(300):
        host.call("vault", "put", n)
    report = host.swap("vault", "1.0.0")
    assert report.state_bytes == 0
    assert host.call("vault", "pid") == old_pid
    serves(host, "1.0.0", list(range(300)))


def test_a_state_outlives_every_death_of_its_worker(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both()
    host = serve()
    items: list[int] = []
    for round_ in range(6):
        for n in range(50):
            host.call("vault", "put", n)
            items.append(n)
        if round_ == 3:
            host.swap("vault", "2.0.0")
        else:
            os.kill(host.call("vault", "pid"), signal.SIGKILL)
        assert host.call("vault", "items", timeout=20) == items
    serves(host, "2.0.0", items)


def test_one_way_messages_are_in_the_state_exactly_once(
    versions: Versions,
    serve: Callable[..., Host],
    fifo: Callable[[str], Path],
    gate: Gate,
    wait_gone: Callable[..., None],
) -> None:
    versions.add("1.0.0")
    versions.add("2.0.0", gate.body, like="2.0.0")
    host = serve()
    for n in range(100):
        host.notify("vault", "put", n)
    gate.swap_with(host, lambda: [host.notify("vault", "put", n) for n in range(100, 200)])
    # While a call is under way they stand in the lane, and its worker is killed.
    path = fifo("busy")
    pid = host.call("vault", "pid")
    busy = host.submit("vault", "wait_for", str(path))
    with path.open("w"):
        for n in range(200, 300):
            host.notify("vault", "put", n)
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
        # Opened by the next one, which executes it again.
        with path.open("w") as again:
            again.write("busy")
    assert busy.result(20) == "busy"
    serves(host, "2.0.0", [*range(200), "busy", *range(200, 300)])


@pytest.mark.parametrize("model", _WITH_STATE)
def test_large_arguments_and_results_go_through_a_swap(
    versions: Versions, serve: Callable[..., Host], gate: Gate, model: str
) -> None:
    versions.add("1.0.0", model=model)
    versions.add("2.0.0", gate.body, like="2.0.0", model=model)
    host = serve()
    large = [bytes([n]) * (1 << 20) for n in range(8)]
    for item in large[:2]:
        host.call("vault", "put", item)
    sent = []

    def send() -> None:
        # Those of a snapshot wait for the cut to be over.
        for item in large[2:6]:
            sent.append(host.submit("vault", "swap_last", item))
            if model == "replicated":
                sent[-1].result(20)

    gate.swap_with(host, send, is_served=model == "replicated")
    assert [call.result(20) for call in sent] == large[1:5]
    if model == "replicated":
        os.kill(host.call("vault", "pid"), signal.SIGKILL)
    assert host.call("vault", "swap_last", large[6], timeout=20) == large[5]
    assert host.call("vault", "items", timeout=20) == [large[0], large[6]]


# -- streams ----------------------------------------------------------------------------


def through(host: Host, items: Any, model: str, n: int) -> list[int]:
    """All items of a stream, whose worker is swapped, killed, and swapped, on the way."""
    seen = list(itertools.islice(items, 40))
    host.swap("vault", "2.0.0")
    seen += itertools.islice(items, n // 4)
    if model != "snapshot":
        os.kill(host.call("vault", "pid"), signal.SIGKILL)
    seen += itertools.islice(items, n // 4)
    assert host.call("vault", "version", timeout=20) == "2.0.0"
    host.swap("vault", "1.0.0")
    return seen + list(items)


@pytest.mark.parametrize("model", _MODELS)
@pytest.mark.parametrize("has_resume", [True, False])
def test_the_stream_of_a_query_outlives_swaps_and_a_death(
    versions: Versions, serve: Callable[..., Host], model: str, has_resume: bool
) -> None:
    versions.add_both(model, resumes=has_resume)
    host = serve()
    n = 1000
    assert through(host, host.stream("vault", "numbers", n), model, n) == list(range(n))


@pytest.mark.parametrize("model", _MODELS)
def test_the_stream_of_a_command_outlives_swaps_and_a_death(
    versions: Versions, serve: Callable[..., Host], model: str
) -> None:
    # Without a state it is called again, and what went out is dropped.
    versions.add_both(model, resumes=model != "stateless")
    host = serve()
    n = 1000
    seen = through(host, host.stream("vault", "count", "one", n), model, n)
    assert seen == list(range(n))


def test_a_command_whose_state_is_copied_without_a_resume_says_so(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both("snapshot", resumes=False)
    host = serve()
    items = host.stream("vault", "count", "one", 1000)
    seen = list(itertools.islice(items, 40))
    host.swap("vault", "2.0.0")
    with pytest.raises(CallError, match=r"count\(\) cannot go on.*implement resume\(\)"):
        seen.extend(items)
    assert seen == list(range(len(seen)))
    serves(host, "2.0.0", [])


def test_a_command_that_cannot_go_on_keeps_its_version(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both(resumes=False)
    host = serve()
    items = host.stream("vault", "count", "one", 1000)
    seen = list(itertools.islice(items, 40))
    fails(host, r"the task count\(\) cannot go on .*implement resume\(\)")
    assert seen + list(items) == list(range(1000))
    host.swap("vault", "2.0.0")
    serves(host, "2.0.0", [])


def test_a_command_that_cannot_go_on_is_executed_again_after_a_death(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add("1.0.0", resumes=False)
    host = serve()
    items = host.stream("vault", "count", "one", 1000)
    seen = list(itertools.islice(items, 40))
    os.kill(host.call("vault", "pid"), signal.SIGKILL)
    # By the journal, from its beginning.
    assert seen + list(items) == list(range(1000))
    serves(host, "1.0.0", [])


def test_a_task_that_cannot_go_on_does_not_keep_its_component_from_a_restart(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    versions.add_both(resumes=False)
    host = serve(restart=RestartPolicy(first_delay_s=0.0, quarantine_after=3))
    host.call("vault", "put", 1)
    items = host.stream("vault", "count", "one", 1000)
    seen = list(itertools.islice(items, 40))
    fails(host, r"the task count\(\) cannot go on")
    os.kill(host.call("vault", "pid"), signal.SIGKILL)
    assert host.call("vault", "items", timeout=20) == [1]
    with contextlib.suppress(CallError):
        seen.extend(items)
    assert seen == list(range(len(seen)))
    serves(host, "1.0.0", [1])


def test_what_only_the_newer_version_knows_outlives_a_swap_back_that_failed_and_a_death(
    versions: Versions, serve: Callable[..., Host]
) -> None:
    body = """
    @hookimpl
    def restore(self, state):
        raise ValueError("it will not have it")
    """
    versions.add("1.0.0", body)
    body = """
    def __init__(self):
        super().__init__()
        self.tagged = []

    @hookimpl
    def snapshot(self):
        return [*super().snapshot(), self.tagged]

    @hookimpl
    def restore(self, state):
        super().restore(state[:2])
        self.tagged = state[2]

    @hookimpl
    def migrate(self, state, from_schema, to_schema):
        if to_schema == 1:
            return super().migrate(state[:2], from_schema, to_schema)
        return [*super().migrate(state, from_schema, to_schema), []]

    def tag(self, text):
        self.tagged.append(text)

    @query
    def tags(self):
        return self.tagged
    """
    versions.add("2.0.0", body, like="2.0.0")
    host = serve("2.0.0")
    host.call("vault", "put", 1)
    host.call("vault", "tag", "a")
    with pytest.raises(HotSwapError, match="it will not have it"):
        host.swap("vault", "1.0.0")
    host.call("vault", "tag", "b")
    os.kill(host.call("vault", "pid"), signal.SIGKILL)
    assert host.call("vault", "tags", timeout=20) == ["a", "b"]
    serves(host, "2.0.0", [1])


# -- replicas ---------------------------------------------------------------------------


def versions_of_seats(host: Host) -> list[str]:
    return [seat.worker.version for seat in vault_info(host).seats if seat.worker]


def test_all_replicas_are_swapped(versions: Versions, serve: Callable[..., Host]) -> None:
    versions.add_both("stateless")
    host = serve(None)
    host.start("vault", "1.0.0", replicas=3)
    events: list[SwapEvent] = []
    host.swap("vault", "2.0.0", on_event=events.append)
    assert versions_of_seats(host) == ["2.0.0"] * 3
    assert {host.call("vault", "version") for _ in range(30)} == {"2.0.0"}
    # One after the other.
    steps = [*plan("stateless", follows=False, bakes=False), "done"]
    assert [event.step for event in events] == steps * 3
    assert len({event.seat for event in events}) == 3


def test_when_one_replica_cannot_be_swapped_those_before_it_are_swapped_back(
    versions: Versions, serve: Callable[..., Host], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    body = f"""
    @hookimpl
    def start(self, context):
        with open({str(starts)!r}, "a+") as file:
            file.write("start\\n")
            file.seek(0)
            if len(file.readlines()) == 3:
                raise OSError("three is too many")
        self.context = context
    """
    versions.add("1.0.0", model="stateless")
    versions.add("2.0.0", body, like="2.0.0", model="stateless")
    host = serve(None)
    host.start("vault", "1.0.0", replicas=3)
    fails(host, "three is too many")
    assert versions_of_seats(host) == ["1.0.0"] * 3
    assert vault_info(host).version == "1.0.0"
    assert {host.call("vault", "version") for _ in range(30)} == {"1.0.0"}
    host.swap("vault", "2.0.0")
    assert versions_of_seats(host) == ["2.0.0"] * 3
