"""The operations that the interpreter does not do itself.

Each takes the machine, the registers of the frame and the three operands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from . import arithmetic, indexing
from .calls import BASE_CONSTRUCTOR
from .classes import build_class, build_enum, build_struct
from .equality import equal
from .keys import to_key
from .limits import MAX_TEXT, too_long_text
from .members import get_export, parent_method
from .operations import FIRST_HANDLED, Op
from .patterns import match_constructor
from .text import shown, to_text
from .thrown import Thrown, fail, type_error
from .type_names import type_name
from .values import UNSET, Cell, ClassValue, ErrorValue, FunctionValue, ModuleValue, SetValue, Value

Machine = Any
Registers: TypeAlias = list[Value]
Handler: TypeAlias = Callable[[Machine, Registers, Any, Any, Any], None]

#: In the order of ``Comparison``.
COMPARISONS: Final[tuple[Callable[[Value, Value], bool], ...]] = (
    equal,
    lambda x, y: not equal(x, y),
    arithmetic.less,
    arithmetic.less_equal,
    arithmetic.greater,
    arithmetic.greater_equal,
)


def _compare(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = COMPARISONS[b[0]](regs[a], regs[b[1]])


def _power(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = arithmetic.power(regs[a], regs[b])


def _negative(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = arithmetic.negative(regs[a])


def _not(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = arithmetic.inverse(regs[a])


def _check_bool(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    if type(regs[a]) is not bool:
        raise arithmetic.not_bool(regs[a], b)


# -- collections -------------------------------------------------------------


def _build_string(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    texts = [to_text(value) for value in b(regs)] if b else []
    text = "".join(texts)
    if len(text) > MAX_TEXT:
        raise too_long_text(len(text))
    regs[c] = text


def _build_list(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = list(b(regs)) if b else []


def _build_map(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    made: dict[Any, Value] = {}
    values = iter(b(regs) if b else ())
    for key in values:
        made[to_key(key, "a map key")] = next(values)
    regs[c] = made


def _build_set(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    values = b(regs) if b else ()
    regs[c] = SetValue(dict.fromkeys([to_key(value, "a set item") for value in values]))


def _list_extend(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    if type(regs[a]) is not list:
        raise type_error(f"a list needed, not {type_name(regs[a])}")
    items = indexing.items_of(regs[b])
    if items is None:
        raise type_error(f"{type_name(regs[b])} is not iterable")
    regs[a].extend(items)


def _get_slice(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = indexing.get_slice(regs[a], regs[b[0]], regs[b[1]])


def _get_iter(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = indexing.iterator(regs[a])


def _get_range(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = iter(indexing.make_range(*b(regs)))


def _get_pairs(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = indexing.pairs_iterator(regs[a])


def _unpack_list(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    for register, value in zip(c, indexing.unpack_list(regs[a], *b), strict=True):
        regs[register] = value


def _unpack_object(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    for register, value in zip(c, indexing.unpack_object(regs[a], *b), strict=True):
        regs[register] = value


# -- patterns ----------------------------------------------------------------


def _match_constructor(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = match_constructor(regs[a], regs[b[0]], b[1])


def _match_list(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    x = regs[a]
    count, has_rest = b
    if type(x) is list and (len(x) == count or (has_rest and len(x) > count)):
        regs[c] = indexing.unpack_list(x, count, has_rest)
    else:
        regs[c] = None


def _match_object(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = indexing.match_object(regs[a], b)


def _match_fail(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    raise fail("MatchError", f"no arm fits {shown(regs[a])}")


# -- variables, functions and types ------------------------------------------


def _make_cell(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = Cell(regs[a])


def _empty_cell(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = Cell(UNSET)


def _copy_cell(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = Cell(regs[c].value)


def _make_function(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = FunctionValue(a, list(b(regs)) if b else [])


def _build_class(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    parent, functions = b
    has_parent = parent is not None
    regs[c] = build_class(
        a, has_parent, regs[parent] if has_parent else None, functions(regs) if functions else ()
    )


def _build_struct(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = build_struct(a[0], a[1], b(regs) if b else ())


def _build_enum(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = build_enum(a[0], a[1], b(regs) if b else ())


def _load_super(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    receiver, name = b
    regs[c] = parent_method(regs[a], regs[receiver], name, BASE_CONSTRUCTOR)


# -- errors and modules ------------------------------------------------------


def _throw(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    error = regs[a]
    if not isinstance(error, ErrorValue):
        raise type_error(f"only an error can be thrown, not {type_name(error)}")
    raise Thrown(error)


def _catch_match(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    wanted = regs[b]
    if type(wanted) is not ClassValue or not wanted.is_error:
        raise type_error(f"catch needs an error type, not {shown(wanted)}")
    error = regs[a]
    regs[c] = isinstance(error, ErrorValue) and error.type.descends_from(wanted)


def _load_export(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    regs[c] = get_export(regs[a], b)


def _export_all(machine: Machine, regs: Registers, a: Any, b: Any, c: Any) -> None:
    if not isinstance(regs[a], ModuleValue):
        raise type_error(f"{type_name(regs[a])} has no exports")
    b.exports = {**regs[a].exports, **b.exports}


_TABLE: Final[dict[Op, Handler]] = {
    Op.COMPARE: _compare,
    Op.POWER: _power,
    Op.NEGATIVE: _negative,
    Op.NOT: _not,
    Op.CHECK_BOOL: _check_bool,
    Op.BUILD_STRING: _build_string,
    Op.BUILD_LIST: _build_list,
    Op.BUILD_MAP: _build_map,
    Op.BUILD_SET: _build_set,
    Op.LIST_EXTEND: _list_extend,
    Op.GET_SLICE: _get_slice,
    Op.LOAD_SUPER: _load_super,
    Op.GET_ITER: _get_iter,
    Op.GET_RANGE: _get_range,
    Op.GET_PAIRS: _get_pairs,
    Op.UNPACK_LIST: _unpack_list,
    Op.UNPACK_OBJECT: _unpack_object,
    Op.MATCH_CONSTRUCTOR: _match_constructor,
    Op.MATCH_LIST: _match_list,
    Op.MATCH_OBJECT: _match_object,
    Op.MATCH_FAIL: _match_fail,
    Op.MAKE_CELL: _make_cell,
    Op.EMPTY_CELL: _empty_cell,
    Op.COPY_CELL: _copy_cell,
    Op.MAKE_FUNCTION: _make_function,
    Op.BUILD_CLASS: _build_class,
    Op.BUILD_STRUCT: _build_struct,
    Op.BUILD_ENUM: _build_enum,
    Op.THROW: _throw,
    Op.CATCH_MATCH: _catch_match,
    Op.LOAD_EXPORT: _load_export,
    Op.EXPORT_ALL: _export_all,
}
#: Handler of operation ``op`` at ``op - FIRST_HANDLED``.
HANDLERS: Final = tuple(_TABLE[op] for op in Op if op >= FIRST_HANDLED)
