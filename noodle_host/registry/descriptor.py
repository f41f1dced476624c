"""A component as the registry shows it to its users."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from noodle_host.errors import PluginError

from .manifest import MANIFEST_NAME, Manifest, check_manifest, read_manifest

_DEPENDENCY = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(.*)")


class ComponentType(StrEnum):
    """The part of the system that a component belongs to."""

    RUNTIME = "runtime"
    COMPILER = "compiler"
    AI_AGENT = "ai_agent"
    DEPLOYMENT = "deployment"
    SYSTEM = "system"


_TYPE_OF_KIND = {
    "lexer": ComponentType.COMPILER,
    "parser": ComponentType.COMPILER,
    "optimizer": ComponentType.COMPILER,
    "bytecode_generator": ComponentType.COMPILER,
    "vm": ComponentType.RUNTIME,
    "jit_compiler": ComponentType.RUNTIME,
    "memory_manager": ComponentType.RUNTIME,
    "agent": ComponentType.AI_AGENT,
}


@dataclass
class ComponentDescriptor:
    """One version of a component.

    ``dependencies`` are names of components, each optionally followed by a
    PEP 440 range (``"memory_manager>=1.0"``); ``upgrade_path`` lists the later
    versions that are there, oldest first; ``location`` is the folder of the
    code and ``entry_point`` is ``module:Class``.
    """

    name: str
    version: str
    description: str
    component_type: ComponentType
    dependencies: list[str] = field(default_factory=list)
    upgrade_path: list[str] = field(default_factory=list)
    hot_swappable: bool = False
    compatibility_matrix: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    location: str = ""
    entry_point: str = ""
    configuration_schema: dict[str, Any] = field(default_factory=dict)
    resource_requirements: dict[str, Any] = field(default_factory=dict)
    health_check_endpoint: str | None = None
    current_version: str | None = None
    critical: bool = False

    def __post_init__(self) -> None:
        if self.current_version is None:
            self.current_version = self.version


def describe(manifest: Manifest, later_versions: Iterable[str] = ()) -> ComponentDescriptor:
    """Return the descriptor of a manifest; every component here can be swapped."""
    budget = msgspec.structs.asdict(manifest.budget)
    return ComponentDescriptor(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        component_type=_TYPE_OF_KIND.get(manifest.kind, ComponentType.SYSTEM),
        dependencies=list(manifest.requires),
        upgrade_path=list(later_versions),
        hot_swappable=True,
        metadata={
            "kind": manifest.kind,
            "requires": dict(manifest.requires),
            "state_model": manifest.state.model,
            "state_schema": manifest.state.schema,
        },
        location=str(manifest.root),
        entry_point=manifest.entry_point,
        resource_requirements={key: value for key, value in budget.items() if value is not None},
    )


def manifest_of(descriptor: ComponentDescriptor) -> Manifest:
    """Return the manifest at a descriptor's location, or make one from what it says.

    Raises:
        PluginError: the descriptor or that manifest is wrong, or they differ.
    """
    location = Path(descriptor.location)
    if "\0" in descriptor.location:
        raise PluginError(
            f"{descriptor.location!r} is not the name of a folder",
            component=descriptor.name,
            version=descriptor.version,
            hint="there is a NUL in it",
        )
    if descriptor.location and (location / MANIFEST_NAME).is_file():
        manifest = read_manifest(location / MANIFEST_NAME)
        if (manifest.name, manifest.version) != (descriptor.name, descriptor.version):
            raise PluginError(
                f"the descriptor says {descriptor.name} {descriptor.version}, "
                f"its manifest says {manifest}",
                where=str(location / MANIFEST_NAME),
                component=descriptor.name,
                version=descriptor.version,
                hint="correct one of them",
            )
        return manifest
    requires: dict[str, str] = {}
    for dependency in descriptor.dependencies:
        parts = _DEPENDENCY.fullmatch(dependency)
        if parts is None:
            raise PluginError(
                f"{dependency!r} is not a dependency",
                component=descriptor.name,
                version=descriptor.version,
                hint='it is a component, and a range if needed, as in "memory_manager>=1.0"',
            )
        # A component that is named twice must fit both ranges.
        ranges = (requires.get(parts[1], ""), parts[2].strip())
        requires[parts[1]] = ",".join(filter(None, ranges))
    manifest = Manifest(
        name=descriptor.name,
        version=descriptor.version,
        # Without a place to import from, an entry point says nothing.
        entry_point=descriptor.entry_point if descriptor.location else "",
        description=descriptor.description,
        requires=requires,
        root=location.resolve() if descriptor.location else location,
    )
    check_manifest(manifest)
    return manifest
