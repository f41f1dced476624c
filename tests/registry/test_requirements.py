from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from noodle_host.errors import PluginError, RequirementError
from noodle_host.registry.manifest import Manifest
from noodle_host.registry.requirements import (
    Known,
    broken_version,
    fitting,
    newest,
    parse_constraint,
    plan_start,
)


def make(text: str, **requires: str) -> Manifest:
    name, _, version = text.partition(" ")
    return Manifest(
        name=name, version=version, entry_point=f"{name}:C", requires=requires, root=Path(name)
    )


def known(*manifests: Manifest, running: Mapping[str, str] | None = None) -> Known:
    available: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        available.setdefault(manifest.name, []).append(manifest)
    return Known(available, running or {}, {})


def plan(root: Manifest, *others: Manifest, running: Mapping[str, str] | None = None) -> list[str]:
    return [str(m) for m in plan_start(root, known(root, *others, running=running))]


def unmet(root: Manifest, *others: Manifest, running: Mapping[str, str] | None = None) -> str:
    with pytest.raises(RequirementError) as caught:
        plan(root, *others, running=running)
    return caught.value.message


# -- one component -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fits", "excludes"),
    [
        (None, ["0.1", "9"], []),
        ("1.0.0", ["1.0.0", "1", "1.0+local"], ["1.0.1", "1.0.0rc1"]),
        ("2.0rc1", ["2.0rc1"], ["2.0"]),
        (">=1,<2", ["1.0", "1.99"], ["0.9", "2.0"]),
        ("~=1.2", ["1.2", "1.9"], ["1.1", "2.0"]),
        ("", ["1.0"], []),
    ],
)
def test_a_version_or_a_range(text: str | None, fits: list[str], excludes: list[str]) -> None:
    constraint = parse_constraint(text)
    assert [v for v in [*fits, *excludes] if constraint.contains(v, prereleases=True)] == fits


@pytest.mark.parametrize("text", ["new", "1.0.0.", ">=x", "lexer>=1", "1.0 2.0", "\0"])
def test_neither_version_nor_range(text: str) -> None:
    with pytest.raises(RequirementError) as caught:
        parse_constraint(text)
    assert caught.value.message == f"{text!r} is neither a version nor a range of versions"
    assert caught.value.code == "VM_0001"


@pytest.mark.parametrize(
    ("versions", "constraint", "chosen"),
    [
        (["1.9", "1.10", "1.2"], "", "1.10"),
        (["1.0", "2.0rc1"], "", "1.0"),
        (["1.0", "2.0rc1"], ">=2.0rc1", "2.0rc1"),
        (["1.0.dev1", "1.0rc1"], "", "1.0rc1"),
        (["2.0rc1", "2.0"], ">=2.0rc1", "2.0"),
        (["1.0", "1.0.post1"], "", "1.0.post1"),
        (["1.0", "1.0+b", "1.0+a"], "", "1.0+b"),
        (["1!1.0", "2.0"], "", "1!1.0"),
        (["1.0"], ">1", None),
        ([], "", None),
    ],
)
def test_newest(versions: list[str], constraint: str, chosen: str | None) -> None:
    found = newest([make(f"a {version}") for version in versions], SpecifierSet(constraint))
    assert (found and found.version) == chosen


_numbers = st.lists(st.integers(0, 12), min_size=1, max_size=3).map(
    lambda parts: ".".join(map(str, parts))
)
_versions = st.builds("{}{}".format, _numbers, st.sampled_from(["", "", "a1", "rc2", ".dev3"]))
_ranges = st.lists(
    st.builds("{}{}".format, st.sampled_from([">=", "<", "!=", "==", ">", "<="]), _versions),
    max_size=2,
).map(",".join)


@given(st.lists(_versions, max_size=6), _ranges)
@settings(max_examples=200, deadline=None)
def test_what_is_chosen_fits_and_nothing_newer_does(versions: list[str], text: str) -> None:
    constraint = SpecifierSet(text)
    listed = fitting([make(f"a {version}") for version in versions], constraint)
    numbers = [Version(manifest.version) for manifest in listed]
    assert numbers == sorted(set(numbers), reverse=True)
    for version in map(Version, versions):
        final = not version.is_prerelease
        if final or constraint.prereleases:
            assert (version in numbers) == constraint.contains(version)
        elif version in numbers:
            # A pre-release that nobody named stands in for what is not there.
            assert all(number.is_prerelease for number in numbers)
            assert constraint.contains(version, prereleases=True)


def test_a_broken_version_that_would_have_fitted() -> None:
    errors = [
        PluginError("old", component="a", version="1.0"),
        PluginError("odd", component="a", version="latest"),
        PluginError("new", component="a", version="2.0"),
        PluginError("unknown", component="a"),
    ]
    found = broken_version(errors, SpecifierSet(">=2"))
    assert found is not None
    assert found.message == "new"
    assert found is not errors[2], "what is raised gathers notes and a traceback"
    last = broken_version(errors, SpecifierSet(">=3"))
    assert last is not None
    assert last.message == "unknown"
    assert broken_version(errors[:3], SpecifierSet(">=3")) is None


# -- several components --------------------------------------------------------


def test_requirements_come_first() -> None:
    app = make("app 1", vm="", parser=">=1")
    others = [make("vm 1", memory=""), make("parser 1", lexer=""), make("lexer 1", memory="")]
    assert plan(app, *others, make("memory 1"), make("unused 1")) == [
        "memory 1",
        "vm 1",
        "lexer 1",
        "parser 1",
        "app 1",
    ]


def test_the_newest_that_fits_all_is_chosen() -> None:
    app = make("app 1", lib="<3", parser="")
    libs = [make("lib 1"), make("lib 2"), make("lib 3")]
    assert plan(app, *libs, make("parser 1", lib=">=1")) == ["lib 2", "parser 1", "app 1"]


def test_a_choice_is_made_again_when_a_later_one_excludes_it() -> None:
    app = make("app 1", lib="", parser="")
    assert plan(app, make("lib 1"), make("lib 2"), make("parser 1", lib="<2")) == [
        "lib 1",
        "parser 1",
        "app 1",
    ]


def test_what_a_rejected_version_asks_for_does_not_count() -> None:
    app = make("app 1", lib="", parser="")
    order = plan(
        app,
        make("lib 2", memory=">=2"),
        make("lib 1", memory="<2"),
        make("parser 1", lib="<2"),
        make("memory 2"),
        make("memory 1"),
    )
    assert order == ["memory 1", "lib 1", "parser 1", "app 1"]


def test_an_older_version_is_taken_when_the_newest_asks_for_what_is_not_there() -> None:
    app = make("app 1", parser="")
    assert plan(
        app, make("parser 2", lexer=">=2"), make("parser 1", lexer=""), make("lexer 1")
    ) == [
        "lexer 1",
        "parser 1",
        "app 1",
    ]


def test_nothing_is_tried_again_that_had_no_part_in_a_failure() -> None:
    # 20 components of 10 versions, none of which matter: 10 ** 20 choices.
    names = [f"c{i}" for i in range(20)]
    others = [make(f"{name} {i}") for name in names for i in range(1, 11)]
    app = make("app 1", **dict.fromkeys(names, ""), last=">=1")
    message = unmet(app, *others, make("last 1", missing=""))
    assert message == "app 1 -> last 1 requires missing; found: none"


@pytest.mark.parametrize(
    ("manifests", "message"),
    [
        ([make("app 1", vmm=">=1"), make("vm 1")], "app 1 requires vmm >=1; found: none"),
        (
            [make("app 1", vm=">=2"), make("vm 1.9"), make("vm 1.10")],
            "app 1 requires vm >=2; found: 1.10, 1.9",
        ),
        (
            [make("app 1", vm=""), make("vm 1", memory=">=2"), make("memory 1")],
            "app 1 -> vm 1 requires memory >=2; found: 1",
        ),
        (
            [
                make("app 1", a="", b=""),
                make("a 1", lib="<2"),
                make("b 1", lib=">=2"),
                make("lib 1"),
                make("lib 2"),
            ],
            "app 1 -> a 1 requires lib <2 and app 1 -> b 1 requires lib >=2; found: 2, 1",
        ),
        (
            [make("app 1", a="", b=""), make("a 2"), make("b 1", a="<2")],
            "app 1 requires a and app 1 -> b 1 requires a <2; found: 2",
        ),
        (
            [make("app 1", a=""), make("a 1", app=">=2")],
            "app 1 -> a 1 requires app >=2; found: 1",
        ),
    ],
)
def test_requirements_that_cannot_be_met(manifests: list[Manifest], message: str) -> None:
    assert unmet(*manifests) == message


def test_the_hint_names_whose_range_to_loosen() -> None:
    with pytest.raises(RequirementError) as caught:
        plan(make("app 1", vm=">=2"), make("vm 1"))
    assert caught.value.hint == (
        "put a version of vm that fits on the plugin path, "
        "or loosen the range in the component.toml of app"
    )
    assert caught.value.code == "RTUP_0007"
    with pytest.raises(RequirementError) as caught:
        plan(make("app 1", lexxer=""), make("lexer 1"))
    assert caught.value.hint.startswith("did you mean 'lexer'?; put a version of lexxer ")


@pytest.mark.parametrize(
    ("manifests", "cycle"),
    [
        ([make("a 1", b=""), make("b 1", a="")], "a 1 -> b 1 -> a 1"),
        (
            [make("app 1", a=""), make("a 1", b=""), make("b 1", c=""), make("c 1", a="")],
            "a 1 -> b 1 -> c 1 -> a 1",
        ),
        ([make("a 1", a="")], "a 1 -> a 1"),
    ],
)
def test_a_cycle_is_shown_as_a_path(manifests: list[Manifest], cycle: str) -> None:
    assert unmet(*manifests) == f"cycle: {cycle}"


# -- beside what runs ----------------------------------------------------------


def test_what_runs_is_not_started_again() -> None:
    app = make("app 1", vm="", lexer="")
    assert plan(app, make("vm 1"), make("lexer 1"), running={"vm": "1"}) == ["lexer 1", "app 1"]
    # Not even when a newer one is there.
    assert plan(app, make("vm 2"), make("lexer 1"), running={"vm": "1"}) == ["lexer 1", "app 1"]
    assert plan(app, running={"app": "1.0"}) == []


def test_what_runs_must_fit() -> None:
    app = make("app 1", vm=">=2")
    assert unmet(app, make("vm 2"), running={"vm": "1"}) == "app 1 requires vm >=2; running: 1"
    assert unmet(app, running={"app": "0.9"}) == "app 1 cannot be started: app 0.9 is running"


def test_an_older_version_is_taken_that_fits_what_runs() -> None:
    app = make("app 1", parser="")
    others = [make("parser 2", vm=">=2"), make("parser 1", vm="<2"), make("vm 2")]
    assert plan(app, *others, running={"vm": "1"}) == ["parser 1", "app 1"]


def test_what_runs_has_demands_too() -> None:
    runs = make("shell 1", lexer="<2")
    app = make("app 1", lexer="")
    others = [make("lexer 2"), make("lexer 1"), runs]
    assert plan(app, *others, running={"shell": "1"}) == ["lexer 1", "app 1"]
    assert unmet(make("lexer 2"), runs, running={"shell": "1"}) == (
        "shell 1 (running) requires lexer <2; found: 2"
    )


# -- any components ------------------------------------------------------------

_NAMES = "abcd"
_worlds = st.fixed_dictionaries(
    {
        name: st.dictionaries(
            st.sampled_from(["1", "2", "3"]),
            st.dictionaries(
                st.sampled_from([other for other in _NAMES if other != name]),
                st.sampled_from(["", ">=2", "<2", "<3", "==2", ">3"]),
                max_size=2,
            ),
            min_size=1,
        )
        for name in _NAMES
    }
)


def holds(chosen: Mapping[str, Manifest], running: Mapping[str, str]) -> bool:
    """Whether each requirement of each chosen one is met."""
    versions = {name: manifest.version for name, manifest in chosen.items()} | dict(running)
    return all(
        name in versions and SpecifierSet(specifier).contains(versions[name])
        for manifest in chosen.values()
        for name, specifier in manifest.requires.items()
    )


@given(_worlds, st.dictionaries(st.sampled_from("bcd"), st.sampled_from("123"), max_size=1))
@settings(max_examples=400, deadline=None)
def test_a_plan_is_found_if_there_is_one(
    world: dict[str, dict[str, dict[str, str]]], running: dict[str, str]
) -> None:
    manifests = {
        name: [make(f"{name} {version}", **requires) for version, requires in versions.items()]
        for name, versions in world.items()
    }
    root = max(manifests["a"], key=lambda manifest: manifest.version)
    # What runs has been installed once, and asks for nothing here.
    available = {name: listed for name, listed in manifests.items() if name not in running}
    try:
        order = plan_start(root, Known(available, running, {}))
    except RequirementError as error:
        if error.message.startswith("cycle: "):
            path = error.message.removeprefix("cycle: ").split(" -> ")
            assert path[0] == path[-1]
            for requirer, required in itertools.pairwise(path):
                name, _, version = requirer.partition(" ")
                assert required[0] in world[name][version]
            return
        others = [[*available[name], None] for name in available if name != "a"]
        for choice in itertools.product([root], *others):
            chosen = {manifest.name: manifest for manifest in choice if manifest is not None}
            assert not holds(chosen, running)
    else:
        chosen = {manifest.name: manifest for manifest in order}
        assert len(chosen) == len(order)
        assert order[-1] is root
        assert holds(chosen, running)
        assert not chosen.keys() & running.keys()
        started = set(running)
        for manifest in order:
            assert manifest.requires.keys() <= started, "requirements are started first"
            started.add(manifest.name)
        needed = {name for manifest in order for name in manifest.requires}
        assert chosen.keys() <= needed | {"a"}, "nothing is started that nobody requires"
