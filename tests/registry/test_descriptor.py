from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from noodle_host.errors import PluginError
from noodle_host.registry.descriptor import (
    ComponentDescriptor,
    ComponentType,
    describe,
    manifest_of,
)
from noodle_host.registry.manifest import read_manifest

WritePlugin = Callable[..., Path]


def descriptor(name: str = "a", version: str = "1.0", **facts: object) -> ComponentDescriptor:
    return ComponentDescriptor(name, version, "", ComponentType.SYSTEM, **facts)  # type: ignore[arg-type]


def test_describes_a_manifest(write_plugin: WritePlugin) -> None:
    root = write_plugin(
        "a",
        requires={"vm": ">=1", "lexer": ""},
        more='[state]\nmodel = "snapshot"\nschema = 2\n[budget]\nthreads = 3',
    )
    found = describe(read_manifest(root / "component.toml"), ["1.1", "2.0"])
    assert (found.name, found.version, found.current_version) == ("a", "1.0.0", "1.0.0")
    assert found.component_type is ComponentType.SYSTEM
    assert (found.dependencies, found.upgrade_path) == (["vm", "lexer"], ["1.1", "2.0"])
    assert found.metadata == {
        "kind": "service",
        "requires": {"vm": ">=1", "lexer": ""},
        "state_model": "snapshot",
        "state_schema": 2,
    }
    assert found.resource_requirements == {"threads": 3}
    assert (found.location, found.entry_point) == (str(root), "a:Plugin")


def test_a_manifest_at_the_location_is_what_counts(write_plugin: WritePlugin) -> None:
    root = write_plugin("a", "1.0")
    assert manifest_of(descriptor(location=str(root))) == read_manifest(root / "component.toml")
    with pytest.raises(PluginError) as caught:
        manifest_of(descriptor(version="2.0", location=str(root)))
    assert caught.value.message == "the descriptor says a 2.0, its manifest says a 1.0"
    assert caught.value.where == str(root / "component.toml")


def test_a_location_without_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = manifest_of(descriptor(location="code", entry_point="module:Class"))
    # The worker may have another working folder.
    assert manifest.root == tmp_path / "code"
    assert manifest.entry_point == "module:Class"


def test_dependencies_are_names_and_ranges() -> None:
    manifest = manifest_of(descriptor(dependencies=["vm", " lexer >=1, <2", "parser==1.0"]))
    assert manifest.requires == {"vm": "", "lexer": ">=1, <2", "parser": "==1.0"}


def test_a_dependency_that_is_named_twice_must_fit_both_ranges() -> None:
    manifest = manifest_of(descriptor(dependencies=["vm>=1", "vm", "vm<2"]))
    assert manifest.requires == {"vm": ">=1,<2"}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": "A"}, "'A' is not a component name"),
        ({"version": "one"}, "'one' is not a version"),
        ({"dependencies": ["Vm"]}, "'Vm' is not a dependency"),
        ({"dependencies": ["vm 1.0"]}, "requires.vm: '1.0' is not a version range"),
        ({"location": "/x", "entry_point": "module"}, "'module' is not an entry point"),
        ({"location": "a\0b"}, "'a\\x00b' is not the name of a folder"),
    ],
)
def test_bad_descriptors(facts: dict[str, object], message: str) -> None:
    with pytest.raises(PluginError) as caught:
        manifest_of(descriptor(**facts))  # type: ignore[arg-type]
    assert caught.value.message == message
    assert caught.value.component == facts.get("name", "a")
