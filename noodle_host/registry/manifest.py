"""A component's manifest, read from ``component.toml`` without importing its code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec

from hookspecs.contracts import KINDS
from noodle_host.errors import PluginError

from .suggestion import did_you_mean, hints
from .toml_source import TomlSource

MANIFEST_NAME: Final = "component.toml"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ENTRY_POINT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_NAME_HINT = "a name has lower-case letters, digits and underscores, a letter first"
_VERSION_HINT = 'a version looks like "1.0.0" or "2.0.0rc1" (PEP 440)'
_SPECIFIER_HINT = 'a range looks like ">=1.0,<2"; "" is any version (PEP 440)'

# The bounds leave room for everything that is meant, and keep out what the
# system calls that these numbers go to would choke on: inf, 2**64.
_Positive = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
_PositiveNumber = Annotated[float, msgspec.Meta(gt=0, le=1e9)]


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the component's state moves to another worker.

    ``schema`` is the version of the state's form, from 1. ``fork`` is False
    for a component that cannot fork safely, because it has native threads.
    """

    model: Literal["stateless", "snapshot", "replicated"] = "stateless"
    schema: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    fork: bool = True


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker of the component may use; None leaves it to the host.

    Sizes are in bytes, times in seconds; ``cpu_share`` counts cores, so that
    0.5 is half of one; ``queue_length`` counts calls that wait.
    """

    memory_bytes: _Positive | None = None
    cpu_share: _PositiveNumber | None = None
    open_files: _Positive | None = None
    threads: _Positive | None = None
    processes: _Positive | None = None
    startup_timeout_s: _PositiveNumber | None = None
    call_timeout_s: _PositiveNumber | None = None
    queue_length: _Positive | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of a component.

    ``version`` is a PEP 440 version as written; ``entry_point`` is
    ``module:Class``; ``requires`` maps a component to a PEP 440 specifier set;
    ``root`` is the folder that holds ``component.toml`` and the code.
    """

    name: str
    version: str
    entry_point: str
    root: Path
    kind: str = "service"
    description: str = ""
    requires: dict[str, str] = {}
    state: State = State()
    budget: Budget = Budget()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class _Component(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    version: str
    entry_point: str
    kind: str = "service"
    description: str = ""


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    component: _Component
    requires: dict[str, Any] = {}
    state: State = State()
    budget: Budget = Budget()


def read_manifest(path: Path) -> Manifest:
    """Read and check a ``component.toml``.

    Raises:
        PluginError: what is wrong, with ``where`` as ``path:line`` when the
            line is known. Codes: ``RTUP_0001`` no such file, ``RTUP_0002``
            the form is wrong, ``RTUP_0003`` a key is missing.
    """
    return _Reader(TomlSource(path)).manifest()


class _Reader:
    """Checks one document from the outside in: keys, types, values."""

    def __init__(self, source: TomlSource) -> None:
        self._source = source
        self._tables = source.parse()
        component = self._tables.get("component")
        stated = component if isinstance(component, dict) else {}
        self._name = _text_or_none(stated.get("name"))
        self._version = _text_or_none(stated.get("version"))

    def manifest(self) -> Manifest:
        self._check_keys()
        try:
            document = msgspec.convert(self._tables, _Document)
        except msgspec.ValidationError as error:
            self._fail_type(str(error))
        component = document.component
        self._check_component(component)
        for name, specifier in document.requires.items():
            self._check_requirement(name, specifier)
        return Manifest(
            name=component.name,
            version=component.version,
            entry_point=component.entry_point,
            kind=component.kind,
            description=component.description,
            requires=document.requires,
            state=document.state,
            budget=document.budget,
            root=self._root(),
        )

    def _root(self) -> Path:
        root = self._source.path.parent.resolve()
        try:
            str(root).encode()
        except UnicodeEncodeError:
            # It is sent to the worker as text.
            self._fail((), "the name of its folder is not UTF-8", "rename the folder")
        return root

    def _check_keys(self) -> None:
        tables = _field_names(_Document)
        for table in self._tables:
            if table not in tables:
                self._fail(
                    (table,),
                    f"there is no table [{table}]",
                    hints(
                        did_you_mean(table, tables),
                        f"the tables are {', '.join(f'[{name}]' for name in tables)}",
                    ),
                )
        if "component" not in self._tables:
            self._fail(
                (),
                "there is no table [component]",
                "it holds at least name, version and entry_point",
                code="RTUP_0003",
            )
        for table, struct in (("component", _Component), ("state", State), ("budget", Budget)):
            known = _field_names(struct)
            given = self._tables.get(table)
            for key in given if isinstance(given, dict) else ():
                if key not in known:
                    self._fail(
                        (table, key),
                        f"[{table}] has no key {key!r}",
                        hints(did_you_mean(key, known), f"the keys are {', '.join(known)}"),
                    )

    def _fail_type(self, message: str) -> NoReturn:
        """Say in the words of TOML what msgspec found to be of the wrong type."""
        said, _, place = message.partition(" - at `$")
        keys = tuple(key for key in place.rstrip("`").split(".") if key)
        if missing := re.fullmatch(r"Object missing required field `(\w+)`", said):
            self._fail(
                keys,
                f"[{'.'.join(keys)}] has no {missing[1]}",
                "name, version and entry_point are required",
                code="RTUP_0003",
            )
        if keys == ("state", "model") and said.startswith("Invalid enum value"):
            models = ("stateless", "snapshot", "replicated")
            given = self._tables["state"]["model"]
            self._fail(
                keys,
                f"state.model: there is no state model {given!r}",
                hints(did_you_mean(given, models), f"the models are {', '.join(models)}"),
            )
        said = said.replace("`object`", "a table").replace("`", "").replace(" | null", "")
        said = said[0].lower() + said[1:]
        hint = ""
        if keys == ("component", "version") and self._version is None:
            hint = 'a version is written in quotes, as in version = "1.0.0"'
        self._fail(keys, f"{'.'.join(keys)}: {said}", hint)

    def _check_component(self, component: _Component) -> None:
        if not _NAME.fullmatch(component.name):
            self._fail(
                ("component", "name"),
                f"component.name: {component.name!r} is not a component name",
                _NAME_HINT,
            )
        if not _is_version(component.version):
            self._fail(
                ("component", "version"),
                f"component.version: {component.version!r} is not a version",
                _VERSION_HINT,
            )
        if not _ENTRY_POINT.fullmatch(component.entry_point):
            self._fail(
                ("component", "entry_point"),
                f"component.entry_point: {component.entry_point!r} is not an entry point",
                f'it looks like "module:Class", as in "{component.name}:'
                f'{component.name.title().replace("_", "")}"',
            )
        if component.kind not in KINDS:
            self._fail(
                ("component", "kind"),
                f"component.kind: there is no kind {component.kind!r}",
                hints(did_you_mean(component.kind, KINDS), f"the kinds are {', '.join(KINDS)}"),
            )

    def _check_requirement(self, name: str, specifier: object) -> None:
        keys = ("requires", name)
        if not _NAME.fullmatch(name):
            self._fail(
                keys,
                f"requires: {name!r} is not a component name",
                _NAME_HINT,
            )
        if name == self._name:
            self._fail(keys, f"requires.{name}: the component requires itself", "remove the line")
        if not isinstance(specifier, str):
            self._fail(
                keys,
                f"requires.{name}: expected str, got {type(specifier).__name__}",
                'a range is written in quotes, as in ">=1.0,<2"',
            )
        if not _is_specifier(specifier):
            hint = _SPECIFIER_HINT
            if _is_version(specifier):
                hint = f'"=={specifier}" is that version alone, ">={specifier}" that or a newer one'
            self._fail(keys, f"requires.{name}: {specifier!r} is not a version range", hint)

    def _fail(
        self, keys: tuple[str, ...], message: str, hint: str, code: str = "RTUP_0002"
    ) -> NoReturn:
        raise PluginError(
            message,
            where=self._source.where(*keys),
            component=self._name,
            version=self._version,
            code=code,
            hint=hint,
        ) from None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _field_names(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return struct.__struct_fields__


# packaging is imported where a manifest is checked, not where one is used: a
# worker is given a manifest that was checked by the host.
def _is_version(text: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        Version(text)
    except InvalidVersion:
        return False
    # packaging forgives blanks around a version; a folder name has none.
    return text == text.strip()


def _is_specifier(text: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def check_manifest(manifest: Manifest) -> None:
    """Check the texts of a manifest that was not read from a file.

    Raises:
        PluginError: one of them is not valid.
    """
    problem = hint = ""
    if not _NAME.fullmatch(manifest.name):
        problem, hint = f"{manifest.name!r} is not a component name", _NAME_HINT
    elif not _is_version(manifest.version):
        problem, hint = f"{manifest.version!r} is not a version", _VERSION_HINT
    elif manifest.entry_point and not _ENTRY_POINT.fullmatch(manifest.entry_point):
        problem = f"{manifest.entry_point!r} is not an entry point"
        hint = 'it looks like "module:Class"'
    for name, specifier in manifest.requires.items():
        if not _is_specifier(specifier):
            problem = f"requires.{name}: {specifier!r} is not a version range"
            hint = _SPECIFIER_HINT
    if problem:
        raise PluginError(problem, component=manifest.name, version=manifest.version, hint=hint)
