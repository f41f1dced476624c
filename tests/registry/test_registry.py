from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from noodle_host.errors import ComponentNotFoundError, PluginError, RequirementError
from noodle_host.registry.descriptor import ComponentDescriptor, ComponentType
from noodle_host.registry.registry import RuntimeComponentRegistry

WritePlugin = Callable[..., Path]


@pytest.fixture
def registry(write_plugin: WritePlugin, tmp_path: Path) -> RuntimeComponentRegistry:
    """lexer 1.9, 1.10 and 2.0rc1; parser 1.0, which requires lexer below 1.10."""
    for version in ("1.9", "1.10", "2.0rc1"):
        write_plugin("lexer", version)
    write_plugin("parser", "1.0", requires={"lexer": "<1.10"})
    return RuntimeComponentRegistry([tmp_path / "plugins"])


def registered(name: str, version: str, **facts: object) -> ComponentDescriptor:
    return ComponentDescriptor(name, version, "", ComponentType.SYSTEM, **facts)  # type: ignore[arg-type]


def test_lists_what_there_is(registry: RuntimeComponentRegistry) -> None:
    every = [(d.name, d.version) for d in registry.discover_components()]
    assert every == [("lexer", "2.0rc1"), ("lexer", "1.10"), ("lexer", "1.9"), ("parser", "1.0")]
    newest = [(d.name, d.version) for d in registry.list_components()]
    assert newest == [("lexer", "1.10"), ("parser", "1.0")]
    assert registry.versions("lexer") == ["2.0rc1", "1.10", "1.9"]


def test_the_upgrade_path_is_what_comes_later(registry: RuntimeComponentRegistry) -> None:
    paths = {d.version: d.upgrade_path for d in registry.discover_components() if d.name == "lexer"}
    assert paths == {"1.9": ["1.10", "2.0rc1"], "1.10": ["2.0rc1"], "2.0rc1": []}


@pytest.mark.parametrize(
    ("version", "chosen"),
    [
        (None, "1.10"),
        ("1.9", "1.9"),
        ("1.9.0", "1.9"),
        ("<1.10", "1.9"),
        (">=1", "1.10"),
        ("2.0rc1", "2.0rc1"),
        (">=2.0rc1", "2.0rc1"),
        (">=1.0,!=1.10", "1.9"),
    ],
)
def test_the_newest_that_fits(
    version: str | None, chosen: str, registry: RuntimeComponentRegistry
) -> None:
    assert registry.manifest("lexer", version).version == chosen


def test_a_component_that_is_not_there(registry: RuntimeComponentRegistry) -> None:
    assert registry.get_component("lexxer") is None
    with pytest.raises(ComponentNotFoundError) as caught:
        registry.manifest("lexxer")
    assert caught.value.message == "Component 'lexxer' not found in registry"
    assert caught.value.hint == f"did you mean 'lexer'?; looked in {registry.plugin_path[0]}"
    assert (caught.value.component, caught.value.code) == ("lexxer", "RTUP_0004")


def test_a_version_that_is_not_there(registry: RuntimeComponentRegistry) -> None:
    with pytest.raises(ComponentNotFoundError) as caught:
        registry.manifest("lexer", ">=3")
    assert caught.value.message == "no version fits >=3"
    assert caught.value.hint.startswith("found: 2.0rc1, 1.10, 1.9; looked in ")
    with pytest.raises(RequirementError):
        registry.manifest("lexer", "newest")


def test_a_plugin_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    registry = RuntimeComponentRegistry([tmp_path / "plugin"])
    with pytest.raises(ComponentNotFoundError) as caught:
        registry.manifest("lexer")
    assert f"{tmp_path}/plugin cannot be read: No such file or directory" in caught.value.hint
    assert [error.where for error in registry.errors] == [str(tmp_path / "plugin")]


def test_requirements_come_first(registry: RuntimeComponentRegistry) -> None:
    assert list(map(str, registry.start_order("parser"))) == ["lexer 1.9", "parser 1.0"]
    assert registry.resolve_dependencies("parser") == ["lexer"]
    running = {"lexer": "1.9"}
    assert list(map(str, registry.start_order("parser", running=running))) == ["parser 1.0"]
    with pytest.raises(RequirementError, match=r"requires lexer <1\.10; running: 1\.10"):
        registry.start_order("parser", running={"lexer": "1.10"})


def test_a_broken_version_is_passed_over_unless_it_is_asked_for(
    registry: RuntimeComponentRegistry, write_plugin: WritePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_plugin("lexer", "1.11", more="[budjet]")
    with caplog.at_level(logging.WARNING, "noodle_host.registry"):
        assert registry.manifest("lexer").version == "1.10"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "there is no table [budjet]" in caplog.text
    for version in ("1.11", ">1.10,<2"):
        with pytest.raises(PluginError) as caught:
            registry.manifest("lexer", version)
        assert caught.value.where.startswith(f"{root}/component.toml:")


def test_a_requirement_that_only_a_broken_version_would_meet(
    registry: RuntimeComponentRegistry, write_plugin: WritePlugin
) -> None:
    write_plugin("vm", "1.0", more="[budjet]")
    write_plugin("app", "1.0", requires={"vm": ""})
    with pytest.raises(PluginError) as caught:
        registry.start_order("app")
    assert (caught.value.component, caught.value.version) == ("vm", "1.0")
    assert caught.value.__notes__ == ["app 1.0 requires vm"]
    # What is raised is a copy: the next one does not hold the notes of this one.
    with pytest.raises(PluginError) as again:
        registry.start_order("app")
    assert again.value.__notes__ == ["app 1.0 requires vm"]


def test_the_path_is_read_again_when_asked(
    registry: RuntimeComponentRegistry, write_plugin: WritePlugin
) -> None:
    assert registry.manifest("lexer").version == "1.10"
    write_plugin("lexer", "1.12")
    assert registry.manifest("lexer").version == "1.10"
    registry.discover_components()
    assert registry.manifest("lexer").version == "1.12"


def test_a_registered_component_is_found(
    registry: RuntimeComponentRegistry, write_plugin: WritePlugin
) -> None:
    root = write_plugin("lexer", "3.0", path="elsewhere")
    descriptor = registered("lexer", "3.0", location=str(root))
    assert registry.register_component(descriptor)
    assert not registry.register_component(descriptor)
    assert registry.get_component("lexer") is descriptor
    assert registry.manifest("lexer").root == root
    # It stays when the path is read again.
    assert registry.discover_components()[0] is descriptor


def test_what_is_on_the_path_is_not_registered_again(registry: RuntimeComponentRegistry) -> None:
    assert not registry.register_component(registered("lexer", "1.9.0"))
    assert registry.versions("lexer") == ["2.0rc1", "1.10", "1.9"]


def test_a_name_alone_is_known_and_cannot_be_started(registry: RuntimeComponentRegistry) -> None:
    assert registry.register_component(registered("plan", "1.0", dependencies=["parser>=1"]))
    assert registry.resolve_dependencies("plan") == ["lexer", "parser"]
    for ask in (registry.manifest, registry.start_order):
        with pytest.raises(PluginError, match="there is nothing to start"):
            ask("plan")


def test_a_manifest_that_is_not_on_the_path(
    registry: RuntimeComponentRegistry, write_plugin: WritePlugin
) -> None:
    write_plugin("app", "1.0", requires={"parser": ""}, path="elsewhere")
    other = RuntimeComponentRegistry([registry.plugin_path[0].parent / "elsewhere"])
    order = registry.start_order_of(other.manifest("app"))
    assert list(map(str, order)) == ["lexer 1.9", "parser 1.0", "app 1.0"]


def test_a_plugin_path_of_one_folder(registry: RuntimeComponentRegistry) -> None:
    [folder] = registry.plugin_path
    for path in (folder, str(folder), [str(folder)]):
        assert RuntimeComponentRegistry(path).plugin_path == (folder,)


def test_a_plugin_path_of_no_folder() -> None:
    with pytest.raises(ComponentNotFoundError) as caught:
        RuntimeComponentRegistry([]).manifest("lexer")
    assert caught.value.hint == "looked in no folder at all"


_version_texts = st.builds(
    "{}{}".format,
    st.lists(st.integers(0, 11), min_size=1, max_size=3).map(lambda p: ".".join(map(str, p))),
    st.sampled_from(["", "", "a1", "rc2", ".post1", "+local"]),
)


@given(st.lists(_version_texts, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_versions_are_known_once_and_in_order(texts: list[str]) -> None:
    registry = RuntimeComponentRegistry([])
    seen: set[Version] = set()
    for text in texts:
        descriptor = registered("lexer", text, location="/x", entry_point="m:C")
        assert registry.register_component(descriptor) is (Version(text) not in seen)
        seen.add(Version(text))
    assert [Version(text) for text in registry.versions("lexer")] == sorted(seen, reverse=True)
    for text in texts:
        assert Version(registry.manifest("lexer", text).version) == Version(text)
    finals = [version for version in seen if not version.is_prerelease]
    assert Version(registry.manifest("lexer").version) == max(finals or seen)
    [shown] = registry.list_components()
    assert Version(shown.version) == max(finals or seen)


def test_many_threads_at_once(registry: RuntimeComponentRegistry) -> None:
    start = threading.Barrier(8)
    results: list[bool] = []
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            start.wait()
            for round_ in range(10):
                results.append(registry.register_component(registered("new", f"{round_}.0")))
                if number == 0:
                    registry.discover_components()
                assert registry.manifest("lexer").version == "1.10"
                assert f"{round_}.0" in registry.versions("new")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    # Each version was new to one thread, and only to one.
    assert results.count(True) == 10
    assert len(registry.versions("new")) == 10


def test_the_bundled_plugins_are_the_default() -> None:
    assert RuntimeComponentRegistry().manifest("vm").kind == "vm"
