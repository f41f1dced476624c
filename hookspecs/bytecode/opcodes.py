"""The instructions of NBC: their numbers, operands and effects on the stack."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Opcode(IntEnum):
    """One byte of the binary form; a number is never given a second meaning.

    The comments show the stack before and after, the top on the right. ``a``
    and ``b`` are the two operands. An instruction whose operands do not fit
    the values it finds raises a Noodle error, never a Python one.
    """

    # Set A of NoodleCore's documents, in their order.
    LOAD_CONST = 0  # -> constants[a]
    POP_TOP = 1  # v ->
    STORE_NAME = 2  # v -> ; binds names[a] in the module
    LOAD_NAME = 3  # -> v ; ValueError while names[a] has no value
    BINARY_ADD = 4  # x y -> x + y ; a string on one side converts the other
    BINARY_SUBTRACT = 5  # x y -> x - y
    BINARY_MULTIPLY = 6  # x y -> x * y
    BINARY_DIVIDE = 7  # x y -> x / y, a float
    BINARY_MODULO = 8  # x y -> x % y, with the sign of y
    COMPARE_OP = 9  # x y -> bool ; a is a Comparison
    JUMP_ABSOLUTE = 10  # goes to a
    JUMP_FORWARD = 11  # skips a instructions
    POP_JUMP_IF_FALSE = 12  # bool -> ; goes to a ; b is the Use, for the TypeError
    MAKE_FUNCTION = 13  # -> functions[a] with its captures
    CALL_FUNCTION = 14  # f v1..va -> result
    RETURN_VALUE = 15  # v -> ; leaves the function
    BUILD_LIST = 16  # v1..va -> list
    BUILD_DICT = 17  # k1 v1..ka va -> map
    LOAD_ATTR = 18  # x -> x.names[a] ; b is 1 inside a class: private members too
    STORE_ATTR = 19  # x v -> ; x.names[a] = v ; b as LOAD_ATTR

    # Variables that live in slots of the frame.
    LOAD_FAST = 20  # -> slots[a]
    STORE_FAST = 21  # v -> ; slots[a] = v
    MAKE_CELL = 22  # v -> ; slots[a] = a new cell with v
    EMPTY_CELL = 23  # slots[a] = a new cell without a value
    COPY_CELL = 24  # slots[a] = a new cell with the value of the old one
    LOAD_CELL = 25  # -> v ; ValueError while the cell in slots[a] has no value
    STORE_CELL = 26  # v -> ; into the cell in slots[a]
    LOAD_BUILTIN = 27  # -> the built-in called names[a]

    # The stack itself.
    DUP_TOP = 28  # v -> v v
    DUP_TOP_TWO = 29  # x y -> x y x y

    # Operators.
    BINARY_POWER = 30  # x y -> x ** y
    UNARY_NEGATIVE = 31  # x -> -x
    UNARY_NOT = 32  # bool -> bool
    CHECK_BOOL = 33  # v -> v ; TypeError unless it is a bool ; a is the Use
    CHECK_TYPE = 34  # v -> v ; TypeError unless it fits types[a], a return type
    BUILD_STRING = 35  # v1..va -> string ; each as str() gives it

    # Jumps.
    POP_JUMP_IF_TRUE = 36  # bool -> ; goes to a ; b is the Use
    POP_JUMP_IF_NULL = 37  # v -> ; goes to a if v is null
    JUMP_IF_FALSE_OR_POP = 38  # bool -> bool and goes to a, or bool ->
    JUMP_IF_TRUE_OR_POP = 39  # bool -> bool and goes to a, or bool ->
    JUMP_IF_GIVEN = 40  # goes to a if the caller gave the parameter in slots[b]

    # Calls.
    CALL_NAMED = 41  # f v1..va -> result ; the last ones are named name_lists[b]
    CALL_METHOD = 42  # x v1..vb -> x.names[a](v1..vb)
    CALL_SPREAD = 43  # f list -> result ; the list holds the arguments
    LOAD_SUPER = 44  # class x -> method names[a] of the class's parent, bound to x

    # Collections.
    BUILD_SET = 45  # v1..va -> set
    LIST_APPEND = 46  # list v -> list
    LIST_EXTEND = 47  # list list -> list ; appends the items of the second
    LOAD_INDEX = 48  # x i -> x[i]
    STORE_INDEX = 49  # x i v -> ; x[i] = v
    LOAD_SLICE = 50  # x i j -> x[i:j] ; null for an end that is not written
    GET_ITER = 51  # x -> ; iterator slots[a] begins with x
    GET_RANGE = 52  # v1..vb -> ; iterator slots[a] begins with range(v1..vb)
    GET_PAIRS = 53  # x -> ; iterator slots[a] begins with the pairs of x
    FOR_ITER = 54  # -> next of iterator slots[b], or nothing and goes to a
    UNPACK_LIST = 55  # list -> va..v1 ; b is 1: the remaining items below them
    UNPACK_OBJECT = 56  # x -> vn..v1 by name_lists[a] ; b is 1: the rest below them

    # Types.
    BUILD_CLASS = 57  # [parent] f1..fn -> class ; classes[a], b is 1 with a parent
    BUILD_STRUCT = 58  # [f] -> structs[a] ; f if it has defaults
    BUILD_ENUM = 59  # f1..fn -> enums[a] ; one for each variant with defaults

    # Errors.
    THROW = 60  # error -> ; never goes on
    RETHROW = 61  # error -> ; as THROW, the place stays that of the first throw
    CATCH_MATCH = 62  # error class -> bool

    # Patterns.
    MATCH_CONSTRUCTOR = 63  # x constructor -> list of its a values, or null
    MATCH_LIST = 64  # x -> list of a items, with b = 1 and the rest last; or null
    MATCH_OBJECT = 65  # x -> list of the values by name_lists[a], or null
    MATCH_FAIL = 66  # x -> ; raises MatchError

    # Modules.
    IMPORT_MODULE = 67  # -> the module imported as names[a]
    LOAD_EXPORT = 68  # module -> its export names[a]
    EXPORT_ALL = 69  # module -> ; what it exports, this module exports too

    END_INITIALIZER = 70  # leaves the function without a result

    CALL_INNER_METHOD = 71  # as CALL_METHOD, inside a class: private members too


class Comparison(IntEnum):
    """Operand ``a`` of COMPARE_OP."""

    EQ = 0
    NE = 1
    LT = 2
    LE = 3
    GT = 4
    GE = 5


class Use(IntEnum):
    """What a value that must be a bool is used for."""

    CONDITION = 0
    AND = 1
    OR = 2


COMPARISON_TEXT: Final = ("==", "!=", "<", "<=", ">", ">=")


class Operand(IntEnum):
    """What an operand means, and so what bounds it."""

    NONE = 0  # must be 0
    COUNT = 1  # a number of values
    FLAG = 2  # 0 or 1
    CONSTANT = 3
    NAME = 4
    NAME_LIST = 5
    SLOT = 6  # a slot of kind PLAIN
    CELL = 7
    ITERATOR = 8
    TARGET = 9  # an instruction of the function
    OFFSET = 10  # a distance from the next instruction to one of the function
    FUNCTION = 11
    TYPE = 12
    CLASS = 13
    STRUCT = 14
    ENUM = 15
    COMPARISON = 16
    USE = 17


class Shape(NamedTuple):
    """Operand kinds and stack effect; ``pops`` and ``pushes`` are -1 if they vary."""

    a: Operand
    b: Operand
    pops: int
    pushes: int


def _shapes() -> dict[Opcode, Shape]:
    o, k = Opcode, Operand
    none = k.NONE
    table: dict[Opcode, Shape] = {
        o.LOAD_CONST: Shape(k.CONSTANT, none, 0, 1),
        o.STORE_NAME: Shape(k.NAME, none, 1, 0),
        o.LOAD_NAME: Shape(k.NAME, none, 0, 1),
        o.COMPARE_OP: Shape(k.COMPARISON, none, 2, 1),
        o.JUMP_ABSOLUTE: Shape(k.TARGET, none, 0, 0),
        o.JUMP_FORWARD: Shape(k.OFFSET, none, 0, 0),
        o.MAKE_FUNCTION: Shape(k.FUNCTION, none, 0, 1),
        o.CALL_FUNCTION: Shape(k.COUNT, none, -1, 1),
        o.BUILD_LIST: Shape(k.COUNT, none, -1, 1),
        o.BUILD_DICT: Shape(k.COUNT, none, -1, 1),
        o.LOAD_ATTR: Shape(k.NAME, k.FLAG, 1, 1),
        o.STORE_ATTR: Shape(k.NAME, k.FLAG, 2, 0),
        o.LOAD_FAST: Shape(k.SLOT, none, 0, 1),
        o.STORE_FAST: Shape(k.SLOT, none, 1, 0),
        o.MAKE_CELL: Shape(k.CELL, none, 1, 0),
        o.EMPTY_CELL: Shape(k.CELL, none, 0, 0),
        o.COPY_CELL: Shape(k.CELL, none, 0, 0),
        o.LOAD_CELL: Shape(k.CELL, none, 0, 1),
        o.STORE_CELL: Shape(k.CELL, none, 1, 0),
        o.LOAD_BUILTIN: Shape(k.NAME, none, 0, 1),
        o.DUP_TOP: Shape(none, none, 1, 2),
        o.DUP_TOP_TWO: Shape(none, none, 2, 4),
        o.CHECK_BOOL: Shape(k.USE, none, 1, 1),
        o.POP_JUMP_IF_NULL: Shape(k.TARGET, none, 1, 0),
        o.CHECK_TYPE: Shape(k.TYPE, none, 1, 1),
        o.BUILD_STRING: Shape(k.COUNT, none, -1, 1),
        o.JUMP_IF_FALSE_OR_POP: Shape(k.TARGET, none, 1, 0),
        o.JUMP_IF_TRUE_OR_POP: Shape(k.TARGET, none, 1, 0),
        o.JUMP_IF_GIVEN: Shape(k.TARGET, k.SLOT, 0, 0),
        o.CALL_NAMED: Shape(k.COUNT, k.NAME_LIST, -1, 1),
        o.CALL_METHOD: Shape(k.NAME, k.COUNT, -1, 1),
        o.CALL_INNER_METHOD: Shape(k.NAME, k.COUNT, -1, 1),
        o.LOAD_SUPER: Shape(k.NAME, none, 2, 1),
        o.BUILD_SET: Shape(k.COUNT, none, -1, 1),
        o.LOAD_SLICE: Shape(none, none, 3, 1),
        o.STORE_INDEX: Shape(none, none, 3, 0),
        o.GET_ITER: Shape(k.ITERATOR, none, 1, 0),
        o.GET_RANGE: Shape(k.ITERATOR, k.COUNT, -1, 0),
        o.GET_PAIRS: Shape(k.ITERATOR, none, 1, 0),
        o.FOR_ITER: Shape(k.TARGET, k.ITERATOR, 0, 1),
        o.UNPACK_LIST: Shape(k.COUNT, k.FLAG, 1, -1),
        o.UNPACK_OBJECT: Shape(k.NAME_LIST, k.FLAG, 1, -1),
        o.BUILD_CLASS: Shape(k.CLASS, k.FLAG, -1, 1),
        o.BUILD_STRUCT: Shape(k.STRUCT, none, -1, 1),
        o.BUILD_ENUM: Shape(k.ENUM, none, -1, 1),
        o.MATCH_CONSTRUCTOR: Shape(k.COUNT, none, 2, 1),
        o.MATCH_LIST: Shape(k.COUNT, k.FLAG, 1, 1),
        o.MATCH_OBJECT: Shape(k.NAME_LIST, none, 1, 1),
        o.IMPORT_MODULE: Shape(k.NAME, none, 0, 1),
        o.LOAD_EXPORT: Shape(k.NAME, none, 1, 1),
        o.END_INITIALIZER: Shape(none, none, 0, 0),
    }
    for opcode in (
        o.BINARY_ADD,
        o.BINARY_SUBTRACT,
        o.BINARY_MULTIPLY,
        o.BINARY_DIVIDE,
        o.BINARY_MODULO,
        o.BINARY_POWER,
        o.CALL_SPREAD,
        o.LIST_APPEND,
        o.LIST_EXTEND,
        o.LOAD_INDEX,
        o.CATCH_MATCH,
    ):
        table[opcode] = Shape(none, none, 2, 1)
    for opcode in (o.UNARY_NEGATIVE, o.UNARY_NOT):
        table[opcode] = Shape(none, none, 1, 1)
    for opcode in (o.POP_JUMP_IF_FALSE, o.POP_JUMP_IF_TRUE):
        table[opcode] = Shape(k.TARGET, k.USE, 1, 0)
    for opcode in (o.POP_TOP, o.RETURN_VALUE, o.THROW, o.RETHROW, o.MATCH_FAIL, o.EXPORT_ALL):
        table[opcode] = Shape(none, none, 1, 0)
    return table


SHAPES: Final = _shapes()

#: After these the next instruction is not reached.
NO_FALL_THROUGH: Final = frozenset(
    {
        Opcode.JUMP_ABSOLUTE,
        Opcode.JUMP_FORWARD,
        Opcode.RETURN_VALUE,
        Opcode.THROW,
        Opcode.RETHROW,
        Opcode.MATCH_FAIL,
        Opcode.END_INITIALIZER,
    }
)
