"""The operations of the loaded form: numbers, operands, effects.

An operation is a tuple of its number and the operands ``a``, ``b`` and ``c``.
*r* is a register, *dest* the register of the result; a *goal* is a pair: the
operation to go to, and what the jump adds to the count of NBC instructions.
That count is right because of a telescoping sum: a jump from instruction p to t
adds p + 1 - t, a return from p adds p + 1.

The interpreter compares numbers in a tree: groups first, and in a group the
frequent ones first. Those from :data:`FIRST_HANDLED` on are functions in
:mod:`.handlers`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Op(IntEnum):
    # Arithmetic.
    ADD_INT = 0  # r, int, dest
    ADD = 1  # r, r, dest
    MULTIPLY = 2  # r, r, dest
    SUBTRACT = 3  # r, r, dest
    SUBTRACT_INT = 4  # r, int, dest
    DIVIDE = 5  # r, r, dest
    MODULO = 6  # r, r, dest

    # Compare two values and jump.
    WHEN_LESS = 7  # r, r, goal
    UNLESS_LESS = 8  # r, r, goal
    WHEN_EQUAL = 9  # r, r, goal
    WHEN_NOT_EQUAL = 10  # r, r, goal
    WHEN_LESS_EQUAL = 11  # r, r, goal
    UNLESS_LESS_EQUAL = 12  # r, r, goal
    WHEN_GREATER = 13  # r, r, goal
    UNLESS_GREATER = 14  # r, r, goal
    WHEN_GREATER_EQUAL = 15  # r, r, goal
    UNLESS_GREATER_EQUAL = 16  # r, r, goal

    # Data.
    MOVE = 17  # r, -, dest
    GET_INDEX = 18  # r, r of the index, dest
    LOAD_GLOBAL = 19  # cell, name, dest
    GET_FIELD = 20  # r, name, dest; private ones too
    GET_PUBLIC_FIELD = 21  # r, name, dest
    LOAD_CELL = 22  # r of the cell, name, dest
    SET_INDEX = 23  # r, r of the index, r of the value
    SET_FIELD = 24  # r, name, r of the value; private ones too
    SET_PUBLIC_FIELD = 25  # r, name, r of the value
    STORE_GLOBAL = 26  # cell, r
    STORE_CELL = 27  # r of the cell, r
    LIST_APPEND = 28  # r of the list, r
    CHECK_TYPE = 29  # r, type, name of the function

    # Jumps.
    UNLESS = 30  # r, use, goal
    WHEN = 31  # r, use, goal
    JUMP = 32  # target, what it adds to the count
    FOR_AGAIN = 33  # r of the iterator, (goal if over, goal if not), dest
    FOR = 34  # r of the iterator, goal if over, dest
    WHEN_GIVEN = 35  # r, -, goal
    WHEN_NULL = 36  # r, -, goal

    # Calls.
    BUILTIN_1 = 37  # Python function, r, dest
    BUILTIN_2 = 38  # Python function, (r, r), dest
    BUILTIN_MORE = 39  # Python function, picker or None, dest
    RETURN = 40  # r, what it adds to the count
    CALL_1 = 41  # r of the function, r, dest
    CALL_2 = 42  # r of the function, (r, r), dest
    CALL_MORE = 43  # r of the function, picker or None, dest
    APPEND = 44  # as METHOD_1, the name is append
    METHOD_0 = 45  # r, (name, -, inner), dest
    METHOD_1 = 46  # r, (name, r, inner), dest
    METHOD_MORE = 47  # r, (name, picker, inner), dest
    CALL_NAMED = 48  # r of the function, (registers, names), dest
    CALL_SPREAD = 49  # r of the function, r of the list, dest
    RETURN_HIDDEN = 50  # r, what it adds to the count; from a hidden function
    HALT = 51  # the end of a module's body

    # Handled by functions.
    COMPARE = 52  # r, (comparison, r), dest
    POWER = 53  # r, r, dest
    NEGATIVE = 54  # r, -, dest
    NOT = 55  # r, -, dest
    CHECK_BOOL = 56  # r, use
    BUILD_STRING = 57  # -, registers, dest
    BUILD_LIST = 58  # -, registers, dest
    BUILD_MAP = 59  # -, registers, dest
    BUILD_SET = 60  # -, registers, dest
    LIST_EXTEND = 61  # r of the list, r
    GET_SLICE = 62  # r, (r, r), dest
    LOAD_SUPER = 63  # r of the class, (r of the receiver, name), dest
    GET_ITER = 64  # r, -, r of the iterator
    GET_RANGE = 65  # -, registers, r of the iterator
    GET_PAIRS = 66  # r, -, r of the iterator
    UNPACK_LIST = 67  # r, (count, has rest), the registers in the order of the items
    UNPACK_OBJECT = 68  # r, (names, has rest), the registers in the order of the names
    MATCH_CONSTRUCTOR = 69  # r, (r, count), dest
    MATCH_LIST = 70  # r, (count, has rest), dest
    MATCH_OBJECT = 71  # r, names, dest
    MATCH_FAIL = 72  # r
    MAKE_CELL = 73  # r, -, r of the cell
    EMPTY_CELL = 74  # -, -, r of the cell
    COPY_CELL = 75  # -, -, r of the cell
    MAKE_FUNCTION = 76  # function, registers of its cells, dest
    BUILD_CLASS = 77  # specification, (r of the parent or None, registers), dest
    BUILD_STRUCT = 78  # (specification, types), registers, dest
    BUILD_ENUM = 79  # (specification, types), registers, dest
    THROW = 80  # r
    CATCH_MATCH = 81  # r, r of the class, dest
    LOAD_EXPORT = 82  # r, name, dest
    EXPORT_ALL = 83  # r, the importing module


#: The last operations of the interpreter's groups.
LAST_ARITHMETIC: Final = Op.MODULO
LAST_COMPARISON: Final = Op.UNLESS_GREATER_EQUAL
LAST_DATA: Final = Op.CHECK_TYPE
LAST_JUMP: Final = Op.WHEN_NULL
FIRST_HANDLED: Final = Op.COMPARE
