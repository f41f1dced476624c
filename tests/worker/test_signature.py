from __future__ import annotations

import collections.abc
import functools
import typing
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest

from noodle_host.worker.signature import (
    NO_DEFAULT,
    declaration,
    is_iterator,
    item_type,
    read_signature,
    shown,
    union_members,
    without_extras,
)


class Point(msgspec.Struct):
    x: int


class Sample:
    def plain(
        self, a: int, b: Point | None = None, *rest: str, c: float = 1.5, **more: bytes
    ) -> Point:
        raise NotImplementedError

    def few(self, a: int, b: Point | None = None) -> Point:
        raise NotImplementedError

    def bare(self, a, b=2):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def unknown(self, a: Nowhere) -> None:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError


def test_annotations_are_resolved() -> None:
    signature = read_signature(Sample().plain)
    assert [(p.name, p.type, p.is_required) for p in signature.parameters] == [
        ("a", int, True),
        ("b", Point | None, False),
        ("rest", str, False),
        ("c", float, False),
        ("more", bytes, False),
    ]
    assert [p.name for p in signature.parameters if p.is_variadic] == ["rest", "more"]
    assert signature.parameters[0].default is NO_DEFAULT
    assert signature.parameters[1].default is None
    assert (signature.result, signature.result_annotated) == (Point, True)


def test_what_is_not_annotated_is_anything() -> None:
    signature = read_signature(Sample().bare)
    assert [(p.name, p.type, p.annotated) for p in signature.parameters] == [
        ("a", Any, False),
        ("b", Any, False),
    ]
    assert (signature.result, signature.result_annotated) == (Any, False)


def test_the_function_of_a_class_and_a_partial() -> None:
    whole = read_signature(Sample().plain)
    assert read_signature(Sample.plain, skip_self=True) == whole
    rest = read_signature(functools.partial(Sample().plain, 1))
    assert rest.parameters == whole.parameters[1:]


def test_what_cannot_be_read() -> None:
    with pytest.raises(NameError, match="Nowhere"):
        read_signature(Sample().unknown)
    with pytest.raises(ValueError, match="signature"):
        read_signature(max)


@pytest.mark.parametrize(
    ("result", "item", "iterator"),
    [
        (Iterator[int], int, True),
        (Generator[str, None, None], str, True),
        (Iterable[bytes], bytes, False),
        (typing.Iterator[int], int, True),
        (Iterator, Any, True),
        (typing.Iterator, Any, True),
        (typing.Iterable, Any, False),
        (list[int], NO_DEFAULT, False),
        (int, NO_DEFAULT, False),
        (Any, NO_DEFAULT, False),
        (None, NO_DEFAULT, False),
    ],
)
def test_item_type(result: Any, item: Any, iterator: bool) -> None:
    assert item_type(result) is item
    assert is_iterator(result) is iterator


def test_union_members_and_extras() -> None:
    assert union_members(int | None) == (int, type(None))
    assert union_members(typing.Optional[int]) == (int, type(None))  # noqa: UP045
    assert union_members(list[int]) == (list[int],)
    assert without_extras(Annotated[int, "at least 1"]) is int
    assert without_extras(int) is int


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None.__class__, "None"),
        (Point, "Point"),
        (list[Point], "list[Point]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (int | None, "int | None"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Iterator[int | str], "Iterator[int | str]"),
        (Callable, "Callable"),
        (Any, "Any"),
        (Literal["a", "b"], "Literal['a', 'b']"),
        (collections.abc.Sequence, "Sequence"),
    ],
)
def test_shown_as_it_is_written(annotation: Any, text: str) -> None:
    assert shown(annotation) == text


def test_shown_with_modules() -> None:
    assert shown(list[Point], full=True) == f"list[{__name__}.Point]"
    assert shown(int | None, full=True) == "int | None"


def test_declaration() -> None:
    assert declaration(Sample.few) == "few(self, a: int, b: Point | None) -> Point"
    assert declaration(Sample.bare) == "bare(self, a, b)"
