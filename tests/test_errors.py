"""Errors: what they say, what they carry, and that they survive pickling."""

from __future__ import annotations

import builtins
import pickle

import pytest

from noodle_host import errors
from noodle_host.errors import (
    WIRE_ERRORS,
    CallTimeout,
    EncodeError,
    HostError,
    PayloadTooLarge,
    PluginError,
    RemoteError,
    SourceError,
    remote_error,
)

BUILTIN_EXCEPTIONS = sorted(
    (
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, Exception)
    ),
)

ALL_CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, HostError)
]


def test_the_text_names_whom_what_and_what_to_do() -> None:
    error = HostError(
        "it did not", component="vm", version="1.2.0", worker=42, hint="try again", code="RTUP_0099"
    )
    assert str(error) == "vm 1.2.0 (worker 42): it did not (try again) [RTUP_0099]"


def test_without_a_component_nothing_stands_in_front() -> None:
    assert str(HostError("it did not", version="1.0", worker=3)) == "it did not [RTUP_0020]"


def test_a_place_comes_first() -> None:
    assert str(PluginError("no id", where="a.toml:3")).startswith("a.toml:3: no id")
    assert str(SourceError("not UTF-8", where="p.nd:1")).startswith("p.nd:1: not UTF-8")


def test_a_phase_that_is_empty_on_purpose_stays_empty() -> None:
    assert EncodeError("x", phase="").phase == ""
    assert EncodeError("x").phase == "call"


@pytest.mark.parametrize("cls", ALL_CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling(cls: type[HostError]) -> None:
    error = cls("what", component="c", version="v", worker=1, phase="p", hint="h", code="X_1")
    error.add_note("seen twice")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.__notes__ == ["seen twice"]


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [(CallTimeout, TimeoutError), (EncodeError, TypeError), (PayloadTooLarge, ValueError)],
)
def test_errors_are_also_the_builtin_that_one_would_catch(
    cls: type[HostError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match="what"):
        raise cls("what")


@pytest.mark.parametrize("name", BUILTIN_EXCEPTIONS)
def test_a_remote_builtin_is_caught_as_one(name: str) -> None:
    error = remote_error(name, "why", "Traceback ...", component="c")
    assert isinstance(error, RemoteError)
    assert error.type_name == name
    assert error.message == f"{name}: why"
    builtin = getattr(builtins, name)
    # These cannot be made from a message, or mean something to whoever runs a
    # generator; everything above them in the hierarchy still catches.
    if issubclass(builtin, UnicodeError):
        assert isinstance(error, UnicodeError)
    elif not issubclass(builtin, ExceptionGroup | StopIteration | StopAsyncIteration):
        assert isinstance(error, builtin)
    assert "why" in str(error)
    assert "Remote traceback:\nTraceback ..." in error.__notes__


@pytest.mark.parametrize("name", [*BUILTIN_EXCEPTIONS, "shop.OutOfStock"])
def test_a_remote_error_survives_pickling(name: str) -> None:
    error = remote_error(name, "why", "Traceback ...", component="c")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.remote_traceback == "Traceback ..."


@pytest.mark.parametrize(
    "name", ["", "shop.OutOfStock", "print", "KeyboardInterrupt", "SystemExit", "object", "\udc80"]
)
def test_whatever_is_not_a_builtin_exception_is_a_plain_remote_error(name: str) -> None:
    assert type(remote_error(name, "why", "")) is RemoteError


def test_a_remote_error_without_a_message_still_says_its_type() -> None:
    assert str(remote_error("KeyError", "", "")) == "KeyError [CALL_0008]"


def test_a_class_is_made_once_however_many_errors_arrive() -> None:
    kinds = {type(remote_error("KeyError", str(i), "")) for i in range(100)}
    assert len(kinds) == 1


def test_codes_that_cross_the_wire_are_distinct() -> None:
    assert all(cls.default_code == code for code, cls in WIRE_ERRORS.items())
    # CALL_0008 comes with a type name and is rebuilt from that.
    assert RemoteError.default_code not in WIRE_ERRORS
