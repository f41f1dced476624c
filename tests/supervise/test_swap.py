"""What a swap does, and what is refused before it: pure, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from noodle_host.errors import ComponentNotFoundError, HotSwapError, RequirementError
from noodle_host.registry.manifest import Manifest, State
from noodle_host.supervise.swap import SwapStep, plan
from noodle_host.supervise.swapping import check_swap, find_component

_MODELS = ("stateless", "snapshot", "replicated")


def made(
    version: str,
    *,
    name: str = "vault",
    kind: str = "service",
    model: str = "replicated",
    schema: int = 1,
    **requires: str,
) -> Manifest:
    return Manifest(
        name=name,
        kind=kind,
        version=version,
        entry_point="vault:Vault",
        root=Path("/nowhere"),
        requires=requires,
        state=State(model=model, schema=schema),
    )


# -- plans ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", _MODELS)
@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("bakes", [False, True])
def test_every_plan_has_one_cut_and_one_end(model: str, follows: bool, bakes: bool) -> None:
    steps = plan(model, follows=follows, bakes=bakes)
    assert len(set(steps)) == len(steps)
    cuts = [s for s in steps if s in (SwapStep.YIELD, SwapStep.YIELD_WITH_STATE)]
    assert len(cuts) == 1
    ends = [s for s in steps if s in (SwapStep.RETIRE, SwapStep.BAKE)]
    assert ends == steps[-1:]
    assert steps[-2] == SwapStep.LEAD
    assert steps.index(cuts[0]) < steps.index(SwapStep.LEAD)


@pytest.mark.parametrize("model", _MODELS)
def test_a_state_is_copied_before_it_is_restored_and_only_if_there_is_one(model: str) -> None:
    steps = plan(model, follows=False, bakes=False)
    assert steps[:2] == [SwapStep.LOAD, SwapStep.START]
    if model == "stateless":
        assert SwapStep.RESTORE not in steps
        return
    copy = SwapStep.SNAPSHOT if model == "replicated" else SwapStep.YIELD_WITH_STATE
    assert steps.index(copy) + 1 == steps.index(SwapStep.RESTORE)
    # Only who can follow takes the state over before the cut.
    cut = SwapStep.YIELD if model == "replicated" else SwapStep.YIELD_WITH_STATE
    assert (steps.index(SwapStep.RESTORE) < steps.index(cut)) is (model == "replicated")


def test_who_follows_already_copies_nothing() -> None:
    steps = plan("replicated", follows=True, bakes=True)
    assert steps == [SwapStep.FOLLOW, SwapStep.YIELD, SwapStep.LEAD, SwapStep.BAKE]


@pytest.mark.parametrize("model", _MODELS)
def test_only_what_is_replicated_bakes(model: str) -> None:
    last = plan(model, follows=False, bakes=True)[-1]
    assert last == (SwapStep.BAKE if model == "replicated" else SwapStep.RETIRE)


# -- checks -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", _MODELS)
@pytest.mark.parametrize("schemas", [(1, 1), (1, 2), (2, 1), (1, 9)])
def test_versions_that_go_together_are_let_through(model: str, schemas: tuple[int, int]) -> None:
    old = made("1.0.0", model=model, schema=schemas[0])
    new = made("2.0.0", model=model, schema=schemas[1], kv=">=1")
    user = made("1.0.0", name="user", vault=">=1")
    check_swap(old, new, {m.name: m for m in (old, user, made("1.5.0", name="kv"))})


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (made("1.0.0", schema=2), r"version 1\.0\.0 is running already"),
        (made("2.0.0", kind="parser"), "is a service, version 2.0.0 a parser"),
        (made("2.0.0", model="snapshot"), "is replicated, version 2.0.0 snapshot: a state has no"),
        (made("2.0.0", model="stateless"), "is replicated, version 2.0.0 stateless"),
    ],
)
def test_versions_that_do_not_go_together_are_refused(new: Manifest, words: str) -> None:
    old = made("1.0.0")
    with pytest.raises(HotSwapError, match=words) as caught:
        check_swap(old, new, {"vault": old})
    assert caught.value.phase == "check"
    assert (caught.value.component, caught.value.version) == ("vault", new.version)


@pytest.mark.parametrize(
    ("wanted", "running", "words"),
    [
        (">=2", "1.0.0", r"requires kv >=2, which is running as 1\.0\.0"),
        ("<1", "1.0.0", r"requires kv <1, which is running as 1\.0\.0"),
        (">=1", None, "requires kv >=1, which is not running"),
    ],
)
def test_what_the_new_version_requires_must_run(
    wanted: str, running: str | None, words: str
) -> None:
    old, new = made("1.0.0"), made("2.0.0", kv=wanted)
    here = {"vault": old}
    if running is not None:
        here["kv"] = made(running, name="kv")
    with pytest.raises(RequirementError, match=words) as caught:
        check_swap(old, new, here)
    assert "start or swap kv first" in str(caught.value)


def test_whoever_requires_it_must_take_the_new_version() -> None:
    old, new = made("1.0.0"), made("2.0.0")
    easy = made("1.0.0", name="easy", vault=">=1")
    strict = made("3.1.0", name="strict", vault="~=1.0")
    check_swap(old, new, {"vault": old, "easy": easy})
    with pytest.raises(RequirementError, match=r"strict 3\.1\.0 requires vault ~=1\.0") as caught:
        check_swap(old, new, {"vault": old, "easy": easy, "strict": strict})
    assert "swap strict first" in str(caught.value)


def test_a_component_that_does_not_run_is_not_found() -> None:
    with pytest.raises(ComponentNotFoundError, match="'vault' is not running") as caught:
        find_component({}, "vault")
    assert caught.value.phase == "swap"
