"""Indexes, slices, iterators and taking lists and objects apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import PLAIN_KEYS, from_key, to_key
from .text import shown
from .thrown import Thrown, fail, type_error, value_error
from .type_names import type_name
from .values import UNSET, ClassValue, Instance, SetValue, Value


def out_of_range(index: int, length: int, what: str) -> Thrown:
    return fail("IndexError", f"index {index} is out of range for a {what} of length {length}")


def get_index(x: Value, index: Value) -> Value:
    kind = type(x)
    if kind is list or kind is str:
        what = "list" if kind is list else "string"
        if type(index) is not int:
            raise type_error(f"index of a {what} must be int, not {type_name(index)}")
        if -len(x) <= index < len(x):
            return x[index]
        raise out_of_range(index, len(x), what)
    if kind is dict:
        value = x.get(index if type(index) in PLAIN_KEYS else _lookup_key(index), UNSET)
        if value is UNSET:
            raise fail("KeyError", f"no key {shown(index)} in the map")
        return value
    raise type_error(f"{type_name(x)} cannot be indexed")


def _lookup_key(value: Value) -> Any:
    return to_key(value, "a map key")


def set_index(x: Value, index: Value, value: Value) -> None:
    kind = type(x)
    if kind is list:
        if type(index) is not int:
            raise type_error(f"index of a list must be int, not {type_name(index)}")
        if not -len(x) <= index < len(x):
            raise out_of_range(index, len(x), "list")
        x[index] = value
    elif kind is dict:
        x[_lookup_key(index)] = value
    elif kind is str:
        raise type_error("string cannot be changed")
    else:
        raise type_error(f"{type_name(x)} cannot be indexed")


def get_slice(x: Value, start: Value, stop: Value) -> Value:
    if type(x) is not list and type(x) is not str:
        raise type_error(f"{type_name(x)} cannot be sliced")
    for end in (start, stop):
        if end is not None and type(end) is not int:
            raise type_error(f"end of a slice must be int, not {type_name(end)}")
    return x[start:stop]


def items_of(x: Value) -> list[Value] | str | None:
    """What iterating a value gives; None if it cannot be iterated.

    A list is returned itself, so that a loop sees what is appended meanwhile.
    """
    if type(x) is list or type(x) is str:
        return x
    if type(x) is dict:
        return [from_key(key) for key in x]
    if type(x) is SetValue:
        return [from_key(key) for key in x.items]
    return None


def iterator(x: Value) -> Iterator[Value]:
    items = items_of(x)
    if items is None:
        raise type_error(f"{type_name(x)} is not iterable")
    return iter(items)


def pairs_iterator(x: Value) -> Iterator[Value]:
    if type(x) is dict:
        return iter([[from_key(key), value] for key, value in x.items()])
    return iterator(x)


def make_range(*ends: Value) -> range:
    """The numbers of ``range(a)``, ``range(a, b)`` or ``range(a, b, step)``."""
    for end in ends:
        if type(end) is not int:
            raise type_error(f"range() needs an int, not {type_name(end)}")
    if len(ends) == 3 and ends[2] == 0:
        raise value_error("range() with step 0")
    return range(*ends)


def unpack_list(x: Value, count: int, rest: bool) -> list[Value]:
    """``count`` items, after them the list of the remaining ones if ``rest``."""
    if type(x) is not list:
        raise type_error(f"a list needed, not {type_name(x)}")
    if len(x) == count and not rest:
        return x
    if len(x) < count or not rest:
        least = "at least " if rest else ""
        noun = "item" if count == 1 else "items"
        raise value_error(f"{least}{count} {noun} needed, not {len(x)}")
    return [*x[:count], x[count:]]


def unpack_object(x: Value, names: list[str], rest: bool) -> list[Value]:
    """The members called ``names``, after them a map of the others if ``rest``.

    A list gives its items in order, whatever the names are.
    """
    if type(x) is list:
        return unpack_list(x, len(names), rest)
    if type(x) is dict:
        for name in names:
            if name not in x:
                raise fail("KeyError", f'no key "{name}" in the map')
        fields = x
    elif isinstance(x, Instance):
        fields = x.fields
        for name in names:
            if name not in fields:
                raise type_error(f'{x.type.name} has no member "{name}"')
            if name in x.type.private:
                raise type_error(f'"{name}" is private in {x.type.private[name]}')
    elif names:
        raise type_error(f'{type_name(x)} has no member "{names[0]}"')
    else:
        raise type_error(f"an object needed, not {type_name(x)}")
    values = [fields[name] for name in names]
    if rest:
        taken = set(names)
        hidden = x.type.private if isinstance(x, Instance) else ()
        values.append({k: v for k, v in fields.items() if k not in taken and k not in hidden})
    return values


def match_object(x: Value, names: list[str]) -> list[Value] | None:
    """The members called ``names``; None if one is missing, or hidden."""
    if type(x) is dict:
        fields = x
    elif isinstance(x, Instance):
        fields = x.fields
        if isinstance(x.type, ClassValue) and any(name in x.type.private for name in names):
            return None
    else:
        return None
    values = [fields.get(name, UNSET) for name in names]
    return None if any(value is UNSET for value in values) else values
