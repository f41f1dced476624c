from __future__ import annotations

import dataclasses
import enum
import functools
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookspecs import SafePoint, at_most_once, query
from noodle_host.errors import PluginError
from noodle_host.registry.manifest import Manifest
from noodle_host.worker.fault import FaultReporter
from noodle_host.worker.methods import Method, build_method


class Point(msgspec.Struct):
    x: int
    around: list[Point] = []


@dataclasses.dataclass
class Pair:
    a: int
    b: Point | None = None


class Colour(enum.Enum):
    RED = "red"


class Opaque:
    pass


class HoldsOpaque(msgspec.Struct):
    inner: dict[str, Opaque]


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Sample:
    def command(self, a: int) -> str:
        return str(a)

    @query
    def look(self, a: Point, b: Pair, c: Colour, d: object, e: Any, f) -> None:  # type: ignore[no-untyped-def]
        raise NotImplementedError

    @at_most_once
    def pay(self) -> None:
        raise NotImplementedError

    @query
    @at_most_once
    def both(self) -> None:
        raise NotImplementedError

    def items(self) -> Iterator[int | SafePoint]:
        yield 1

    def untyped_items(self):  # type: ignore[no-untyped-def]
        yield 1

    def only_safe_points(self) -> Iterator[SafePoint]:
        raise NotImplementedError

    def delegates(self) -> Iterator[str]:
        return iter("ab")

    def listed(self) -> Iterable[str]:
        return ["a", "b"]

    @logged
    def wrapped_items(self) -> Iterator[int]:
        yield 1

    @logged
    @query
    def wrapped_look(self, a: int, b: str = "") -> int:
        return a

    async def soon(self) -> None:
        raise NotImplementedError

    async def soon_items(self) -> Any:
        yield 1

    @logged
    async def wrapped_soon(self) -> None:
        raise NotImplementedError

    def opaque(self, a: int, thing: Opaque) -> None:
        raise NotImplementedError

    def deep_opaque(self, things: list[HoldsOpaque]) -> None:
        raise NotImplementedError

    def two_structs(self, a: Point | HoldsOpaque) -> None:
        raise NotImplementedError

    def elsewhere(self, a: Nowhere) -> None:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    part = functools.partialmethod(command, 7)


class Contract:
    @query
    def look(self, a: int, b: list[Point]) -> dict[str, int]:
        raise NotImplementedError

    def count(self, a: int) -> Iterator[int | SafePoint]:
        raise NotImplementedError


class Implementation:
    def look(self, a, b: Any, c=3):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def count(self, a):  # type: ignore[no-untyped-def]
        yield a


@pytest.fixture
def faults(tmp_path: Path) -> FaultReporter:
    return FaultReporter(Manifest(name="it", version="1.0", entry_point="m:C", root=tmp_path))


@pytest.fixture
def build(faults: FaultReporter) -> Callable[[str], Method]:
    return lambda name: build_method(name, getattr(Sample(), name), faults)


Build = Callable[[str], Method]


def test_the_markers(build: Build) -> None:
    for name, marks in {
        "command": (False, False),
        "look": (True, False),
        "pay": (False, True),
        "wrapped_look": (True, False),
    }.items():
        method = build(name)
        assert (method.is_query, method.at_most_once) == marks
        assert method.method_id == zlib.crc32(name.encode())


def test_the_bound_method_itself_is_called() -> None:
    sample = Sample()
    method = build_method("command", sample.command, FaultReporter(None))  # type: ignore[arg-type]
    assert method.function == sample.command
    assert method.function(*method.decode_arguments(b"\x91\x05", False)) == "5"


def test_a_method_with_an_argument_given(build: Build) -> None:
    method = build("part")
    assert method.parameters == ()
    assert method.function(*method.decode_arguments(b"\x90", False)) == "7"


def test_a_decorated_method_keeps_its_parameters(build: Build) -> None:
    method = build("wrapped_look")
    assert method.parameters == ("a", "b")
    assert method.decode_arguments(b"\x92\x01\xa1x", False) == (1, "x")


@pytest.mark.parametrize(
    ("name", "stream", "result"),
    [
        ("command", False, str),
        ("items", True, int),
        ("untyped_items", True, Any),
        ("only_safe_points", True, None),
        # An iterator could not be sent as a value.
        ("delegates", True, str),
        ("wrapped_items", True, int),
        # What is only iterable may be a list, which can.
        ("listed", False, Iterable[str]),
    ],
)
def test_streams(name: str, stream: bool, result: Any, build: Build) -> None:
    method = build(name)
    assert method.is_stream is stream
    assert method.result_type == result


def test_types_and_markers_are_taken_from_the_contract(faults: FaultReporter) -> None:
    look = build_method("look", Implementation().look, faults, Contract.look)
    assert look.is_query
    assert look.result_type == dict[str, int]
    assert look.parameters == ("a", "b", "c")
    # b is annotated, and keeps its own type; c is not of the contract.
    assert look.decode_arguments(b"\x93\x01\xa1x\x90", False) == (1, "x", [])
    count = build_method("count", Implementation().count, faults, Contract.count)
    assert (count.is_stream, count.result_type) == (True, int)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("both", "Sample.both is marked both @query and @at_most_once"),
        ("soon", "Sample.soon is asynchronous"),
        ("soon_items", "Sample.soon_items is asynchronous"),
        ("wrapped_soon", "Sample.wrapped_soon is asynchronous"),
        (
            "opaque",
            (
                "Sample.opaque: argument 'thing': the type Opaque cannot be decoded: "
                "Opaque cannot be made from msgpack"
            ),
        ),
        (
            "deep_opaque",
            (
                "Sample.deep_opaque: argument 'things': the type list[HoldsOpaque] cannot be "
                "decoded: Opaque cannot be made from msgpack"
            ),
        ),
        (
            "elsewhere",
            "Sample.elsewhere: an annotation cannot be resolved: name 'Nowhere' is not defined",
        ),
    ],
)
def test_methods_that_could_not_be_called(name: str, message: str, build: Build) -> None:
    with pytest.raises(PluginError) as caught:
        build(name)
    error = caught.value
    assert (error.message, error.component, error.phase) == (message, "it", "load")
    file, _, line = error.where.rpartition(":")
    assert file == __file__
    source = Path(__file__).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert f"def {name}(" in source


def test_a_union_that_cannot_be_told_apart(build: Build) -> None:
    with pytest.raises(PluginError, match=r"'a': the type Point \| HoldsOpaque cannot"):
        build("two_structs")


def test_a_function_without_a_signature(faults: FaultReporter) -> None:
    with pytest.raises(PluginError, match=r"max has no signature"):
        build_method("max", max, faults)
