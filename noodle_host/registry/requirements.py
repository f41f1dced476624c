"""Which versions to start, and in which order: pure, from manifests to a plan.

For each required component the newest version is chosen that fits what is
known to be demanded of it. When a later requirer excludes that choice, the
choice is made again with all demands; choices that fit are not taken back
otherwise (no backtracking).
"""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NoReturn

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from noodle_host.errors import PluginError, RequirementError

from .manifest import Manifest
from .suggestion import did_you_mean, hints


@dataclass(frozen=True)
class Known:
    """The facts that a plan is made from.

    ``available`` maps a component to the versions that can be started,
    ``running`` to the one that runs, ``broken`` to what is wrong with the
    versions that cannot be started.
    """

    available: Mapping[str, Sequence[Manifest]]
    running: Mapping[str, str]
    broken: Mapping[str, Sequence[PluginError]]


@dataclass(frozen=True)
class _Demand:
    #: From the component to start to the requirer: ("app 1.0", "vm 1.0.0").
    chain: tuple[str, ...]
    component: str
    specifier: str

    def __str__(self) -> str:
        return f"{' -> '.join(self.chain)} requires {self.component} {self.specifier}".rstrip()


_Demands = dict[str, dict[tuple[str, str], _Demand]]


def parse_constraint(text: str | None) -> SpecifierSet:
    """Return what a version (``1.0.0``) or a range (``>=1,<2``) allows; None is any.

    Raises:
        RequirementError: the text is neither.
    """
    if text is None:
        return SpecifierSet()
    try:
        return SpecifierSet(f"=={Version(text)}")
    except InvalidVersion:
        pass
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise RequirementError(
            f"{text!r} is neither a version nor a range of versions",
            code="VM_0001",
            hint='a version looks like "1.0.0", a range like ">=1,<2" (PEP 440)',
        ) from None


def newest(manifests: Iterable[Manifest], constraint: SpecifierSet) -> Manifest | None:
    """Return the newest version that fits, or None.

    Pre-releases count only if the constraint names one or nothing else fits.
    """
    by_version = {Version(manifest.version): manifest for manifest in manifests}
    fitting = list(constraint.filter(by_version))
    return by_version[max(fitting)] if fitting else None


def broken_version(errors: Iterable[PluginError], constraint: SpecifierSet) -> PluginError | None:
    """Return the error of the first broken version that would have fitted.

    It is a copy: what is raised gathers a traceback and notes.
    """
    for error in errors:
        try:
            fits = constraint.contains(error.version or "", prereleases=True)
        except InvalidVersion:
            fits = False
        # A plugin whose version is not known may be the one that is wanted.
        if fits or error.version is None:
            return copy.copy(error)
    return None


def plan_start(root: Manifest, known: Known) -> list[Manifest]:
    """Return what to start, requirements first, ``root`` last.

    What runs already is not started again; its version must fit, and what it
    requires of others is respected.

    Raises:
        RequirementError: a requirement is not met, or there is a cycle.
        PluginError: the version that would meet a requirement is broken.
    """
    if root.name in known.running:
        running = known.running[root.name]
        if Version(running) == Version(root.version):
            return []
        raise RequirementError(f"{root} cannot be started: {root.name} {running} is running")
    demands = _running_demands(known)
    while True:
        chosen = _choose(root, known, demands)
        excluded = [name for name in chosen if not _fits(chosen[name], demands[name])]
        if not excluded:
            return _in_order(root, chosen)
        if root.name in excluded:
            _fail_unmet(root.name, known, demands)
        # Every round excludes at least one version for good, so this ends.


def _running_demands(known: Known) -> _Demands:
    demands: _Demands = defaultdict(dict)
    for name, version in known.running.items():
        for manifest in known.available.get(name, ()):
            if Version(manifest.version) == Version(version):
                _demand(demands, manifest, (f"{name} {version} (running)",))
    return demands


def _demand(demands: _Demands, requirer: Manifest, chain: tuple[str, ...]) -> None:
    for name, specifier in requirer.requires.items():
        demands[name].setdefault((str(requirer), specifier), _Demand(chain, name, specifier))


def _choose(root: Manifest, known: Known, demands: _Demands) -> dict[str, Manifest]:
    """Choose a version for everything that ``root`` needs; adds to ``demands``."""
    chosen = {root.name: root}
    to_visit: deque[tuple[Manifest, tuple[str, ...]]] = deque([(root, (str(root),))])
    while to_visit:
        requirer, chain = to_visit.popleft()
        _demand(demands, requirer, chain)
        for name in requirer.requires:
            if name in chosen:
                continue
            constraint = _constraint(demands[name])
            if name in known.running:
                if not constraint.contains(known.running[name], prereleases=True):
                    _fail_unmet(name, known, demands)
                continue
            manifest = newest(known.available.get(name, ()), constraint)
            if manifest is None:
                _fail_unmet(name, known, demands)
            chosen[name] = manifest
            to_visit.append((manifest, (*chain, str(manifest))))
    return chosen


def _constraint(demands: Mapping[tuple[str, str], _Demand]) -> SpecifierSet:
    return SpecifierSet(",".join(d.specifier for d in demands.values() if d.specifier.strip()))


def _fits(manifest: Manifest, demands: Mapping[tuple[str, str], _Demand]) -> bool:
    return _constraint(demands).contains(manifest.version, prereleases=True)


def _in_order(root: Manifest, chosen: Mapping[str, Manifest]) -> list[Manifest]:
    graph = {
        name: [required for required in manifest.requires if required in chosen]
        for name, manifest in chosen.items()
    }
    try:
        names = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        # graphlib lists the required before the requirer, and the first again
        # at the end; a person reads it the other way, from the root on.
        cycle = error.args[1][:0:-1]
        first = min(range(len(cycle)), key=lambda i: list(chosen).index(cycle[i]))
        cycle = [*cycle[first:], *cycle[:first], cycle[first]]
        raise RequirementError(
            "cycle: " + " -> ".join(str(chosen[name]) for name in cycle),
            component=root.name,
            version=root.version,
            hint="components that require each other cannot be started; "
            "take one requirement out of a component.toml",
        ) from None
    return [chosen[name] for name in names]


def _fail_unmet(name: str, known: Known, demands: _Demands) -> NoReturn:
    asked = demands[name]
    said = " and ".join(str(demand) for demand in asked.values())
    requirers = ", ".join(sorted({demand.chain[-1].split()[0] for demand in asked.values()}))
    if name in known.running:
        raise RequirementError(
            f"{said}; running: {known.running[name]}",
            hint=f"upgrade {name}, or loosen the range in the component.toml of {requirers}",
        )
    error = broken_version(known.broken.get(name, ()), _constraint(asked))
    if error is not None:
        error.add_note(said)
        raise error
    versions = sorted((Version(m.version), m.version) for m in known.available.get(name, ()))
    found = ", ".join(text for _, text in reversed(versions)) or "none"
    raise RequirementError(
        f"{said}; found: {found}",
        hint=hints(
            "" if versions else did_you_mean(name, known.available),
            f"put a version of {name} that fits on the plugin path"
            + (f", or loosen the range in the component.toml of {requirers}" if versions else ""),
        ),
    )
