"""The operators, for all operands; the interpreter itself knows the usual ones."""

from __future__ import annotations

import math
from typing import Final

from hookspecs.bytecode import INT_MAX, INT_MIN

from .limits import MAX_ITEMS, MAX_TEXT, too_long_list, too_long_text
from .text import to_text
from .thrown import Thrown, fail, type_error, value_error
from .type_names import type_name
from .values import Value

_NUMBERS: Final = frozenset({int, float})


def checked(value: int, operation: str) -> int:
    """Return an int that fits 64 bits.

    Raises:
        Thrown: OverflowError; ``operation`` is an operator or ``div()``.
    """
    if INT_MIN <= value <= INT_MAX:
        return value
    raise fail("OverflowError", f"integer result of {operation} is outside 64 bits")


def division_by_zero() -> Thrown:
    return fail("DivisionError", "division by zero")


def _need_numbers(x: Value, y: Value, operator: str) -> None:
    if type(x) not in _NUMBERS or type(y) not in _NUMBERS:
        raise type_error(f"{operator} needs two numbers, not {type_name(x)} and {type_name(y)}")


def add(x: Value, y: Value) -> Value:
    if type(x) in _NUMBERS and type(y) in _NUMBERS:
        return checked(x + y, "+") if type(x) is int is type(y) else x + y
    if type(x) is str or type(y) is str:
        left, right = to_text(x), to_text(y)
        if len(left) + len(right) > MAX_TEXT:
            raise too_long_text(len(left) + len(right))
        return left + right
    if type(x) is list and type(y) is list:
        if len(x) + len(y) > MAX_ITEMS:
            raise too_long_list(len(x) + len(y))
        return x + y
    raise type_error(
        f"+ needs two numbers, two lists or a string, not {type_name(x)} and {type_name(y)}"
    )


def subtract(x: Value, y: Value) -> Value:
    _need_numbers(x, y, "-")
    return checked(x - y, "-") if type(x) is int is type(y) else x - y


def multiply(x: Value, y: Value) -> Value:
    _need_numbers(x, y, "*")
    return checked(x * y, "*") if type(x) is int is type(y) else x * y


def divide(x: Value, y: Value) -> Value:
    _need_numbers(x, y, "/")
    if y == 0:
        raise division_by_zero()
    return x / y


def modulo(x: Value, y: Value) -> Value:
    _need_numbers(x, y, "%")
    if y == 0:
        raise division_by_zero()
    return x % y


def power(x: Value, y: Value) -> Value:
    _need_numbers(x, y, "**")
    if x == 0 and y < 0:
        raise division_by_zero()
    if type(x) is int is type(y) and y >= 0:
        if y > 64 and x not in (-1, 0, 1):
            # Python would compute all of it first.
            raise fail("OverflowError", "integer result of ** is outside 64 bits")
        return checked(x**y, "**")
    if x < 0 and math.isfinite(y) and y != int(y):
        raise value_error("** of a negative number needs a whole exponent")
    try:
        return float(x) ** float(y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf


def negative(x: Value) -> Value:
    if type(x) is int:
        return checked(-x, "-")
    if type(x) is float:
        return -x
    raise type_error(f"- needs a number, not {type_name(x)}")


def comparable(x: Value, y: Value) -> bool:
    """Tell whether ``x < y`` has a meaning: numbers and strings, each among themselves."""
    if type(x) in _NUMBERS:
        return type(y) in _NUMBERS
    return type(x) is str is type(y)


def less(x: Value, y: Value) -> bool:
    if comparable(x, y):
        return bool(x < y)
    raise _no_order(x, y, "<")


def less_equal(x: Value, y: Value) -> bool:
    if comparable(x, y):
        return bool(x <= y)
    raise _no_order(x, y, "<=")


def greater(x: Value, y: Value) -> bool:
    if comparable(x, y):
        return bool(x > y)
    raise _no_order(x, y, ">")


def greater_equal(x: Value, y: Value) -> bool:
    if comparable(x, y):
        return bool(x >= y)
    raise _no_order(x, y, ">=")


def _no_order(x: Value, y: Value, operator: str) -> Thrown:
    return type_error(f"{operator} cannot compare {type_name(x)} with {type_name(y)}")


#: What a value that must be a bool is used for, in the order of ``Use``; and ``!``.
_NEEDS: Final = (
    "condition must be bool",
    "&& needs a bool",
    "|| needs a bool",
    "! needs a bool",
)


def not_bool(value: Value, use: int) -> Thrown:
    return type_error(f"{_NEEDS[use]}, not {type_name(value)}")


def inverse(value: Value) -> bool:
    if type(value) is bool:
        return not value
    raise type_error(f"! needs a bool, not {type_name(value)}")
