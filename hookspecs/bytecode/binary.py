"""The record layouts that the writer and the reader of NBC share."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

MAGIC: Final = b"NBC\x1a"
FORMAT_VERSION: Final = 1

#: magic, format version, zero, length of the body, CRC-32 of the body
HEADER: Final = Struct("<4sHHII")
#: opcode, zero, b, a
INSTRUCTION: Final = Struct("<BBHI")
#: start, end, target, depth
HANDLER: Final = Struct("<IIII")
#: start, line, column
SOURCE_ENTRY: Final = Struct("<III")


class Tag(IntEnum):
    """The first byte of a constant."""

    NULL = 0
    FALSE = 1
    TRUE = 2
    INT = 3
    FLOAT = 4
    STRING = 5
