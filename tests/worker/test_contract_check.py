from __future__ import annotations

import typing
from collections.abc import Generator, Iterator, Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from hookspecs import hookimpl
from hookspecs.hooks import ComponentHooks
from noodle_host.errors import PluginError
from noodle_host.registry.manifest import Manifest
from noodle_host.worker.contract_check import (
    Hook,
    check_component_hook,
    check_contract_hook,
    fits,
)
from noodle_host.worker.fault import FaultReporter


class Token(msgspec.Struct):
    text: str


class LongToken(Token):
    length: int = 0


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Contract:
    """As the classes in hookspecs.contracts."""

    def join(self, tokens: list[Token], separator: str = "") -> str:
        raise NotImplementedError

    def count(self, up_to: int) -> Iterator[int]:
        raise NotImplementedError


@pytest.fixture
def faults(tmp_path: Path) -> FaultReporter:
    return FaultReporter(Manifest(name="it", version="1.0", entry_point="m:C", root=tmp_path))


def line_of(text: str) -> int:
    """The line of this file that holds a text once more."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.strip() == text]
    return number


class Good:
    def join(self, tokens: Sequence[Token], separator: str | None = None, more: int = 1) -> str:
        raise NotImplementedError

    def count(self, up_to):  # type: ignore[no-untyped-def]
        yield up_to


class Delegates:
    def join(self, tokens, separator, *rest, **more):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def count(self, up_to: int) -> Iterator[int]:
        return iter(range(up_to))


@pytest.mark.parametrize("cls", [Good, Delegates])
def test_what_fits(cls: type, faults: FaultReporter) -> None:
    for name in ("join", "count"):
        hook = Hook(name, getattr(Contract, name), getattr(cls(), name))
        check_contract_hook(hook, faults)


class MissesOne:
    def join(self, tokens: list[Token]) -> str:
        raise NotImplementedError


class TakesMore:
    def join(self, tokens: list[Token], seperator: str) -> str:
        raise NotImplementedError


class OtherOrder:
    def join(self, separator: str, tokens: list[Token]) -> str:
        raise NotImplementedError


class ByName:
    def join(self, tokens: list[Token], *, separator: str = "") -> str:
        raise NotImplementedError


class OtherType:
    def join(self, tokens: list[str], separator: str = "") -> str:
        raise NotImplementedError


class NarrowerType:
    def join(self, tokens: list[LongToken], separator: str = "") -> str:
        raise NotImplementedError


class WiderResult:
    def join(self, tokens: list[Token], separator: str = "") -> str | None:
        raise NotImplementedError


class Streams:
    def join(self, tokens: list[Token], separator: str = ""):  # type: ignore[no-untyped-def]
        yield ""


class Asynchronous:
    async def join(self, tokens: list[Token], separator: str = "") -> str:
        raise NotImplementedError


class Unresolved:
    def join(self, tokens: Elsewhere, separator: str = "") -> str:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError


class NoStream:
    def count(self, up_to: int) -> list[int]:
        raise NotImplementedError


class OtherItems:
    def count(self, up_to: int) -> Iterator[str]:
        yield ""


JOIN = "join(self, tokens: list[Token], separator: str) -> str"


@pytest.mark.parametrize(
    ("cls", "message", "hint"),
    [
        (
            MissesOne,
            f"MissesOne.join does not take the argument 'separator' of the contract: {JOIN}",
            "add 'separator'; the host calls with every argument",
        ),
        (
            TakesMore,
            (
                "TakesMore.join requires the argument 'seperator', which the hook does not have: "
                f"{JOIN}"
            ),
            "did you mean 'separator'?; rename it, or give it a default value",
        ),
        (
            OtherOrder,
            f"OtherOrder.join takes its arguments in another way than the contract: {JOIN}",
            (
                "calls are made by position; keep the order, and put arguments of your own behind, "
                "with defaults"
            ),
        ),
        (
            ByName,
            f"ByName.join takes its arguments in another way than the contract: {JOIN}",
            (
                "calls are made by position; keep the order, and put arguments of your own behind, "
                "with defaults"
            ),
        ),
        (
            OtherType,
            (
                "OtherType.join: the argument 'tokens' is annotated list[str], "
                "the contract says list[Token]"
            ),
            "use the type of the contract, or leave the annotation out",
        ),
        (
            NarrowerType,
            (
                "NarrowerType.join: the argument 'tokens' is annotated list[LongToken], "
                "the contract says list[Token]"
            ),
            "use the type of the contract, or leave the annotation out",
        ),
        (
            WiderResult,
            "WiderResult.join: the result is annotated str | None, the contract says str",
            "use the type of the contract, or leave the annotation out",
        ),
        (
            Streams,
            f"Streams.join is a generator, but the contract does not stream: {JOIN}",
            "return the result; there must be no yield in the method",
        ),
        (
            Asynchronous,
            "Asynchronous.join is asynchronous",
            "a worker calls plain functions and generators; remove async",
        ),
        (
            Unresolved,
            "Unresolved.join: an annotation cannot be resolved: name 'Elsewhere' is not defined",
            (
                "import the type at the top of the module, not under TYPE_CHECKING "
                "and not inside the class"
            ),
        ),
        (
            NoStream,
            (
                "NoStream.count is not a generator, but the contract streams: "
                "count(self, up_to: int) -> Iterator[int]"
            ),
            "yield the items one by one, or annotate the iterator that it returns",
        ),
        (
            OtherItems,
            (
                "OtherItems.count: the result is annotated Iterator[str], "
                "the contract says Iterator[int]"
            ),
            "use the type of the contract, or leave the annotation out",
        ),
    ],
)
def test_what_does_not_fit(cls: type, message: str, hint: str, faults: FaultReporter) -> None:
    [name] = [name for name in vars(cls) if not name.startswith("_")]
    with pytest.raises(PluginError) as caught:
        check_contract_hook(Hook(name, getattr(Contract, name), getattr(cls(), name)), faults)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    # The first line in the body of the class.
    assert caught.value.where == f"{__file__}:{line_of(f'class {cls.__name__}:') + 1}"
    assert (caught.value.component, caught.value.version) == ("it", "1.0")
    assert caught.value.phase == "load"


def test_types_of_one_name_are_told_apart(faults: FaultReporter) -> None:
    class Own:
        def join(self, tokens, separator=""):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    other = msgspec.defstruct("Token", [("text", str)], module="elsewhere")
    Own.join.__annotations__["tokens"] = list[other]  # type: ignore[valid-type]
    with pytest.raises(PluginError) as caught:
        check_contract_hook(Hook("join", Contract.join, Own().join), faults)
    assert caught.value.message.endswith(
        f"is annotated list[elsewhere.Token], the contract says list[{__name__}.Token]"
    )


class Hooks:
    def start(self) -> None: ...
    def migrate(self, state: object, note: str = "") -> None: ...
    @hookimpl
    def restore(self, status: object) -> None: ...
    def stop(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("name", ["start", "migrate"])
def test_component_hooks_may_leave_arguments_out(name: str, faults: FaultReporter) -> None:
    check_component_hook(Hook(name, getattr(ComponentHooks, name), getattr(Hooks(), name)), faults)


@pytest.mark.parametrize(
    ("name", "message", "source"),
    [
        (
            "restore",
            (
                "Hooks.restore requires the argument 'status', which the hook does not have: "
                "restore(self, state: object) -> None"
            ),
            "def restore(self, status: object) -> None: ...",
        ),
        (
            "stop",
            "Hooks.stop is a generator, and would never be run",
            "def stop(self) -> Iterator[None]:",
        ),
    ],
)
def test_component_hooks_that_do_not_fit(
    name: str, message: str, source: str, faults: FaultReporter
) -> None:
    hook = Hook(name, getattr(ComponentHooks, name), getattr(Hooks(), name))
    with pytest.raises(PluginError) as caught:
        check_component_hook(hook, faults)
    assert caught.value.message == message
    # That of the function, not that of a decorator above it.
    assert caught.value.where == f"{__file__}:{line_of(source)}"


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (int, int),
        (int, Any),
        (int, object),
        (Any, int),
        (LongToken, Token),
        (int, float),
        (Annotated[int, "positive"], int),
        (int, int | None),
        (None.__class__, int | None),
        (int | None, str | int | None),
        (int | bool, int | bool | str),
        (list[LongToken], list[Token]),
        (list[int], list),
        (list[int], Sequence[int]),
        (list[int], Sequence[object]),
        (dict[str, LongToken], dict[str, Token]),
        (tuple[int, ...], tuple[int, ...]),
        (Literal["a"], Literal["a", "b"]),
        (Literal["a", "b"], str),
        (Literal[1, None], int | None),
        (Literal["a", "b"], Literal["a"] | Literal["b"]),
        (Colour, str),
        (Level, int),
        (Iterator[LongToken], Iterator[Token]),
        (Generator[int, None, None], Iterator[int]),
        (Iterator[int], Iterator[int | str]),
        (Iterator, typing.Iterator),
    ],
)
def test_types_that_fit(narrow: Any, wide: Any) -> None:
    assert fits(narrow, wide)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (int, str),
        (float, int),
        (Token, LongToken),
        (bool, int),
        (str, Sequence),
        (str, Sequence[str]),
        (bytes, Sequence[int]),
        (int | None, int),
        (list[Token], list[LongToken]),
        (list, list[int]),
        (Sequence[int], list[int]),
        (tuple[int, ...], tuple[int]),
        (Literal["a", "b"], Literal["a"]),
        (Literal[1], Literal[True]),
        (Literal["a"], int),
        (str, Literal["a"]),
        (str, Colour),
        (Iterator[str], Iterator[int]),
        (int, typing.TypeVar("T")),
    ],
)
def test_types_that_do_not_fit(narrow: Any, wide: Any) -> None:
    assert not fits(narrow, wide)
