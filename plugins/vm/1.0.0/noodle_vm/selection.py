"""Which operation stands for an instruction."""

from __future__ import annotations

from typing import Final

from hookspecs.bytecode import Comparison, Opcode, Use

from .operations import Op

#: Two values to one, or one to one.
PLAIN: Final = {
    Opcode.BINARY_ADD: Op.ADD,
    Opcode.BINARY_SUBTRACT: Op.SUBTRACT,
    Opcode.BINARY_MULTIPLY: Op.MULTIPLY,
    Opcode.BINARY_DIVIDE: Op.DIVIDE,
    Opcode.BINARY_MODULO: Op.MODULO,
    Opcode.BINARY_POWER: Op.POWER,
    Opcode.LOAD_INDEX: Op.GET_INDEX,
    Opcode.CATCH_MATCH: Op.CATCH_MATCH,
    Opcode.UNARY_NEGATIVE: Op.NEGATIVE,
    Opcode.UNARY_NOT: Op.NOT,
}
#: Any number of values to one.
BUILDS: Final = {
    Opcode.BUILD_STRING: Op.BUILD_STRING,
    Opcode.BUILD_LIST: Op.BUILD_LIST,
    Opcode.BUILD_DICT: Op.BUILD_MAP,
    Opcode.BUILD_SET: Op.BUILD_SET,
}
WITH_INT: Final = {
    Opcode.BINARY_ADD: Op.ADD_INT,
    Opcode.BINARY_SUBTRACT: Op.SUBTRACT_INT,
}
WHEN: Final = {
    Comparison.EQ: Op.WHEN_EQUAL,
    Comparison.NE: Op.WHEN_NOT_EQUAL,
    Comparison.LT: Op.WHEN_LESS,
    Comparison.LE: Op.WHEN_LESS_EQUAL,
    Comparison.GT: Op.WHEN_GREATER,
    Comparison.GE: Op.WHEN_GREATER_EQUAL,
}
#: Not the opposite comparisons: of NaN, both are false.
UNLESS: Final = {
    Comparison.EQ: Op.WHEN_NOT_EQUAL,
    Comparison.NE: Op.WHEN_EQUAL,
    Comparison.LT: Op.UNLESS_LESS,
    Comparison.LE: Op.UNLESS_LESS_EQUAL,
    Comparison.GT: Op.UNLESS_GREATER,
    Comparison.GE: Op.UNLESS_GREATER_EQUAL,
}
BRANCHES: Final = frozenset({Opcode.POP_JUMP_IF_TRUE, Opcode.POP_JUMP_IF_FALSE})
#: The use of a bool by ``!``, after those of ``Use``.
USE_NOT: Final = 3
USE_AND: Final = int(Use.AND)
USE_OR: Final = int(Use.OR)
