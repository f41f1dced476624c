"""Noodle errors on their way through Python, and the built-in error classes."""

from __future__ import annotations

from typing import Final

from .values import ClassValue, ErrorValue


class Thrown(Exception):
    """Carries an error value from where it is thrown to the interpreter."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(error)
        self.error = error


def _classes() -> dict[str, ClassValue]:
    base = ClassValue("Error", None, ["message"])
    classes = {"Error": base}
    for name in (
        "OverflowError",
        "DivisionError",
        "IndexError",
        "KeyError",
        "TypeError",
        "MatchError",
        "ValueError",
        "StackOverflowError",
        "TimeoutError",
    ):
        classes[name] = ClassValue(name, base, [])
    for class_ in classes.values():
        class_.is_error = class_.is_builtin = True
    return classes


ERROR_CLASSES: Final = _classes()
BASE_ERROR: Final = ERROR_CLASSES["Error"]


def fail(kind: str, message: str) -> Thrown:
    """Make an error of the built-in class ``kind``, to be raised."""
    return Thrown(ErrorValue(ERROR_CLASSES[kind], {"message": message}, message))


def type_error(message: str) -> Thrown:
    return fail("TypeError", message)


def value_error(message: str) -> Thrown:
    return fail("ValueError", message)
