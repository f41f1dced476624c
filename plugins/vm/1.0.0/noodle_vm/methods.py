"""The methods of strings, lists, maps and sets."""

from __future__ import annotations

from typing import Any, Final

from .equality import equal
from .indexing import get_slice, out_of_range
from .keys import from_key, to_key
from .options import NONE, some
from .thrown import type_error
from .type_names import type_name
from .values import BuiltinFunction, SetValue, Value

Machine = Any


def append(machine: Machine, xs: list[Value], item: Value) -> None:
    xs.append(item)


def remove_item(machine: Machine, xs: list[Value], index: Value) -> Value:
    if type(index) is not int:
        raise type_error(f"index of a list must be int, not {type_name(index)}")
    if not -len(xs) <= index < len(xs):
        raise out_of_range(index, len(xs), "list")
    return xs.pop(index)


def slice_of(machine: Machine, x: Value, start: Value = None, stop: Value = None) -> Value:
    return get_slice(x, start, stop)


def has_item(machine: Machine, xs: list[Value], item: Value) -> bool:
    kind = type(item)
    if kind is str or (kind is int and item not in (0, 1)):
        # Where Python's == is Noodle's; it also holds true for 1.
        return item in xs
    return any(equal(item, x) for x in xs)


def has_text(machine: Machine, text: str, part: Value) -> bool:
    if type(part) is not str:
        raise type_error(f"contains() needs a string, not {type_name(part)}")
    return part in text


def get(machine: Machine, map_: dict[Any, Value], key: Value) -> Value:
    wanted = to_key(key, "a map key")
    return some(map_[wanted]) if wanted in map_ else NONE


def set_value(machine: Machine, map_: dict[Any, Value], key: Value, value: Value) -> None:
    map_[to_key(key, "a map key")] = value


def remove_key(machine: Machine, map_: dict[Any, Value], key: Value) -> Value:
    wanted = to_key(key, "a map key")
    return some(map_.pop(wanted)) if wanted in map_ else NONE


def keys(machine: Machine, map_: dict[Any, Value]) -> list[Value]:
    return [from_key(key) for key in map_]


def values(machine: Machine, map_: dict[Any, Value]) -> list[Value]:
    return list(map_.values())


def has_key(machine: Machine, map_: dict[Any, Value], key: Value) -> bool:
    return to_key(key, "a map key") in map_


def add(machine: Machine, set_: SetValue, item: Value) -> bool:
    key = to_key(item, "a set item")
    is_new = key not in set_.items
    if is_new:
        set_.items[key] = None
    return is_new


def has_member(machine: Machine, set_: SetValue, item: Value) -> bool:
    return to_key(item, "a set item") in set_.items


def remove_member(machine: Machine, set_: SetValue, item: Value) -> bool:
    key = to_key(item, "a set item")
    found = key in set_.items
    set_.items.pop(key, None)
    return found


def union(machine: Machine, set_: SetValue, other: Value) -> SetValue:
    if type(other) is not SetValue:
        raise type_error(f"union() needs a set, not {type_name(other)}")
    return SetValue({**set_.items, **other.items})


def _methods(*functions: tuple[str, Any, int, int]) -> dict[str, BuiltinFunction]:
    """By name; the numbers are the least and the most arguments, without the receiver."""
    return {
        name: BuiltinFunction(name, call, least + 1, most + 1, receivers=1)
        for name, call, least, most in functions
    }


METHODS: Final[dict[type, dict[str, BuiltinFunction]]] = {
    str: _methods(("contains", has_text, 1, 1), ("slice", slice_of, 1, 2)),
    list: _methods(
        ("append", append, 1, 1),
        ("remove", remove_item, 1, 1),
        ("slice", slice_of, 1, 2),
        ("contains", has_item, 1, 1),
    ),
    dict: _methods(
        ("get", get, 1, 1),
        ("set", set_value, 2, 2),
        ("remove", remove_key, 1, 1),
        ("keys", keys, 0, 0),
        ("values", values, 0, 0),
        ("contains", has_key, 1, 1),
    ),
    SetValue: _methods(
        ("add", add, 1, 1),
        ("contains", has_member, 1, 1),
        ("remove", remove_member, 1, 1),
        ("union", union, 1, 1),
    ),
}
