"""The built-in functions on numbers."""

from __future__ import annotations

import math
import re
from functools import reduce
from operator import add
from typing import Any, Final

from .arithmetic import checked, division_by_zero
from .indexing import items_of
from .text import shown
from .thrown import Thrown, fail, type_error, value_error
from .type_names import type_name
from .values import Value

Machine = Any

_INT: Final = re.compile(r"\s*([+-]?)0*([0-9]+)\s*", re.ASCII)
_FLOAT: Final = re.compile(
    r"\s*[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|nan)\s*", re.ASCII
)
#: Digits of the greatest int.
_INT_DIGITS: Final = 19
_NUMBERS: Final = frozenset({int, float})


def _need_number(x: Value, function: str) -> None:
    if type(x) not in _NUMBERS:
        raise type_error(f"{function}() needs a number, not {type_name(x)}")


def _unreadable(text: str, function: str) -> Thrown:
    return value_error(f"{function}() cannot read {shown(text)}")


def _whole(x: float, function: str) -> None:
    if not math.isfinite(x):
        raise value_error(f"{function}() of {x!r}")


def int_(machine: Machine, x: Value) -> int:
    if type(x) is int:
        return x
    if type(x) is float:
        _whole(x, "int")
        return checked(int(x), "int()")
    if type(x) is bool:
        return int(x)
    if type(x) is str:
        match = _INT.fullmatch(x)
        if match is None:
            raise _unreadable(x, "int")
        if len(match[2]) > _INT_DIGITS:
            raise fail("OverflowError", "integer result of int() is outside 64 bits")
        return checked(int(match[1] + match[2]), "int()")
    raise type_error(f"int() needs a number, not {type_name(x)}")


def float_(machine: Machine, x: Value) -> float:
    if type(x) is str:
        if _FLOAT.fullmatch(x) is None:
            raise _unreadable(x, "float")
        return float(x)
    if type(x) in _NUMBERS or type(x) is bool:
        return float(x)
    raise type_error(f"float() needs a number, not {type_name(x)}")


def bool_(machine: Machine, x: Value) -> bool:
    if type(x) is bool:
        return x
    if type(x) is str:
        if x not in ("true", "false"):
            raise _unreadable(x, "bool")
        return x == "true"
    _need_number(x, "bool")
    return bool(x != 0)


def abs_(machine: Machine, x: Value) -> Value:
    _need_number(x, "abs")
    return checked(abs(x), "abs()") if type(x) is int else abs(x)


def sum_(machine: Machine, xs: Value) -> Value:
    items = items_of(xs)
    if items is None:
        raise type_error(f"sum() needs a list, not {type_name(xs)}")
    kinds = set(map(type, items))
    if not kinds <= _NUMBERS:
        for item in items:
            _need_number(item, "sum")
    # From left to right: Python's own sum rounds differently from version to version.
    total = reduce(add, items, 0)
    return checked(total, "sum()") if type(total) is int else total


def div(machine: Machine, x: Value, y: Value) -> int:
    if type(x) is not int or type(y) is not int:
        wrong = y if type(x) is int else x
        raise type_error(f"div() needs an int, not {type_name(wrong)}")
    if y == 0:
        raise division_by_zero()
    return checked(x // y, "div()")


def round_(machine: Machine, x: Value, digits: Value = None) -> Value:
    """To the nearest int, halves away from zero; with ``digits`` to a float."""
    _need_number(x, "round")
    if digits is not None:
        if type(digits) is not int:
            raise type_error(f"round() needs an int, not {type_name(digits)}")
        return round(float(x), max(-400, min(400, digits)))
    if type(x) is int:
        return x
    _whole(x, "round")
    below = math.floor(x)
    over = x - below
    return checked(below + 1 if over > 0.5 or (over == 0.5 and x > 0) else below, "round()")


def sqrt(machine: Machine, x: Value) -> float:
    _need_number(x, "sqrt")
    if x < 0:
        raise value_error("sqrt() of a negative number")
    return math.sqrt(x)


def floor(machine: Machine, x: Value) -> int:
    _need_number(x, "floor")
    _whole(x, "floor")
    return checked(math.floor(x), "floor()")


def ceil(machine: Machine, x: Value) -> int:
    _need_number(x, "ceil")
    _whole(x, "ceil")
    return checked(math.ceil(x), "ceil()")
