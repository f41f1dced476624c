"""The names that are there without a declaration."""

from __future__ import annotations

from typing import Final

ERRORS: Final = tuple(
    """
    Error OverflowError DivisionError IndexError KeyError TypeError MatchError ValueError
    StackOverflowError TimeoutError
    """.split()
)

BUILTIN_NAMES: Final = frozenset(
    """
    print str int float bool len range abs min max sum div round sqrt floor ceil sorted reversed
    keys values map filter reduce zip enumerate assert typeOf push pop join split upper lower trim
    contains replace chars ord chr Set Some None Success
    """.split()
).union(ERRORS)

#: What a call of a built-in function always gives, where that is one type.
RESULTS: Final = {
    "str": "string",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "len": "int",
    "div": "int",
    "sorted": "List",
    "keys": "List",
    "values": "List",
    "zip": "List",
    "enumerate": "List",
    "typeOf": "string",
    "join": "string",
    "split": "List",
    "upper": "string",
    "lower": "string",
    "trim": "string",
    "contains": "bool",
    "replace": "string",
    "chars": "List",
    "ord": "int",
    "chr": "string",
    "Set": "Set",
    "Some": "Option",
    "Success": "Result",
    **{name: name for name in ERRORS},
}

#: The types that need no declaration, and the names that their values can have.
#: An int may stand where a float is wanted.
BUILTIN_TYPES: Final[dict[str, list[str]]] = {
    "any": [],
    "int": ["int"],
    "float": ["float", "int"],
    "bool": ["bool"],
    "string": ["string"],
    "char": ["string"],
    "void": ["null"],
    "null": ["null"],
    "function": ["function"],
    "List": ["List"],
    "Map": ["Map"],
    "Set": ["Set"],
    "Option": ["Option"],
    # ``Error(e)`` is a Result too.
    "Result": ["Result", "Error"],
    # What typeOf gives.
    "Type": ["string"],
    **{name: [name] for name in ERRORS},
}

#: Types that the language knows and that are not there yet.
LATER_TYPES: Final = frozenset("bytes Stream Pair Box Heap Pointer WeakReference".split())


def did_you_mean(word: str, known: list[str]) -> str:
    """Return ``, did you mean "x"?`` for the nearest known word, or nothing."""
    from difflib import get_close_matches

    if len(word) < 3:
        return ""
    by_lower = {name.lower(): name for name in reversed(known) if len(name) >= 3}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return f', did you mean "{by_lower[near[0]]}"?' if near else ""
