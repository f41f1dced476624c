"""The codec: what goes in comes out, what cannot go in says so, nothing is unpickled."""

from __future__ import annotations

import datetime
import decimal
import pickle
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from noodle_host.errors import (
    WIRE_ERRORS,
    ArgumentError,
    CallError,
    EncodeError,
    HostClosedError,
    HostError,
    NoSuchMethod,
    PluginError,
    RemoteError,
    remote_error,
)
from noodle_host.router import codec, layout

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(datetime.UTC))
)
KEYS = st.text() | st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
decode = msgspec.msgpack.Decoder(Any).decode


def flat(body: bytes | codec.Chunks) -> bytes:
    return b"".join(body) if isinstance(body, list) else body


# -- round trips ---------------------------------------------------------------


@given(st.lists(VALUES, max_size=5).map(tuple))
def test_arguments_by_position_come_out_as_they_went_in(args: tuple[Any, ...]) -> None:
    body, flags = codec.encode_arguments(args, {})
    assert flags == 0
    assert decode(flat(body)) == list(args)


@given(st.lists(VALUES, max_size=3).map(tuple), st.dictionaries(st.text(), VALUES, min_size=1))
def test_arguments_by_name_come_out_as_they_went_in(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    body, flags = codec.encode_arguments(args, kwargs)
    assert flags == layout.BY_NAME
    assert decode(flat(body)) == [list(args), kwargs]


@given(VALUES)
def test_a_result_comes_out_as_it_went_in(value: Any) -> None:
    assert decode(flat(codec.encode_result(value))) == value


@given(
    st.lists(
        SCALARS
        | st.integers(codec._CHUNK_BYTES - 2, codec._CHUNK_BYTES + 2).map(lambda n: b"\xc1" * n),
        min_size=1,
        max_size=20,
    ).map(tuple)
)
@example((b"x" * (1 << 16), "y" * 20, bytearray(1 << 17), *range(20)))
def test_large_bytes_travel_in_chunks_and_come_out_whole(args: tuple[Any, ...]) -> None:
    body, _ = codec.encode_arguments(args, {})
    assert decode(flat(body)) == [bytes(a) if isinstance(a, bytearray) else a for a in args]


def test_large_bytes_are_not_copied_on_the_way_to_the_slab() -> None:
    big = bytearray(1 << 20)
    body = codec.encode_result(big)
    assert isinstance(body, list)
    big[0] = 7
    assert decode(b"".join(body))[0] == 7


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (memoryview(b"abc"), b"abc"),
        (memoryview(bytearray(16)).cast("B", (4, 4)), bytes(16)),
        (memoryview(bytearray(1 << 16)).cast("Q"), bytes(1 << 16)),
        (memoryview(bytearray(1 << 18)).cast("B", (1 << 9, 1 << 9)), bytes(1 << 18)),
        (memoryview(b""), b""),
        ((1, (2, 3)), [1, [2, 3]]),
        (frozenset([1]), [1]),
        (uuid.UUID(int=5), str(uuid.UUID(int=5))),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        ({(1, 2): 3}, {(1, 2): 3}),
    ],
)
def test_other_types_arrive_as_what_msgpack_has(value: Any, expected: Any) -> None:
    assert decode(flat(codec.encode_result(value))) == expected
    body, _ = codec.encode_arguments((value,), {})
    assert decode(flat(body)) == [expected]


def test_a_typed_decoder_decodes_into_its_type() -> None:
    body = flat(codec.encode_result({"code": "a", "message": "b"}))
    assert codec.decoder_for(dict[str, str]).decode(body) == {"code": "a", "message": "b"}
    assert codec.decoder_for(None).decode(body) == {"code": "a", "message": "b"}
    with pytest.raises(msgspec.ValidationError):
        codec.decoder_for(int).decode(body)


# -- what cannot be encoded ----------------------------------------------------


class Spiteful:
    """A mapping-like object that raises whatever it likes when it is looked at."""

    __dataclass_fields__ = {"a": None}  # noqa: RUF012

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


UNSENDABLE: list[tuple[Callable[[], Any], str]] = [
    (object, "type object is unsupported"),
    (lambda: endless, "function"),
    (lambda: 2**64, "more than 64 bits"),
    (lambda: -(2**63) - 1, "more than 64 bits"),
    (endless, "contains itself"),
    (lambda: "\udc80", "surrogates"),
    (lambda: memoryview(b"abcdef")[::2], "contiguous"),
    (lambda: memoryview(bytes(1 << 17))[::2], "contiguous"),
    (released, "released"),
    (lambda: 1j, "complex"),
]


@pytest.mark.parametrize(("make", "reason"), UNSENDABLE)
def test_an_argument_that_cannot_be_sent_is_named(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(EncodeError, match=reason) as by_position:
        codec.encode_arguments((1, make()), {})
    assert by_position.value.message.startswith("argument 2 cannot be sent: ")
    with pytest.raises(EncodeError, match=reason) as by_name:
        codec.encode_arguments((1,), {"size": make()})
    assert by_name.value.message.startswith("argument 'size' cannot be sent: ")
    with pytest.raises(EncodeError, match=reason):
        codec.encode_arguments((b"x" * (1 << 16), make()), {})
    assert by_name.value.phase == "encode"


@pytest.mark.parametrize(("make", "reason"), UNSENDABLE)
def test_a_result_that_cannot_be_sent_says_why(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(EncodeError, match=reason) as caught:
        codec.encode_result(make())
    assert caught.value.message.startswith("the result cannot be sent: ")


def test_what_an_object_raises_when_it_is_looked_at_comes_through() -> None:
    # It could as well be what a signal handler raises.
    with pytest.raises(ZeroDivisionError):
        codec.encode_arguments((Spiteful(),), {})


# -- keys and methods ----------------------------------------------------------


@given(st.text() | st.binary() | st.integers())
def test_a_key_hash_fits_a_word_and_is_never_no_key(key: str | bytes | int) -> None:
    assert 0 < codec.key_hash(key) < 1 << 64


def test_the_numbers_of_keys_and_methods_do_not_change() -> None:
    # They are part of the protocol: host and workers may be of two versions.
    assert codec.key_hash("user-1") == 0xF0B9C19B3A9C875B
    assert codec.key_hash(b"user-1") != codec.key_hash("user-1")
    assert codec.method_id("greet") == 0x2DF8175B


# -- errors across the wire ----------------------------------------------------


def crossed(error: BaseException) -> HostError:
    return codec.decode_error(codec.encode_exception(error, "shop", "1.0.0", 99))


@pytest.mark.parametrize("code", sorted(WIRE_ERRORS))
def test_errors_of_the_host_keep_class_and_facts(code: str) -> None:
    cls = WIRE_ERRORS[code]
    facts = {"component": "c", "version": "1.0.0", "worker": 7, "phase": "p", "hint": "h"}
    error = codec.decode_error(codec.encode_host_error(cls("what", **facts)))
    assert type(error) is cls
    assert error.message == "what"
    assert {name: getattr(error, name) for name in facts} == facts
    assert error.code == code


def test_the_place_of_a_plugin_error_becomes_part_of_its_text() -> None:
    error = codec.decode_error(codec.encode_host_error(PluginError("no id", where="a.toml:3")))
    assert error.message == "a.toml:3: no id"


def test_an_error_that_is_raised_in_a_component_keeps_type_text_and_traceback() -> None:
    def deep() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError) as local:
        deep()
    error = crossed(local.value)
    assert isinstance(error, RemoteError)
    assert isinstance(error, KeyError)
    assert error.message == "KeyError: 'x'"
    assert (error.component, error.version, error.worker) == ("shop", "1.0.0", 99)
    assert "in deep" in error.remote_traceback
    assert "in deep" in error.__notes__[0]


def test_what_a_component_lets_through_from_another_one_stays_what_it_was() -> None:
    inner = remote_error("KeyError", "'x'", "inner trace", component="vm", version="2", worker=5)
    error = crossed(inner)
    assert isinstance(error, KeyError)
    assert error.message == "KeyError: 'x'"
    assert error.component == "vm"
    assert "inner trace" in error.remote_traceback
    plain = crossed(remote_error("shop.Sold", "", "", component="vm"))
    assert type(plain) is RemoteError
    assert (plain.message, plain.type_name) == ("shop.Sold", "shop.Sold")


def test_call_errors_of_the_host_pass_through_a_component_unchanged() -> None:
    assert type(crossed(NoSuchMethod("no such", component="vm"))) is NoSuchMethod
    assert type(crossed(ArgumentError("bad"))) is ArgumentError


def test_other_errors_of_the_host_arrive_as_remote_ones() -> None:
    error = crossed(HostClosedError("gone"))
    assert isinstance(error, RemoteError)
    assert error.type_name == "noodle_host.errors.HostClosedError"


@given(st.text(st.characters(exclude_categories=[])))
@example("\udc80 no UTF-8")
@example("x" * 100_000)
def test_any_text_can_be_raised(text: str) -> None:
    error = crossed(ValueError(text))
    assert isinstance(error, ValueError)
    assert isinstance(error, HostError)
    assert len(error.message) < 9_000
    if text.isascii() and len(text) < 8_000 and text:
        assert error.message == f"ValueError: {text}"
    host_error = codec.decode_error(codec.encode_host_error(CallError(text, hint=text)))
    assert len(host_error.message) <= 8_000


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class TextOfItsOwn(str):
    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("no")


class OddText(Exception):
    def __str__(self) -> str:
        return TextOfItsOwn("odd")


class OddModule(Exception):
    pass


OddModule.__module__ = None  # type: ignore[assignment]


def chained(length: int) -> BaseException:
    error: BaseException = ValueError("first")
    for i in range(length):
        following = ValueError(str(i))
        following.__cause__ = error
        error = following
    return error


def odd_call_error() -> CallError:
    error = CallError("odd")
    error.code = ["not", "hashable"]  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (NoText, "its __str__ raised RuntimeError"),
        (lambda: KeyError(NoRepr()), "its __str__ raised RuntimeError"),
        (OddText, "odd"),
        (OddModule, "OddModule"),
        (lambda: chained(3000), "2999"),
        (odd_call_error, "cannot be shown"),
        (lambda: CallError(object()), "<object object"),  # type: ignore[arg-type]
        (lambda: ExceptionGroup("several", [ValueError("a"), KeyError("b")]), "several"),
        (KeyboardInterrupt, "KeyboardInterrupt"),
        (lambda: SystemExit(3), "SystemExit: 3"),
        (GeneratorExit, "GeneratorExit"),
        (lambda: StopIteration(1), "StopIteration: 1"),
    ],
)
def test_whatever_is_raised_is_answered(make: Callable[[], BaseException], shown: str) -> None:
    error = crossed(make())
    assert isinstance(error, HostError)
    assert isinstance(error, Exception)
    assert shown in error.message


# -- bytes that nobody encoded -------------------------------------------------


def assert_error_or_refused(body: bytes) -> None:
    try:
        outcome: Exception = codec.decode_error(body)
    except ValueError as refused:
        outcome = refused
    assert isinstance(outcome, HostError) or str(outcome).startswith("not the body of an error")


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x91" * 5000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
@example(b"\x92\xa1a\xa1\xff")
def test_damaged_errors_are_refused_as_such(body: bytes) -> None:
    assert_error_or_refused(body)


@settings(max_examples=200)
@given(st.data())
def test_one_damaged_byte_gives_an_error_or_is_refused(data: st.DataObject) -> None:
    body = bytearray(codec.encode_exception(KeyError("x"), "shop", "1.0.0", 99))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    assert_error_or_refused(bytes(body))


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_unpickled(tmp_path: Path, protocol: int) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "went off"), protocol)
    with pytest.raises(ValueError, match="not the body of an error"):
        codec.decode_error(bomb)
    assert decode(flat(codec.encode_result(bomb))) == bomb
    fields = [bomb.decode("latin-1")] * 4
    assert isinstance(codec.decode_error(msgspec.msgpack.encode(fields)), HostError)
    assert not (tmp_path / "went off").exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "eval", "__import__", "exit"])
def test_a_type_name_never_becomes_more_than_a_name(name: str) -> None:
    body = msgspec.msgpack.encode(["CALL_0008", "echo", name])
    assert type(codec.decode_error(body)) is RemoteError
