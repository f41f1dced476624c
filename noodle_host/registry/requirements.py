"""Which versions to start, and in which order: pure, from manifests to a plan.

Requirements are visited breadth first, and for each component the newest
version is taken that fits. When that leads nowhere, the latest choice that
had a part in it is made again (conflict-directed backjumping): a plan is found
if there is one. If there is none, the message tells of the first dead end,
where every choice was still the newest.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

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
    requirer: str
    component: str
    specifier: str

    def __str__(self) -> str:
        return f"{' -> '.join(self.chain)} requires {self.component} {self.specifier}".rstrip()


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


def allows(specifier: str, version: str) -> bool:
    """Whether a requirement's range, which is known to be one, has the version in it."""
    return SpecifierSet(specifier).contains(version, prereleases=True)


def newest(manifests: Iterable[Manifest], constraint: SpecifierSet) -> Manifest | None:
    """Return the newest version that fits, or None; see :func:`fitting`."""
    return next(iter(fitting(manifests, constraint)), None)


def exactly(manifests: Iterable[Manifest], version: str | None) -> Manifest | None:
    """Return the one of this very version, if ``version`` is one and not a range.

    As a range, ``==1.0`` would take ``1.0+local`` too, and prefer it.
    """
    try:
        wanted = Version(version or "")
    except InvalidVersion:
        return None
    return next((m for m in manifests if Version(m.version) == wanted), None)


def fitting(manifests: Iterable[Manifest], constraint: SpecifierSet) -> list[Manifest]:
    """Return the versions that fit, newest first.

    Pre-releases count only if the constraint names one or nothing else fits.
    """
    by_version = {Version(manifest.version): manifest for manifest in manifests}
    return [by_version[version] for version in sorted(constraint.filter(by_version), reverse=True)]


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
    return _in_order(root, _Search(root, known).chosen())


@dataclass(frozen=True)
class _Choice:
    manifest: Manifest
    chain: tuple[str, ...]

    def demands(self) -> list[_Demand]:
        requirer = self.manifest
        return [
            _Demand(self.chain, requirer.name, name, specifier)
            for name, specifier in requirer.requires.items()
        ]


class _Search:
    """Chooses a version of everything that ``root`` needs and that does not run."""

    def __init__(self, root: Manifest, known: Known) -> None:
        self._root = root
        self._known = known
        self._running = [
            _Demand((f"{name} {version} (running)",), name, component, specifier)
            for name, version in known.running.items()
            for manifest in known.available.get(name, ())
            if Version(manifest.version) == Version(version)
            for component, specifier in manifest.requires.items()
        ]
        #: What was first found to be unmet.
        self._dead_end: tuple[str, list[_Demand]] | None = None

    def chosen(self) -> dict[str, Manifest]:
        """Return the chosen manifests by name, in the order of the choices.

        Raises:
            RequirementError, PluginError: as :func:`plan_start`.
        """
        root = _Choice(self._root, (str(self._root),))
        found: dict[str, _Choice] | set[str] = self._failure({}, root)
        if not found:
            found = self._solve({self._root.name: root})
        if isinstance(found, dict):
            return {name: choice.manifest for name, choice in found.items()}
        assert self._dead_end is not None, "nothing fails without a reason"
        raise _unmet(*self._dead_end, self._known)

    def _solve(self, chosen: dict[str, _Choice]) -> dict[str, _Choice] | set[str]:
        """Return a complete choice, or the components whose choices rule one out."""
        demands = self._running + [d for choice in chosen.values() for d in choice.demands()]
        name = self._next(chosen, demands)
        if name is None:
            return chosen
        asked = [demand for demand in demands if demand.component == name]
        requirers = [chosen[d.requirer] for d in asked if d.requirer in chosen]
        blamed = {choice.manifest.name for choice in requirers}
        manifests = self._known.available.get(name, ())
        candidates = fitting(manifests, _constraint(asked))
        if not candidates:
            self._note(name, asked)
        for manifest in candidates:
            choice = _Choice(manifest, (*requirers[0].chain, str(manifest)))
            if conflict := self._failure(chosen, choice):
                blamed |= conflict
                continue
            found = self._solve({**chosen, name: choice})
            if isinstance(found, dict) or name not in found:
                return found
            blamed |= found - {name}
        return blamed

    def _next(self, chosen: Mapping[str, _Choice], demands: Sequence[_Demand]) -> str | None:
        for demand in demands:
            name = demand.component
            if demand.requirer in chosen and name not in chosen and name not in self._known.running:
                return name
        return None

    def _failure(self, chosen: Mapping[str, _Choice], choice: _Choice) -> set[str]:
        """Return the component that a choice does not go together with, or nothing."""
        fixed = {name: other.manifest.version for name, other in chosen.items()}
        fixed |= self._known.running
        # What runs may demand something of the root; of others it has been heeded.
        on_it = [d for d in self._running if d.component == choice.manifest.name]
        if not _fits(choice.manifest.version, on_it):
            self._note(choice.manifest.name, on_it)
            return {choice.manifest.name}
        for demand in choice.demands():
            name = demand.component
            if name in fixed and not _fits(fixed[name], [demand]):
                others = [d for c in chosen.values() for d in c.demands() if d.component == name]
                others += [d for d in self._running if d.component == name]
                self._note(name, [*others, demand])
                return {name}
        return set()

    def _note(self, name: str, demands: Sequence[_Demand]) -> None:
        if self._dead_end is None:
            self._dead_end = name, list(demands)


def _constraint(demands: Iterable[_Demand]) -> SpecifierSet:
    return SpecifierSet(",".join(d.specifier for d in demands if d.specifier.strip()))


def _fits(version: str, demands: Iterable[_Demand]) -> bool:
    return _constraint(demands).contains(version, prereleases=True)


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


def _unmet(name: str, demands: Sequence[_Demand], known: Known) -> RequirementError | PluginError:
    said = " and ".join(str(demand) for demand in demands)
    requirers = ", ".join(sorted({demand.requirer for demand in demands}))
    if name in known.running:
        return RequirementError(
            f"{said}; running: {known.running[name]}",
            hint=f"upgrade {name}, or loosen the range in the component.toml of {requirers}",
        )
    error = broken_version(known.broken.get(name, ()), _constraint(demands))
    if error is not None:
        error.add_note(said)
        return error
    versions = sorted((Version(m.version), m.version) for m in known.available.get(name, ()))
    found = ", ".join(text for _, text in reversed(versions)) or "none"
    return RequirementError(
        f"{said}; found: {found}",
        hint=hints(
            "" if versions else did_you_mean(name, known.available),
            f"put a version of {name} that fits on the plugin path"
            + (f", or loosen the range in the component.toml of {requirers}" if versions else ""),
        ),
    )
