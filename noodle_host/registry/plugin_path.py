"""The plugin path: folders laid out as ``<component>/<version>/component.toml``."""

from __future__ import annotations

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
        for component in _subfolders(folder):
            if (component / MANIFEST_NAME).is_file():
                yield PluginError(
                    "has no folder for its version",
                    where=str(component / MANIFEST_NAME),
                    component=component.name,
                    hint=_LAYOUT_HINT,
                )
                continue
            yield from _versions(component)
    except OSError as error:
        yield PluginError(
            f"cannot be read: {error.strerror}",
            where=str(error.filename or folder),
            code="RTUP_0001",
            hint="every entry of the plugin path is a folder that this user may read",
        )


def _versions(component: Path) -> Iterator[Manifest | PluginError]:
    for folder in _subfolders(component):
        path = folder / MANIFEST_NAME
        # Other folders may lie beside the versions: shared tests, notes.
        if not path.exists() and not _is_version(folder.name):
            continue
        try:
            manifest = read_manifest(path)
            _check_folders(manifest, path)
        except PluginError as error:
            # Asked for by the names of its folders, whatever its manifest says.
            error.component, error.version = component.name, folder.name
            yield error
        else:
            yield manifest


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


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        entry for entry in folder.iterdir() if entry.name[0] not in "._" and entry.is_dir()
    )


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
