"""The reserved words, and the expression that finds where a token ends."""

from __future__ import annotations

import re
from typing import Final

#: Words that cannot be names. Others that the grammar knows (``error``, ``from``,
#: ``static`` and so on) are names wherever they cannot be anything else.
KEYWORDS: Final = frozenset(
    """
    if elif else while do for in break continue return match case when
    function def let var const class struct enum new self super
    try catch finally throw import export as true false null none
    async await yield interface macro foreign with
    """.split()
)

# In the order of trying. A number that runs into a letter is malformed as a whole.
TOKEN: Final = re.compile(
    r"""
      (?P<space> [ \t\r\f\v]+ )
    | (?P<newline> \n )
    | (?P<comment> //[^\n]* | \#[^\n]* )
    | (?P<block_comment> /\* .*? \*/ )
    | (?P<open_comment> /\* )
    | (?P<name> [^\W\d]\w* )
    | (?P<float> [0-9]+ (?: \.[0-9]+ (?: [eE][+-]?[0-9]+ )? | [eE][+-]?[0-9]+ ) (?!\w) )
    | (?P<int> (?: 0[xX][0-9a-fA-F]+ | 0[bB][01]+ | [0-9]+ ) (?!\w) )
    | (?P<malformed> [0-9]\w* (?: \.[0-9]\w* )? )
    | (?P<string> "(?: [^"\\\n] | \\[^\n] )*" | '(?: [^'\\\n] | \\[^\n] )*' )
    | (?P<open_string> ["'][^\n]* )
    | (?P<template> ` )
    | (?P<operator> \.\.\. | \*\* | [=!<>+*/%-]= | => | -> | && | \|\| | \+\+ | --
                  | [-+*/%<>=!(){}\[\],.:;?|@] )
    """,
    re.VERBOSE | re.DOTALL,
)

#: Text of a template up to its end or to the next expression in it.
TEMPLATE_TEXT: Final = re.compile(r"(?: [^`\\$] | \\. | \$(?!\{) )*", re.VERBOSE | re.DOTALL)

_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_MEANING: Final = {"n": "\n", "t": "\t", "r": "\r"}


def unescape(text: str) -> str:
    r"""Replace escapes: ``\n``, ``\t``, ``\r``; any other character stands for itself."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _MEANING.get(found[1], found[1]), text)
