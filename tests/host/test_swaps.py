"""Swaps that go well, swaps that are refused, and swaps that fail: the state is kept."""

from __future__ import annotations

import concurrent.futures
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from noodle_host import (
    ComponentNotFoundError,
    Host,
    HostConfig,
    HostError,
    RequirementError,
    RestartPolicy,
    SwapError,
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
        **tables: str,
    ) -> None:
        """Write a version whose class is that of ``like`` with ``body`` over it.

        ``component`` is added to the manifest's table of that name, ``tables`` below it,
        ``state`` to the table of the state.
        """
        folder = self.folder / name / version
        folder.mkdir(parents=True)
        source = (self._plugins / like / "vault.py").read_text()
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


def serves(host: Host, version: str, items: list[Any]) -> None:
    """Assert that a version serves, with that state, and takes more."""
    assert host.call("vault", "version", timeout=20) == version
    assert host.call("vault", "items", timeout=20) == items
    assert host.call("vault", "put", "more", timeout=20) == len(items) + 1
    assert host.call("vault", "swap_last", "less", timeout=20) == "more"
    (info,) = [info for info in host.components() if info.name == "vault"]
    assert (info.version, info.state) == (version, "running")


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
    error = refused(host, SwapError, r"version 1\.0\.0 is running already", version="1.0.0")
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
        SwapError,
        r"1\.0\.0 is a service, version 3\.0\.0 a memory_manager.*stop the component",
        version="3.0.0",
    )
    refused(host, SwapError, r"is replicated, version 4\.0\.0 snapshot", version="4.0.0")
    refused(host, SwapError, r"is replicated, version 5\.0\.0 stateless", version="5.0.0")
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
            error = refused(host, SwapError, "another swap of it is under way")
            assert error.code == "HS_0001"
            gate.write("go on")
        first.result(20)
    serves(host, "2.0.0", [])
