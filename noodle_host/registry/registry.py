"""RuntimeComponentRegistry: the components that can be started."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from noodle_host.errors import ComponentNotFoundError, PluginError

from .descriptor import ComponentDescriptor, describe, manifest_of
from .manifest import Manifest
from .plugin_path import bundled_plugins, discover
from .requirements import Known, broken_version, exactly, newest, parse_constraint, plan_start
from .suggestion import did_you_mean, hints

_log = logging.getLogger("noodle_host.registry")


@dataclass(frozen=True)
class _Registered:
    """A component that was registered by its descriptor, not found on the path."""

    descriptor: ComponentDescriptor
    manifest: Manifest


@dataclass(frozen=True)
class _Found:
    """What the last look at the plugin path gave; never changed once made."""

    #: Newest first, the registered ones included.
    versions: Mapping[str, Sequence[Manifest]]
    broken: Mapping[str, Sequence[PluginError]]
    errors: Sequence[PluginError]


class RuntimeComponentRegistry:
    """The components on a plugin path, and those that were registered.

    Args:
        plugin_path: a folder laid out as ``<component>/<version>/``, or several;
            the first one wins for the same component and version. None is the
            folder of the plugins that come with noodle_host.

    The path is read at the first question and again by
    :meth:`discover_components`. A version may be given as a version (``1.0.0``)
    or as a PEP 440 range (``>=1,<2``). Safe from any number of threads.
    """

    def __init__(self, plugin_path: str | Path | Sequence[str | Path] | None = None) -> None:
        folders = [bundled_plugins()] if plugin_path is None else plugin_path
        if isinstance(folders, str | Path):
            folders = [folders]
        self.plugin_path: tuple[Path, ...] = tuple(Path(folder) for folder in folders)
        self._lock = threading.Lock()
        self._registered: dict[tuple[str, Version], _Registered] = {}
        self._found: _Found | None = None

    @property
    def errors(self) -> list[PluginError]:
        """What is wrong on the plugin path: bad plugins, folders that are not there."""
        return list(self._look().errors)

    def discover_components(self) -> list[ComponentDescriptor]:
        """Read the plugin path again; return every version, by name, newest first."""
        with self._lock:
            found = self._found = self._scan()
        return [
            self._descriptor(manifest, found)
            for name in sorted(found.versions)
            for manifest in found.versions[name]
        ]

    def list_components(self) -> list[ComponentDescriptor]:
        """Return the newest version of every component, by name."""
        found = self._look()
        newest_ones = (self.get_component(name) for name in sorted(found.versions))
        return [descriptor for descriptor in newest_ones if descriptor is not None]

    def get_component(self, name: str) -> ComponentDescriptor | None:
        """Return the newest version of a component, or None if there is no good one."""
        found = self._look()
        manifest = newest(found.versions.get(name, ()), parse_constraint(None))
        return None if manifest is None else self._descriptor(manifest, found)

    def register_component(self, descriptor: ComponentDescriptor) -> bool:
        """Add a component that is not on the plugin path; False if it is known already.

        With a ``location`` that holds a ``component.toml``, that is read. With
        neither location nor entry point the component is known by name, version
        and dependencies, and cannot be started.

        Raises:
            PluginError: the descriptor, or the manifest at its location, is wrong.
        """
        manifest = manifest_of(descriptor)
        identity = (manifest.name, Version(manifest.version))
        with self._lock:
            found = self._found or self._scan()
            known = {Version(other.version) for other in found.versions.get(manifest.name, ())}
            if identity[1] in known:
                self._found = found
                return False
            self._registered[identity] = _Registered(descriptor, manifest)
            self._found = _with(found, [manifest])
        return True

    def resolve_dependencies(self, name: str) -> list[str]:
        """Return what the newest version of a component needs, first what to start first.

        Raises:
            ComponentNotFoundError, RequirementError, PluginError: as :meth:`start_order`.
        """
        root = self._pick(name, None)
        return [manifest.name for manifest in plan_start(root, self._known({}))[:-1]]

    def manifest(self, name: str, version: str | None = None) -> Manifest:
        """Return the newest version that fits.

        Raises:
            ComponentNotFoundError: there is none.
            PluginError: the one that would have fitted is broken.
            RequirementError: ``version`` is neither a version nor a range.
        """
        manifest = self._pick(name, version)
        _check_startable(manifest)
        return manifest

    def versions(self, name: str) -> list[str]:
        """Return the versions of a component, newest first.

        Raises:
            ComponentNotFoundError: there is no such component.
            PluginError: there is one, and none of its versions is good.
        """
        self._pick(name, None)
        return [manifest.version for manifest in self._look().versions[name]]

    def start_order(
        self,
        name: str,
        version: str | None = None,
        running: Mapping[str, str] | None = None,
    ) -> list[Manifest]:
        """Return what to start for a component: requirements first, itself last.

        ``running`` maps the components that run to their versions; they are
        left out of the result, and their versions must fit.

        Raises:
            ComponentNotFoundError: there is no such component or version.
            RequirementError: a requirement is not met, or there is a cycle.
            PluginError: what would have fitted is broken.
        """
        return self.start_order_of(self._pick(name, version), running)

    def start_order_of(
        self, manifest: Manifest, running: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """Like :meth:`start_order`, for a manifest that need not be on the path.

        Raises:
            RequirementError, PluginError: as :meth:`start_order`.
        """
        order = plan_start(manifest, self._known(running or {}))
        for planned in order:
            _check_startable(planned)
        return order

    def _pick(self, name: str, version: str | None) -> Manifest:
        found = self._look()
        constraint = parse_constraint(version)
        known_versions = found.versions.get(name, ())
        manifest = exactly(known_versions, version) or newest(known_versions, constraint)
        if manifest is not None:
            return manifest
        error = broken_version(found.broken.get(name, ()), constraint)
        if error is not None:
            raise error
        looked_in = "looked in " + (", ".join(map(str, self.plugin_path)) or "no folder at all")
        if name not in found.versions:
            known = [*found.versions, *found.broken]
            missing = [error for error in found.errors if error.component is None]
            raise ComponentNotFoundError(
                f"Component {name!r} not found in registry",
                component=name,
                hint=hints(did_you_mean(name, known), looked_in, *map(_in_brief, missing)),
            )
        versions = ", ".join(manifest.version for manifest in found.versions[name])
        raise ComponentNotFoundError(
            f"no version fits {version}",
            component=name,
            hint=hints(f"found: {versions}", looked_in),
        )

    def _known(self, running: Mapping[str, str]) -> Known:
        found = self._look()
        return Known(available=found.versions, running=running, broken=found.broken)

    def _look(self) -> _Found:
        found = self._found
        if found is None:
            with self._lock:
                found = self._found = self._found or self._scan()
        return found

    def _scan(self) -> _Found:
        discovery = discover(self.plugin_path)
        broken: dict[str, list[PluginError]] = {}
        for error in discovery.errors:
            # A newer version that is broken is passed over when any version
            # will do; the log is where that shows.
            _log.warning("%s", error)
            if error.component is not None:
                broken.setdefault(error.component, []).append(error)
        found = _with(_Found({}, broken, discovery.errors), discovery.manifests)
        known = {(m.name, Version(m.version)) for m in discovery.manifests}
        registered = [r.manifest for key, r in self._registered.items() if key not in known]
        return _with(found, registered)

    def _descriptor(self, manifest: Manifest, found: _Found) -> ComponentDescriptor:
        registered = self._registered.get((manifest.name, Version(manifest.version)))
        if registered is not None and registered.manifest is manifest:
            return registered.descriptor
        versions = found.versions[manifest.name]
        return describe(
            manifest, [later.version for later in versions[: versions.index(manifest)]][::-1]
        )


def _with(found: _Found, manifests: Sequence[Manifest]) -> _Found:
    versions = {name: list(known) for name, known in found.versions.items()}
    for manifest in manifests:
        versions.setdefault(manifest.name, []).append(manifest)
    for known in versions.values():
        known.sort(key=lambda manifest: Version(manifest.version), reverse=True)
    return _Found(versions, found.broken, found.errors)


def _check_startable(manifest: Manifest) -> None:
    if not manifest.entry_point:
        raise PluginError(
            "was registered without location or entry point, so there is nothing to start",
            component=manifest.name,
            version=manifest.version,
            phase="resolve",
            hint="register it with location and entry_point, or put it on the plugin path",
        )


def _in_brief(error: PluginError) -> str:
    return f"{error.where} {error.message}"
