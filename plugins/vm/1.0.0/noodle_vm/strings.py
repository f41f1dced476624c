"""The built-in functions on strings; none changes its argument."""

from __future__ import annotations

from typing import Any

from .indexing import items_of
from .limits import MAX_TEXT, too_long_text
from .text import to_text
from .thrown import type_error, value_error
from .type_names import type_name
from .values import Value

Machine = Any


def _need_string(x: Value, function: str) -> str:
    if type(x) is not str:
        raise type_error(f"{function}() needs a string, not {type_name(x)}")
    return x


def str_(machine: Machine, x: Value) -> str:
    return to_text(x)


def join(machine: Machine, items: Value, separator: Value = "") -> str:
    """The items, as ``str()`` shows them, with the separator between them."""
    found = items_of(items)
    if found is None:
        raise type_error(f"join() needs a list, not {type_name(items)}")
    between = _need_string(separator, "join")
    texts = [item if type(item) is str else to_text(item) for item in found]
    length = sum(map(len, texts)) + len(between) * max(0, len(texts) - 1)
    if length > MAX_TEXT:
        raise too_long_text(length)
    return between.join(texts)


def split(machine: Machine, text: Value, separator: Value) -> list[Value]:
    _need_string(text, "split")
    if not _need_string(separator, "split"):
        raise value_error("split() with an empty separator")
    return list(text.split(separator))


def upper(machine: Machine, text: Value) -> str:
    return _need_string(text, "upper").upper()


def lower(machine: Machine, text: Value) -> str:
    return _need_string(text, "lower").lower()


def trim(machine: Machine, text: Value) -> str:
    return _need_string(text, "trim").strip()


def replace(machine: Machine, text: Value, old: Value, new: Value) -> str:
    for part in (text, old, new):
        _need_string(part, "replace")
    if not old:
        raise value_error("replace() with an empty text to find")
    if len(new) > len(old):
        length = len(text) + text.count(old) * (len(new) - len(old))
        if length > MAX_TEXT:
            raise too_long_text(length)
    return str(text.replace(old, new))


def chars(machine: Machine, text: Value) -> list[Value]:
    return list(_need_string(text, "chars"))


def ord_(machine: Machine, text: Value) -> int:
    if len(_need_string(text, "ord")) != 1:
        raise value_error(f"ord() needs one character, not {len(text)}")
    return ord(text)


def chr_(machine: Machine, number: Value) -> str:
    if type(number) is not int:
        raise type_error(f"chr() needs an int, not {type_name(number)}")
    # Surrogates are no characters, and have no UTF-8 form.
    if not 0 <= number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise value_error(f"chr() needs a code point, not {number}")
    return chr(number)
