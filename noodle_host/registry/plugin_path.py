"""The plugin path: folders laid out as ``<component>/<version>/component.toml``."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import InvalidVersion, Version

from noodle_host.errors import PluginError

from .manifest import MANIFEST_NAME, Manifest, read_manifest

_LAYOUT_HINT = f"a plugin path is laid out as <component>/<version>/{MANIFEST_NAME}"


@dataclass(frozen=True)
class Discovery:
    """What a plugin path holds: the good manifests, and what is wrong with the rest.

    An error about one plugin has the folder names as ``component`` and
    ``version``; an error about a whole folder has neither.
    """

    manifests: list[Manifest] = field(default_factory=list)
    errors: list[PluginError] = field(default_factory=list)


def bundled_plugins() -> Path:
    """Return the folder of the plugins that come with noodle_host.

    In an installed package that is ``noodle_host/bundled``, in a checkout the
    folder ``plugins`` beside the package.
    """
    package = Path(__file__).resolve().parent.parent
    installed = package / "bundled"
    return installed if installed.is_dir() else package.parent / "plugins"


def discover(folders: Iterable[Path]) -> Discovery:
    """Read every manifest on a plugin path.

    A plugin that is wrong becomes an error in the result and hides no other
    one. Of two plugins with the same component and version, the one in the
    earlier folder is taken.
    """
    found: dict[tuple[str, Version], Manifest] = {}
    errors: list[PluginError] = []
    for folder in folders:
        here: dict[tuple[str, Version], Manifest] = {}
        for result in _plugins(folder):
            if isinstance(result, PluginError):
                errors.append(result)
                continue
            identity = (result.name, Version(result.version))
            twin = here.setdefault(identity, result)
            if twin is not result:
                errors.append(
                    PluginError(
                        f"is the same version as {twin.root.name}, which is also there",
                        where=str(result.root),
                        component=result.name,
                        version=result.version,
                        hint=f"remove one of the folders; {twin.root.name} is used",
                    )
                )
        for identity, manifest in here.items():
            found.setdefault(identity, manifest)
    return Discovery(list(found.values()), errors)


def _plugins(folder: Path) -> Iterator[Manifest | PluginError]:
    try:
        if (folder / MANIFEST_NAME).is_file():
            yield PluginError(
                "is a plugin, not a folder of plugins",
                where=str(folder),
                hint=f"{_LAYOUT_HINT}; give the folder two levels up",
            )
            return
        components = _entries(folder)
    except (OSError, ValueError) as error:
        yield _unreadable(
            error, folder, "every entry of the plugin path is a folder that this user may read"
        )
        return
    for component in components:
        try:
            if not _is_folder(component):
                continue
            if (component / MANIFEST_NAME).is_file():
                yield PluginError(
                    "has no folder for its version",
                    where=str(component / MANIFEST_NAME),
                    component=component.name,
                    hint=_LAYOUT_HINT,
                )
                continue
            versions = _entries(component)
        except OSError as error:
            yield _unreadable(error, component, "this user must be able to read it", component.name)
            continue
        for version in versions:
            yield from _version(version)


def _version(folder: Path) -> Iterator[Manifest | PluginError]:
    component, version = folder.parent.name, folder.name
    path = folder / MANIFEST_NAME
    try:
        # Other things may lie beside the versions: shared tests, notes.
        if not _is_version(version) and not path.exists():
            return
        if not _is_folder(folder):
            return
        manifest = read_manifest(path)
        _check_folders(manifest, path)
    except OSError as error:
        yield _unreadable(error, folder, "this user must be able to read it", component, version)
    except PluginError as error:
        # Asked for by the names of its folders, whatever its manifest says.
        error.component, error.version = component, version
        yield error
    else:
        yield manifest


def _unreadable(
    error: OSError | ValueError,
    folder: Path,
    hint: str,
    component: str | None = None,
    version: str | None = None,
) -> PluginError:
    reason, place = str(error), str(folder)
    if isinstance(error, OSError):
        reason, place = error.strerror or reason, str(error.filename or folder)
    return PluginError(
        f"cannot be read: {reason}",
        where=place,
        component=component,
        version=version,
        code="RTUP_0001",
        hint=hint,
    )


def _check_folders(manifest: Manifest, path: Path) -> None:
    folder = path.parent
    for what, stated, found in (
        ("name", manifest.name, folder.parent.name),
        ("version", manifest.version, folder.name),
    ):
        if stated != found:
            raise PluginError(
                f"component.{what} is {stated!r} but the folder is named {found!r}",
                where=str(path),
                code="RTUP_0002",
                hint=f"rename the folder to {stated}, or correct the {what} in the manifest",
            )


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.name[0] not in "._")


def _is_folder(path: Path) -> bool:
    """Like ``is_dir()``, but a symbolic link that leads nowhere is an OSError."""
    return stat.S_ISDIR(path.stat().st_mode)


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
