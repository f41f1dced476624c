"""How large a single value may get.

A program that doubles a string in a loop, or asks for a list of all numbers,
would take the whole worker's memory, or stop it for minutes, in one instruction.
"""

from __future__ import annotations

from typing import Final

from .thrown import Thrown, value_error

#: Characters of one string, 64 Mi.
MAX_TEXT: Final = 1 << 26
#: Items of a list that one instruction makes.
MAX_ITEMS: Final = 10_000_000


def too_long_text(length: int) -> Thrown:
    return value_error(f"a string of {length} characters is too long, {MAX_TEXT} are allowed")


def too_long_list(length: int) -> Thrown:
    return value_error(f"a list of {length} items is too long, {MAX_ITEMS} are allowed")
