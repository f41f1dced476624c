from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noodle_host.errors import PluginError
from noodle_host.registry.plugin_path import Discovery, bundled_plugins, discover

WritePlugin = Callable[..., Path]


def found(*folders: Path) -> list[str]:
    return [str(manifest) for manifest in discover(folders).manifests]


def only_error(*folders: Path) -> PluginError:
    [error] = discover(folders).errors
    return error


def test_finds_every_version_of_every_component(write_plugin: WritePlugin, tmp_path: Path) -> None:
    for name, version in [("b", "1.0"), ("a", "2.0"), ("a", "1.0")]:
        write_plugin(name, version)
    assert found(tmp_path / "plugins") == ["a 1.0", "a 2.0", "b 1.0"]
    assert discover([tmp_path / "plugins"]).errors == []


def test_the_earlier_folder_wins(write_plugin: WritePlugin, tmp_path: Path) -> None:
    first = write_plugin("a", "1.0", path="first")
    # Another spelling is the same version.
    write_plugin("a", "1.0.0", path="second")
    write_plugin("a", "2.0", path="second")
    discovery = discover([tmp_path / "first", tmp_path / "second"])
    assert [str(manifest) for manifest in discovery.manifests] == ["a 1.0", "a 2.0"]
    assert discovery.manifests[0].root == first
    assert discovery.errors == []


def test_one_version_twice_in_one_folder(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("a", "1.0.0")
    write_plugin("a", "1.0")
    assert found(tmp_path / "plugins") == ["a 1.0"]
    error = only_error(tmp_path / "plugins")
    assert error.message == "is the same version as 1.0, which is also there"
    assert error.where == str(tmp_path / "plugins" / "a" / "1.0.0")
    assert error.hint == "remove one of the folders; 1.0 is used"


def test_what_is_no_plugin_is_left_alone(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("a", "1.0")
    plugins = tmp_path / "plugins"
    (plugins / "README.md").touch()
    (plugins / "a" / "NOTES").touch()
    (plugins / "a" / "3.0").touch()
    for folder in ("a/tests", "a/.git", "a/__pycache__", ".venv/1.0", "_old/1.0", "empty"):
        (plugins / folder).mkdir(parents=True)
    assert (found(plugins), discover([plugins]).errors) == (["a 1.0"], [])


def test_a_version_without_a_manifest(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("a", "1.0")
    (tmp_path / "plugins" / "a" / "2.0").mkdir()
    assert found(tmp_path / "plugins") == ["a 1.0"]
    error = only_error(tmp_path / "plugins")
    assert (error.component, error.version, error.code) == ("a", "2.0", "RTUP_0001")
    assert error.where == str(tmp_path / "plugins" / "a" / "2.0" / "component.toml")


@pytest.mark.parametrize(
    ("folder", "message", "hint"),
    [
        (
            "b/1.0",
            "component.name is 'a' but the folder is named 'b'",
            "rename the folder to a, or correct the name in the manifest",
        ),
        (
            "a/1.0.0",
            "component.version is '1.0' but the folder is named '1.0.0'",
            "rename the folder to 1.0, or correct the version in the manifest",
        ),
        (
            "a/latest",
            "component.version is '1.0' but the folder is named 'latest'",
            "rename the folder to 1.0, or correct the version in the manifest",
        ),
    ],
)
def test_folders_of_another_name(
    folder: str, message: str, hint: str, write_plugin: WritePlugin, tmp_path: Path
) -> None:
    root = write_plugin("a", "1.0", folder=folder)
    error = only_error(tmp_path / "plugins")
    assert (error.message, error.hint) == (message, hint)
    assert error.where == str(root / "component.toml")
    # Asked for by what can be seen from outside.
    assert f"{error.component}/{error.version}" == folder


def test_a_bad_plugin_hides_no_other_one(write_plugin: WritePlugin, tmp_path: Path) -> None:
    for name, version in [("a", "1.0"), ("b", "1.0"), ("b", "2.0"), ("c", "1.0")]:
        write_plugin(name, version)
    write_plugin("b", "1.5", more="not toml")
    assert found(tmp_path / "plugins") == ["a 1.0", "b 1.0", "b 2.0", "c 1.0"]
    error = only_error(tmp_path / "plugins")
    assert (error.component, error.version) == ("b", "1.5")


def test_a_manifest_too_far_up(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("a", "1.0", folder="a")
    write_plugin("b", "1.0")
    assert found(tmp_path / "plugins") == ["b 1.0"]
    error = only_error(tmp_path / "plugins")
    assert (error.component, error.message) == ("a", "has no folder for its version")
    assert error.hint == "a plugin path is laid out as <component>/<version>/component.toml"


def test_a_plugin_in_place_of_the_path(write_plugin: WritePlugin) -> None:
    root = write_plugin("a", "1.0")
    error = only_error(root)
    assert (error.message, error.where) == ("is a plugin, not a folder of plugins", str(root))
    assert error.hint.endswith("; give the folder two levels up")


def test_an_entry_that_is_no_folder(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("a", "1.0")
    file = tmp_path / "file"
    file.touch()
    missing = tmp_path / "missing"
    discovery = discover([missing, file, Path("a\0b"), tmp_path / "plugins"])
    assert [str(manifest) for manifest in discovery.manifests] == ["a 1.0"]
    assert [(error.where, error.message) for error in discovery.errors] == [
        (str(missing), "cannot be read: No such file or directory"),
        (str(file), "cannot be read: Not a directory"),
        ("a\0b", "cannot be read: embedded null byte"),
    ]
    for error in discovery.errors:
        assert (error.component, error.version, error.code) == (None, None, "RTUP_0001")


def test_links_are_followed(write_plugin: WritePlugin, tmp_path: Path) -> None:
    root = write_plugin("a", "1.0", path="elsewhere", folder="checkout")
    (tmp_path / "plugins" / "a").mkdir(parents=True)
    (tmp_path / "plugins" / "a" / "1.0").symlink_to(root)
    [manifest] = discover([tmp_path / "plugins"]).manifests
    assert (str(manifest), manifest.root) == ("a 1.0", root)


@pytest.mark.parametrize("target", ["gone", "2.0"])
def test_a_link_that_leads_nowhere(target: str, write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("a", "1.0")
    link = tmp_path / "plugins" / "a" / "2.0"
    link.symlink_to(target)
    assert found(tmp_path / "plugins") == ["a 1.0"]
    error = only_error(tmp_path / "plugins")
    assert (error.component, error.version, error.where) == ("a", "2.0", str(link))
    assert error.message.startswith("cannot be read: ")


def test_a_component_that_is_a_link_to_nowhere(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("b", "1.0")
    (tmp_path / "plugins" / "a").symlink_to("gone")
    assert found(tmp_path / "plugins") == ["b 1.0"]
    error = only_error(tmp_path / "plugins")
    assert (error.component, error.version) == ("a", None)


def test_the_manifest_is_a_pipe(write_plugin: WritePlugin, tmp_path: Path) -> None:
    root = write_plugin("a", "1.0")
    (root / "component.toml").unlink()
    os.mkfifo(root / "component.toml")
    assert only_error(tmp_path / "plugins").message == "cannot be read: Is no regular file"


def test_names_that_are_not_unicode(write_plugin: WritePlugin, tmp_path: Path) -> None:
    write_plugin("b", "1.0")
    name = os.fsdecode(b"caf\xe9")
    write_plugin("a", "1.0", folder=f"{name}/1.0")
    assert found(tmp_path / "plugins") == ["b 1.0"]
    assert only_error(tmp_path / "plugins").component == name


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may write to, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def discover_without_rights(folder: Path) -> Discovery:
    """Look as a user whom file modes concern, as root is not."""
    discover([folder])  # Imports what it needs while that can be read.
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        return discover([folder])
    finally:
        os.seteuid(user)


def make_plugin(folder: Path, name: str, version: str) -> Path:
    root = folder / name / version
    root.mkdir(parents=True)
    (root / "component.toml").write_text(
        f'[component]\nname = "{name}"\nversion = "{version}"\nentry_point = "m:C"\n'
    )
    return root


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
@pytest.mark.parametrize("what", ["b", "b/1.0", "b/1.0/component.toml"])
def test_what_cannot_be_read_hides_no_other_one(what: str, mode: int, open_folder: Path) -> None:
    for name, version in [("a", "1.0"), ("b", "1.0"), ("b", "2.0"), ("c", "1.0")]:
        make_plugin(open_folder, name, version)
    (open_folder / what).chmod(mode)
    discovery = discover_without_rights(open_folder)
    (open_folder / what).chmod(0o777)
    shown = [str(manifest) for manifest in discovery.manifests]
    # To open a file in a folder, the right to list the folder is not needed.
    readable = (what, mode) in [("b/1.0", 0o111), ("b/1.0/component.toml", 0o444)]
    first = ["b 1.0"] if readable else []
    second = [] if what == "b" else ["b 2.0"]
    assert shown == ["a 1.0", *first, *second, "c 1.0"]
    assert bool(discovery.errors) is not readable
    for error in discovery.errors:
        assert (error.component, error.message) == ("b", "cannot be read: Permission denied")
        assert error.where.startswith(str(open_folder / what))


def test_a_plugin_path_that_cannot_be_read(open_folder: Path) -> None:
    plugins = open_folder / "plugins"
    make_plugin(plugins, "a", "1.0")
    plugins.chmod(0)
    discovery = discover_without_rights(plugins)
    plugins.chmod(0o777)
    [error] = discovery.errors
    assert error.message == "cannot be read: Permission denied"
    assert (error.component, discovery.manifests) == (None, [])


def test_the_bundled_plugins_are_good() -> None:
    discovery = discover([bundled_plugins()])
    assert discovery.errors == []
    assert "vm" in {manifest.name for manifest in discovery.manifests}
