from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noodle_host.errors import ArgumentError
from noodle_host.worker.methods import Method
from noodle_host.worker.signature import read_signature

encode = msgspec.msgpack.encode


class Point(msgspec.Struct, array_like=True):
    x: int
    y: int = 0


class Sample:
    def add(self, a: int, b: int = 2, c: int = 3) -> Any:
        return (a, b, c)

    def nothing(self) -> Any:
        return ()

    def one(self, a: int) -> Any:
        return (a,)

    def named(self, a: int, /, b: int = 2, *, size: int = 1, name: str) -> Any:
        return (a, b, size, name)

    def many(self, first: str, *rest: int, **more: float) -> Any:
        return (first, rest, more)

    def typed(self, point: Point, points: list[Point], table: dict[str, Point]) -> Any:
        return (point, points, table)

    def view(self, data: memoryview) -> Any:
        return data


def method(name: str) -> Method:
    function = getattr(Sample(), name)
    return Method(name, function, read_signature(function))


def call(name: str, /, *args: object, **kwargs: object) -> Any:
    """Call as a worker does: encoded arguments in, what the method returns out."""
    found = method(name)
    if kwargs:
        return found.function(*found.decode_arguments(encode([args, kwargs]), True))
    return found.function(*found.decode_arguments(encode(args), False))


def refused(name: str, /, *args: object, **kwargs: object) -> str:
    with pytest.raises(ArgumentError) as caught:
        call(name, *args, **kwargs)
    return caught.value.message


def test_arguments_arrive_by_position_and_by_name() -> None:
    assert call("add", 1) == (1, 2, 3)
    assert call("add", 1, 5, 6) == (1, 5, 6)
    assert call("add", 1, c=9) == (1, 2, 9)
    assert call("add", b=5, a=4) == (4, 5, 3)
    assert call("nothing") == ()
    assert call("named", 1, name="x") == (1, 2, 1, "x")
    assert call("named", 1, 3, size=2, name="x") == (1, 3, 2, "x")
    assert call("many", "a", 1, 2, x=1.5) == ("a", (1, 2), {"x": 1.5})
    assert call("many", "a") == ("a", (), {})


def test_a_name_of_a_positional_argument_is_free_for_others() -> None:
    class Tagged:
        def tag(self, text: str, /, **tags: str) -> Any:
            return (text, tags)

    function = Tagged().tag
    found = Method("tag", function, read_signature(function))
    body = encode([["a"], {"text": "b"}])
    assert found.function(*found.decode_arguments(body, True)) == ("a", {"text": "b"})


def test_arguments_have_their_types() -> None:
    points = call("typed", [1, 2], [[3], [4, 5]], {"a": [6]})
    assert points == (Point(1, 2), [Point(3), Point(4, 5)], {"a": Point(6)})


def test_a_memoryview_is_a_view_of_the_body() -> None:
    body = bytearray(encode([b"12345678"]))
    [view] = method("view").decode_arguments(body, False)
    assert bytes(view) == b"12345678"
    body[-1] = ord("9")
    assert bytes(view) == b"12345679"


def test_any_buffer_is_a_body() -> None:
    body = encode([1])
    for buffer in (body, bytearray(body), memoryview(body)):
        assert method("one").decode_arguments(buffer, False) == (1,)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "message"),
    [
        ("add", [], {}, "add() misses the argument 'a'"),
        ("add", [1, 2, 3, 4], {}, "add() takes 1 to 3 arguments, 4 given"),
        ("nothing", [1], {}, "nothing() takes no arguments, 1 given"),
        ("one", [1, 2], {}, "one() takes 1 argument, 2 given"),
        ("typed", [], {}, "typed() misses the arguments 'point', 'points' and 'table'"),
        ("add", [1], {"a": 1}, "add() got the argument 'a' twice, by position and by name"),
        (
            "add",
            [1],
            {"d": 1},
            "add() has no argument 'd'; it takes: a, b, c",
        ),
        (
            "named",
            [1],
            {"nam": "x"},
            "named() has no argument 'nam'; it takes: b, size, name (did you mean 'name'?)",
        ),
        (
            "named",
            [],
            {"a": 1, "name": "x"},
            "named() has no argument 'a'; it takes: b, size, name",
        ),
        ("nothing", [], {"a": 1}, "nothing() has no argument 'a'; it takes none by name"),
        ("named", [1, 2, 3], {"name": ""}, "named() takes 1 to 2 arguments by position, 3 given"),
        ("named", [1], {"size": 1}, "named() misses the argument 'name'"),
        ("add", ["1"], {}, "add(): argument 'a': expected int, got str"),
        ("add", [1], {"b": None}, "add(): argument 'b': expected int, got None"),
        ("many", ["a", "b"], {}, "many(): argument 'rest': expected int, got str"),
        ("many", ["a"], {"x": "b"}, "many(): argument 'more': expected float, got str"),
        (
            "typed",
            [[1], [[1], ["b"]], {}],
            {},
            "typed(): argument 'points': expected int, got str at points[1][0]",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_the_words_of_the_call(
    name: str, args: list[object], kwargs: dict[str, object], message: str
) -> None:
    assert refused(name, *args, **kwargs) == message


@pytest.mark.parametrize(
    ("body", "by_name"),
    [
        (b"", False),
        (b"", True),
        (b"\x91", False),  # ends too soon
        (b"\x91\x01\x02", False),  # goes on
        (b"\x91\xc1", False),  # no msgpack
        (b"\x01", False),  # no array
        (b"\x80", False),
        (b"\x90", True),  # no names
        (encode([[], {1: 2}]), True),
        (b"\x91" * 100_000, False),  # nested without end
        (b"\x92" + b"\x91" * 100_000, True),
        (b"\xdd\xff\xff\xff\xff", False),  # an array of 2 ** 32 - 1
    ],
)
@pytest.mark.parametrize("name", ["one", "many"])
def test_a_body_that_is_no_arguments(name: str, body: bytes, by_name: bool) -> None:
    with pytest.raises(ArgumentError) as caught:
        method(name).decode_arguments(body, by_name)
    assert caught.value.message.startswith(f"{name}")


def test_text_that_is_not_utf_8() -> None:
    with pytest.raises(ArgumentError, match=r"many\(\): argument 'first': .*utf-8"):
        method("many").decode_arguments(b"\x91\xa1\xff", False)
    with pytest.raises(ArgumentError, match=r"are not msgpack of the form .*utf-8"):
        method("many").decode_arguments(b"\x92\x90\x81\xa1\xff\x01", True)


@given(st.binary(max_size=40), st.booleans(), st.sampled_from(["add", "named", "many", "typed"]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_arguments_or_an_argument_error(
    body: bytes, by_name: bool, name: str
) -> None:
    found = method(name)
    try:
        arguments = found.decode_arguments(body, by_name)
    except ArgumentError:
        return
    found.function(*arguments)


def by_position(a: int, b: int = 2, /) -> Any:
    return a, b


def mixed(a: int, /, b: int = 2, *, c: int = 3, d: int) -> Any:
    return a, b, c, d


def with_rest(a: int, b: int = 2, *rest: int, c: int = 3) -> Any:
    return a, b, rest, c


def with_more(a: int = 1, /, b: int = 2, **more: int) -> Any:
    return a, b, more


def with_all(a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> Any:
    return a, b, rest, c, more


@given(
    st.sampled_from([by_position, mixed, with_rest, with_more, with_all]),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), st.integers(), max_size=3),
)
@settings(max_examples=400, deadline=None)
def test_arguments_are_bound_as_python_does(
    function: Callable[..., Any], args: list[int], kwargs: dict[str, int]
) -> None:
    args = [value % 2**32 for value in args]
    kwargs = {name: value % 2**32 for name, value in kwargs.items()}
    found = Method("f", function, read_signature(function))
    body = encode([args, kwargs] if kwargs else args)
    try:
        expected = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(ArgumentError):
            found.decode_arguments(body, bool(kwargs))
    else:
        assert found.function(*found.decode_arguments(body, bool(kwargs))) == expected
