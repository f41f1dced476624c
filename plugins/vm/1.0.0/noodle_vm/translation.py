"""NBC functions to the loaded form: stack code to register code.

The stack is followed while translating, so that ``x = y + 1`` is one operation
on registers instead of four on the stack. Where ways meet, and where a handler
begins, every value stands in its place's own register.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from hookspecs.bytecode import (
    NO_FALL_THROUGH,
    SHAPES,
    Comparison,
    Function,
    Instruction,
    Module,
    Opcode,
    Operand,
    stack_effect,
)

from .emitter import Emitter, picker
from .loaded import LoadedFunction, LoadedType
from .operations import Op
from .selection import (
    BRANCHES,
    BUILDS,
    PLAIN,
    UNLESS,
    USE_AND,
    USE_NOT,
    USE_OR,
    WHEN,
    WITH_INT,
)
from .values import BuiltinFunction, Cell, ModuleValue, Value


class Tables(Protocol):
    """What the code of a module refers to."""

    module: Module
    value: ModuleValue
    functions: list[LoadedFunction]
    types: list[LoadedType]

    def cell(self, name: str) -> Cell: ...

    def builtin(self, name: str) -> Value: ...

    def imported(self, path: str) -> ModuleValue: ...


def translate(
    tables: Tables, function: Function, loaded: LoadedFunction, depths: dict[int, int]
) -> None:
    """Fill in a function; ``depths`` are the stack depths that ``verify`` found."""
    Translator(tables, function, loaded, depths).run()


class Translator:
    """Translates one function, instruction by instruction."""

    def __init__(
        self, tables: Tables, function: Function, loaded: LoadedFunction, depths: dict[int, int]
    ) -> None:
        self.tables = tables
        self.names = tables.module.names
        self.function = function
        self.loaded = loaded
        self.depths = depths
        self.out = Emitter(function, loaded)
        self.meets = _meeting_points(function)
        #: The first instruction that has not been translated together with an earlier one.
        self.next = 0

    def run(self) -> None:
        falls_through = True
        for at, instruction in enumerate(self.function.instructions):
            if at < self.next:
                continue
            if at not in self.depths:
                falls_through = False
                continue
            if at in self.meets or at == 0:
                self.out.enter(self.depths[at], falls_through and at > 0, at)
            self.out.at = at
            self.next = at + 1
            self._instruction(instruction)
            falls_through = instruction.opcode not in NO_FALL_THROUGH
        self.out.finish()

    def _instruction(self, instruction: Instruction) -> None:
        opcode, a, b = instruction
        out = self.out
        if opcode in PLAIN:
            self._plain(opcode)
        elif opcode in BUILDS:
            out.emit_result(
                BUILDS[opcode],
                None,
                picker(out.pop_many(stack_effect(instruction, self.tables.module)[0])),
            )
        else:
            handler: Callable[[Translator, int, int], None] = _HANDLERS[opcode]
            handler(self, a, b)

    def _following(self) -> Instruction | None:
        """The next instruction, if it is reached from this one alone."""
        at = self.next
        if at in self.meets or at >= len(self.function.instructions):
            return None
        return self.function.instructions[at]

    # -- operators ---------------------------------------------------------

    def _plain(self, opcode: Opcode) -> None:
        out = self.out
        following = self._following()
        if opcode is Opcode.UNARY_NOT and following and following.opcode in BRANCHES:
            condition = out.pop()
            out.settle()
            is_when = following.opcode is Opcode.POP_JUMP_IF_FALSE
            out.emit_goal(
                Op.WHEN if is_when else Op.UNLESS, condition, USE_NOT, following.a, hops=2
            )
            self.next += 1
            return
        if SHAPES[opcode].pops == 1:
            out.emit_result(PLAIN[opcode], out.pop())
            return
        right, left = out.pop(), out.pop()
        value = out.value_of(right)
        if opcode in WITH_INT and type(value) is int:
            out.emit_result(WITH_INT[opcode], left, value)
        else:
            out.emit_result(PLAIN[opcode], left, right)

    def _compare(self, a: int, b: int) -> None:
        out = self.out
        right, left = out.pop(), out.pop()
        following = self._following()
        if following is None or following.opcode not in BRANCHES:
            out.emit_result(Op.COMPARE, left, (a, right))
            return
        table = WHEN if following.opcode is Opcode.POP_JUMP_IF_TRUE else UNLESS
        out.settle()
        out.emit_goal(table[Comparison(a)], left, right, following.a, hops=2)
        self.next += 1

    def _check_bool(self, a: int, b: int) -> None:
        self.out.emit(Op.CHECK_BOOL, self.out.stack[-1], a)

    def _check_type(self, a: int, b: int) -> None:
        name = self.loaded.called_name
        self.out.emit(Op.CHECK_TYPE, self.out.stack[-1], self.tables.types[a], name)

    # -- variables ---------------------------------------------------------

    def _load_const(self, a: int, b: int) -> None:
        self.out.push(self.out.constant(self.tables.module.constants[a]))

    def _load_name(self, a: int, b: int) -> None:
        name = self.names[a]
        self.out.emit_result(Op.LOAD_GLOBAL, self.tables.cell(name), name)

    def _store_name(self, a: int, b: int) -> None:
        self.out.emit(Op.STORE_GLOBAL, self.tables.cell(self.names[a]), self.out.pop())

    def _load_fast(self, a: int, b: int) -> None:
        self.out.push(a)

    def _store_fast(self, a: int, b: int) -> None:
        self.out.store(a)

    def _load_cell(self, a: int, b: int) -> None:
        self.out.emit_result(Op.LOAD_CELL, a, self.function.slots[a].name)

    def _store_cell(self, a: int, b: int) -> None:
        self.out.emit(Op.STORE_CELL, a, self.out.pop())

    def _make_cell(self, a: int, b: int) -> None:
        self.out.emit(Op.MAKE_CELL, self.out.pop(), None, a)

    def _empty_cell(self, a: int, b: int) -> None:
        self.out.emit(Op.EMPTY_CELL, None, None, a)

    def _copy_cell(self, a: int, b: int) -> None:
        self.out.emit(Op.COPY_CELL, None, None, a)

    def _load_builtin(self, a: int, b: int) -> None:
        name = self.names[a]
        self.out.push(self.out.keep(("built in", name), self.tables.builtin(name)))

    def _import_module(self, a: int, b: int) -> None:
        path = self.names[a]
        self.out.push(self.out.keep(("module", path), self.tables.imported(path)))

    def _load_export(self, a: int, b: int) -> None:
        self.out.emit_result(Op.LOAD_EXPORT, self.out.pop(), self.names[a])

    def _export_all(self, a: int, b: int) -> None:
        self.out.emit(Op.EXPORT_ALL, self.out.pop(), self.tables.value)

    def _pop_top(self, a: int, b: int) -> None:
        self.out.pop()

    def _dup_top(self, a: int, b: int) -> None:
        self.out.push(self.out.stack[-1])

    def _dup_top_two(self, a: int, b: int) -> None:
        for _ in range(2):
            self.out.push(self.out.stack[-2])

    # -- jumps -------------------------------------------------------------

    def _jump(self, a: int, b: int) -> None:
        self.out.settle()
        self.out.emit_jump(a)

    def _jump_forward(self, a: int, b: int) -> None:
        self._jump(self.out.at + 1 + a, b)

    def _pop_jump(self, op: Op, a: int, b: int) -> None:
        condition = self.out.pop()
        self.out.settle()
        self.out.emit_goal(op, condition, b, a)

    def _jump_or_pop(self, op: Op, use: int, a: int) -> None:
        self.out.settle()
        self.out.emit_goal(op, self.out.stack[-1], use, a)
        self.out.pop()

    def _jump_if_given(self, a: int, b: int) -> None:
        self.out.settle()
        self.out.emit_goal(Op.WHEN_GIVEN, b, None, a)

    def _for_iter(self, a: int, b: int) -> None:
        self.out.settle()
        self.out.emit_for(b, a)

    def _return_value(self, a: int, b: int) -> None:
        self._return(self.out.pop())

    def _end_initializer(self, a: int, b: int) -> None:
        self._return(self.out.constant(None))

    def _return(self, register: int) -> None:
        op = Op.RETURN_HIDDEN if self.loaded.is_hidden else Op.RETURN
        self.out.emit(op, register, self.out.at + 1)

    def _throw(self, a: int, b: int) -> None:
        self.out.emit(Op.THROW, self.out.pop())

    def _match_fail(self, a: int, b: int) -> None:
        self.out.emit(Op.MATCH_FAIL, self.out.pop())

    # -- calls -------------------------------------------------------------

    def _call_function(self, a: int, b: int) -> None:
        out = self.out
        arguments = out.pop_many(a)
        callee = out.pop()
        builtin = out.value_of(callee)
        if isinstance(builtin, BuiltinFunction) and builtin.takes(a):
            op = (Op.BUILTIN_MORE, Op.BUILTIN_1, Op.BUILTIN_2)[a if a < 3 else 0]
            out.emit_result(op, builtin.call, _packed(arguments))
            out.may_pause()
        else:
            op = (Op.CALL_MORE, Op.CALL_1, Op.CALL_2)[a if a < 3 else 0]
            out.emit_call(op, callee, _packed(arguments))

    def _call_named(self, a: int, b: int) -> None:
        arguments = self.out.pop_many(a)
        names = self.tables.module.name_lists[b]
        self.out.emit_call(Op.CALL_NAMED, self.out.pop(), (picker(arguments), names))

    def _call_spread(self, a: int, b: int) -> None:
        arguments = self.out.pop()
        self.out.emit_call(Op.CALL_SPREAD, self.out.pop(), arguments)

    def _method(self, a: int, b: int, inner: bool) -> None:
        out = self.out
        name = self.names[a]
        arguments = out.pop_many(b)
        receiver = out.pop()
        if b == 0:
            out.emit_call(Op.METHOD_0, receiver, (name, None, inner))
        elif b == 1:
            op = Op.APPEND if name == "append" else Op.METHOD_1
            out.emit_call(op, receiver, (name, arguments[0], inner))
        else:
            out.emit_call(Op.METHOD_MORE, receiver, (name, picker(arguments), inner))

    def _load_super(self, a: int, b: int) -> None:
        receiver = self.out.pop()
        self.out.emit_result(Op.LOAD_SUPER, self.out.pop(), (receiver, self.names[a]))

    # -- members and collections -------------------------------------------

    def _load_attr(self, a: int, b: int) -> None:
        op = Op.GET_FIELD if b else Op.GET_PUBLIC_FIELD
        self.out.emit_result(op, self.out.pop(), self.names[a])

    def _store_attr(self, a: int, b: int) -> None:
        value = self.out.pop()
        op = Op.SET_FIELD if b else Op.SET_PUBLIC_FIELD
        self.out.emit(op, self.out.pop(), self.names[a], value)

    def _store_index(self, a: int, b: int) -> None:
        x, index, value = self.out.pop_many(3)
        self.out.emit(Op.SET_INDEX, x, index, value)

    def _load_slice(self, a: int, b: int) -> None:
        x, start, stop = self.out.pop_many(3)
        self.out.emit_result(Op.GET_SLICE, x, (start, stop))

    def _list_append(self, a: int, b: int) -> None:
        value = self.out.pop()
        self.out.emit(Op.LIST_APPEND, self.out.stack[-1], value)

    def _list_extend(self, a: int, b: int) -> None:
        value = self.out.pop()
        self.out.emit(Op.LIST_EXTEND, self.out.stack[-1], value)

    def _get_iter(self, a: int, b: int) -> None:
        self.out.emit(Op.GET_ITER, self.out.pop(), None, a)

    def _get_pairs(self, a: int, b: int) -> None:
        self.out.emit(Op.GET_PAIRS, self.out.pop(), None, a)

    def _get_range(self, a: int, b: int) -> None:
        self.out.emit(Op.GET_RANGE, None, picker(self.out.pop_many(b)), a)

    def _unpack_list(self, a: int, b: int) -> None:
        self._unpack(Op.UNPACK_LIST, a, (a, bool(b)))

    def _unpack_object(self, a: int, b: int) -> None:
        names = self.tables.module.name_lists[a]
        self._unpack(Op.UNPACK_OBJECT, len(names), (names, bool(b)))

    def _unpack(self, op: Op, count: int, how: tuple[Any, bool]) -> None:
        """The first item is pushed last, so the stores that follow are in order."""
        out = self.out
        x = out.pop()
        top = out.base + len(out.stack) + count + how[1]
        registers = list(range(top - 1, top - 1 - count - how[1], -1))
        stored = 0
        while stored < len(registers):
            following = self._following()
            if (
                following is None
                or following.opcode is not Opcode.STORE_FAST
                or following.a in out.stack
            ):
                break
            registers[stored] = following.a
            stored += 1
            self.next += 1
        out.emit(op, x, how, registers)
        for register in reversed(registers[stored:]):
            out.push(register)

    def _match_constructor(self, a: int, b: int) -> None:
        constructor = self.out.pop()
        self.out.emit_result(Op.MATCH_CONSTRUCTOR, self.out.pop(), (constructor, a))

    def _match_list(self, a: int, b: int) -> None:
        self.out.emit_result(Op.MATCH_LIST, self.out.pop(), (a, bool(b)))

    def _match_object(self, a: int, b: int) -> None:
        names = self.tables.module.name_lists[a]
        self.out.emit_result(Op.MATCH_OBJECT, self.out.pop(), names)

    # -- functions and types -----------------------------------------------

    def _make_function(self, a: int, b: int) -> None:
        captures = picker(self.tables.module.functions[a].captures)
        self.out.emit_result(Op.MAKE_FUNCTION, self.tables.functions[a], captures)

    def _build_class(self, a: int, b: int) -> None:
        spec = self.tables.module.classes[a]
        functions = picker(self.out.pop_many(spec.function_count))
        parent = self.out.pop() if b else None
        self.out.emit_result(Op.BUILD_CLASS, spec, (parent, functions))

    def _build_struct(self, a: int, b: int) -> None:
        spec = self.tables.module.structs[a]
        functions = picker(self.out.pop_many(int(spec.has_defaults)))
        self.out.emit_result(Op.BUILD_STRUCT, (spec, self.tables.types), functions)

    def _build_enum(self, a: int, b: int) -> None:
        spec = self.tables.module.enums[a]
        functions = picker(self.out.pop_many(spec.function_count))
        self.out.emit_result(Op.BUILD_ENUM, (spec, self.tables.types), functions)


def _packed(registers: list[int]) -> Any:
    """The operand of the calls with 0, 1, 2 and more arguments."""
    if len(registers) == 1:
        return registers[0]
    return tuple(registers) if len(registers) == 2 else picker(registers)


def _meeting_points(function: Function) -> set[int]:
    """The instructions that are reached otherwise than from the one before."""
    points: set[int] = set()
    for at, (opcode, a, _) in enumerate(function.instructions):
        if SHAPES[opcode].a is Operand.TARGET:
            points.add(a)
        elif opcode is Opcode.JUMP_FORWARD:
            points.add(at + 1 + a)
    for handler in function.handlers:
        # What lies below a handler's depth must be in place before an error strikes.
        points |= {handler.start, handler.target}
    return points


_HANDLERS: Final[dict[Opcode, Callable[[Translator, int, int], None]]] = {
    Opcode.COMPARE_OP: Translator._compare,
    Opcode.CHECK_BOOL: Translator._check_bool,
    Opcode.CHECK_TYPE: Translator._check_type,
    Opcode.LOAD_CONST: Translator._load_const,
    Opcode.LOAD_NAME: Translator._load_name,
    Opcode.STORE_NAME: Translator._store_name,
    Opcode.LOAD_FAST: Translator._load_fast,
    Opcode.STORE_FAST: Translator._store_fast,
    Opcode.LOAD_CELL: Translator._load_cell,
    Opcode.STORE_CELL: Translator._store_cell,
    Opcode.MAKE_CELL: Translator._make_cell,
    Opcode.EMPTY_CELL: Translator._empty_cell,
    Opcode.COPY_CELL: Translator._copy_cell,
    Opcode.LOAD_BUILTIN: Translator._load_builtin,
    Opcode.IMPORT_MODULE: Translator._import_module,
    Opcode.LOAD_EXPORT: Translator._load_export,
    Opcode.EXPORT_ALL: Translator._export_all,
    Opcode.POP_TOP: Translator._pop_top,
    Opcode.DUP_TOP: Translator._dup_top,
    Opcode.DUP_TOP_TWO: Translator._dup_top_two,
    Opcode.JUMP_ABSOLUTE: Translator._jump,
    Opcode.JUMP_FORWARD: Translator._jump_forward,
    Opcode.JUMP_IF_GIVEN: Translator._jump_if_given,
    Opcode.FOR_ITER: Translator._for_iter,
    Opcode.RETURN_VALUE: Translator._return_value,
    Opcode.END_INITIALIZER: Translator._end_initializer,
    Opcode.THROW: Translator._throw,
    Opcode.MATCH_FAIL: Translator._match_fail,
    Opcode.CALL_FUNCTION: Translator._call_function,
    Opcode.CALL_NAMED: Translator._call_named,
    Opcode.CALL_SPREAD: Translator._call_spread,
    Opcode.LOAD_SUPER: Translator._load_super,
    Opcode.LOAD_ATTR: Translator._load_attr,
    Opcode.STORE_ATTR: Translator._store_attr,
    Opcode.STORE_INDEX: Translator._store_index,
    Opcode.LOAD_SLICE: Translator._load_slice,
    Opcode.LIST_APPEND: Translator._list_append,
    Opcode.LIST_EXTEND: Translator._list_extend,
    Opcode.GET_ITER: Translator._get_iter,
    Opcode.GET_PAIRS: Translator._get_pairs,
    Opcode.GET_RANGE: Translator._get_range,
    Opcode.UNPACK_LIST: Translator._unpack_list,
    Opcode.UNPACK_OBJECT: Translator._unpack_object,
    Opcode.MATCH_CONSTRUCTOR: Translator._match_constructor,
    Opcode.MATCH_LIST: Translator._match_list,
    Opcode.MATCH_OBJECT: Translator._match_object,
    Opcode.MAKE_FUNCTION: Translator._make_function,
    Opcode.BUILD_CLASS: Translator._build_class,
    Opcode.BUILD_STRUCT: Translator._build_struct,
    Opcode.BUILD_ENUM: Translator._build_enum,
    Opcode.RETHROW: Translator._throw,
    Opcode.POP_JUMP_IF_TRUE: lambda self, a, b: self._pop_jump(Op.WHEN, a, b),
    Opcode.POP_JUMP_IF_FALSE: lambda self, a, b: self._pop_jump(Op.UNLESS, a, b),
    Opcode.POP_JUMP_IF_NULL: lambda self, a, b: self._pop_jump(Op.WHEN_NULL, a, b),
    Opcode.JUMP_IF_TRUE_OR_POP: lambda self, a, b: self._jump_or_pop(Op.WHEN, USE_OR, a),
    Opcode.JUMP_IF_FALSE_OR_POP: lambda self, a, b: self._jump_or_pop(Op.UNLESS, USE_AND, a),
    Opcode.CALL_METHOD: lambda self, a, b: self._method(a, b, False),
    Opcode.CALL_INNER_METHOD: lambda self, a, b: self._method(a, b, True),
}
