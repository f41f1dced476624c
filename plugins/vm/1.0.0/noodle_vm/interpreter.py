"""The loop that executes operations.

One function, because a call of a Python function costs more than most
operations; variables and small numbers, because nothing is faster in CPython.
The iterator over the code is the instruction pointer: ``for`` fetches and counts
in one step, and its state can be set for a jump.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

from hookspecs import SafePoint
from hookspecs.bytecode import INT_MAX, INT_MIN
from hookspecs.contracts.vm import Exit, RunEvent

from . import arithmetic
from .calls import Entry, begin, too_deep, wrong_argument
from .equality import equal
from .handlers import HANDLERS
from .indexing import get_index, set_index
from .machine import Machine
from .members import get_member, set_member
from .methods import METHODS
from .operations import (
    FIRST_HANDLED,
    LAST_ARITHMETIC,
    LAST_COMPARISON,
    LAST_DATA,
    LAST_JUMP,
    Op,
)
from .thrown import Thrown, fail, type_error, value_error
from .type_names import fits, type_name
from .values import UNSET, BuiltinFunction, FunctionValue, Instance


def run(machine: Machine) -> Iterator[RunEvent | SafePoint]:
    """Run a program to its end, from wherever it stands; the last event is Exit."""
    while True:
        failed = yield from execute(machine)
        if failed is not None:
            yield from machine.flush()
            yield failed
            return
        if not machine.next_module():
            break
    yield from machine.flush()
    yield Exit(0, instructions=machine.count)


#: For operands that the loop does not know: the function that compares any two
#: values, and the result with which the operation jumps.
_COMPARISONS: Final = {
    Op.WHEN_EQUAL: (equal, True),
    Op.WHEN_NOT_EQUAL: (equal, False),
    Op.WHEN_LESS: (arithmetic.less, True),
    Op.UNLESS_LESS: (arithmetic.less, False),
    Op.WHEN_LESS_EQUAL: (arithmetic.less_equal, True),
    Op.UNLESS_LESS_EQUAL: (arithmetic.less_equal, False),
    Op.WHEN_GREATER: (arithmetic.greater, True),
    Op.UNLESS_GREATER: (arithmetic.greater, False),
    Op.WHEN_GREATER_EQUAL: (arithmetic.greater_equal, True),
    Op.UNLESS_GREATER_EQUAL: (arithmetic.greater_equal, False),
}


def execute(machine: Machine) -> Generator[RunEvent | SafePoint, None, Exit | None]:
    """Execute operations until the body of the current module has ended.

    Returns:
        None, or how the program ended if an error was not caught.
    """
    # Plain ints in local variables: what CPython compares fastest.
    last_arithmetic, last_comparison, last_data, last_jump, first_handled = map(
        int, (LAST_ARITHMETIC, LAST_COMPARISON, LAST_DATA, LAST_JUMP, FIRST_HANDLED)
    )
    add_int, add, multiply, subtract, subtract_int, divide = map(
        int, (Op.ADD_INT, Op.ADD, Op.MULTIPLY, Op.SUBTRACT, Op.SUBTRACT_INT, Op.DIVIDE)
    )
    when_less, unless_less, when_equal, when_not_equal = map(
        int, (Op.WHEN_LESS, Op.UNLESS_LESS, Op.WHEN_EQUAL, Op.WHEN_NOT_EQUAL)
    )
    when_less_equal, unless_less_equal = int(Op.WHEN_LESS_EQUAL), int(Op.UNLESS_LESS_EQUAL)
    when_greater, unless_greater = int(Op.WHEN_GREATER), int(Op.UNLESS_GREATER)
    when_greater_equal = int(Op.WHEN_GREATER_EQUAL)
    move, get_index_, load_global, get_field, get_public_field = map(
        int, (Op.MOVE, Op.GET_INDEX, Op.LOAD_GLOBAL, Op.GET_FIELD, Op.GET_PUBLIC_FIELD)
    )
    load_cell, set_index_, set_field, set_public_field, store_global, store_cell = map(
        int,
        (
            Op.LOAD_CELL,
            Op.SET_INDEX,
            Op.SET_FIELD,
            Op.SET_PUBLIC_FIELD,
            Op.STORE_GLOBAL,
            Op.STORE_CELL,
        ),
    )
    list_append = int(Op.LIST_APPEND)
    unless, when, jump, for_again, for_, when_given = map(
        int, (Op.UNLESS, Op.WHEN, Op.JUMP, Op.FOR_AGAIN, Op.FOR, Op.WHEN_GIVEN)
    )
    builtin_1, builtin_2, builtin_more, return_, call_1, call_2, call_more = map(
        int,
        (
            Op.BUILTIN_1,
            Op.BUILTIN_2,
            Op.BUILTIN_MORE,
            Op.RETURN,
            Op.CALL_1,
            Op.CALL_2,
            Op.CALL_MORE,
        ),
    )
    append, method_0, method_1, method_more = map(
        int, (Op.APPEND, Op.METHOD_0, Op.METHOD_1, Op.METHOD_MORE)
    )
    call_named, call_spread, return_hidden = map(
        int, (Op.CALL_NAMED, Op.CALL_SPREAD, Op.RETURN_HIDDEN)
    )
    low, high = INT_MIN, INT_MAX
    frames = machine.frames
    function, regs = machine.function, machine.registers
    it: Any = machine.operations
    count = machine.count
    f: Any
    while True:
        try:
            while True:
                if count > machine.limit:
                    machine.function, machine.operations = function, it
                    machine.registers, machine.count = regs, count
                    yield from machine.pause()
                for op, a, b, c in it:
                    if op <= last_arithmetic:
                        x = regs[a]
                        if op == add_int:
                            if type(x) is int:
                                r = x + b
                                if low <= r <= high:
                                    regs[c] = r
                                    continue
                            regs[c] = arithmetic.add(x, b)
                            continue
                        if op == subtract_int:
                            if type(x) is int:
                                r = x - b
                                if low <= r <= high:
                                    regs[c] = r
                                    continue
                            regs[c] = arithmetic.subtract(x, b)
                            continue
                        y = regs[b]
                        t = type(x)
                        same = t is type(y)
                        if op == add:
                            if same and t is int:
                                r = x + y
                                if low <= r <= high:
                                    regs[c] = r
                                    continue
                            elif same and t is float:
                                regs[c] = x + y
                                continue
                            regs[c] = arithmetic.add(x, y)
                        elif op == multiply:
                            if same and t is int:
                                r = x * y
                                if low <= r <= high:
                                    regs[c] = r
                                    continue
                            elif same and t is float:
                                regs[c] = x * y
                                continue
                            regs[c] = arithmetic.multiply(x, y)
                        elif op == subtract:
                            if same and t is int:
                                r = x - y
                                if low <= r <= high:
                                    regs[c] = r
                                    continue
                            elif same and t is float:
                                regs[c] = x - y
                                continue
                            regs[c] = arithmetic.subtract(x, y)
                        elif op == divide:
                            if same and (t is int or t is float) and y:
                                regs[c] = x / y
                            else:
                                regs[c] = arithmetic.divide(x, y)
                        elif same and t is int and y:
                            regs[c] = x % y
                        else:
                            regs[c] = arithmetic.modulo(x, y)
                    elif op <= last_comparison:
                        x = regs[a]
                        y = regs[b]
                        t = type(x)
                        if t is type(y) and (t is int or t is float or t is str):
                            if op == when_less:
                                test = x < y
                            elif op == unless_less:
                                test = not x < y
                            elif op == when_equal:
                                test = x == y
                            elif op == when_not_equal:
                                test = x != y
                            elif op == when_less_equal:
                                test = x <= y
                            elif op == unless_less_equal:
                                test = not x <= y
                            elif op == when_greater:
                                test = x > y
                            elif op == unless_greater:
                                test = not x > y
                            elif op == when_greater_equal:
                                test = x >= y
                            else:
                                test = not x >= y
                        elif y is None and op <= when_not_equal and op >= when_equal:
                            test = (x is None) is (op == when_equal)
                        else:
                            compare, expected = _COMPARISONS[op]
                            test = compare(x, y) is expected
                        if test:
                            target, gone = c
                            it.__setstate__(target)
                            count += gone
                            if count > machine.limit:
                                break
                    elif op <= last_data:
                        if op == get_index_:
                            x = regs[a]
                            y = regs[b]
                            t = type(y)
                            if t is int or t is str:
                                try:
                                    if type(x) is list or type(x) is dict:
                                        regs[c] = x[y]
                                        continue
                                except (IndexError, KeyError, TypeError):
                                    pass
                            regs[c] = get_index(x, y)
                        elif op == load_global:
                            x = a.value
                            if x is UNSET:
                                raise value_error(f'"{b}" has no value yet')
                            regs[c] = x
                        elif op == get_field:
                            x = regs[a]
                            if type(x) is Instance:
                                try:
                                    regs[c] = x.fields[b]
                                    continue
                                except KeyError:
                                    pass
                            regs[c] = get_member(x, b, True)
                        elif op == get_public_field:
                            x = regs[a]
                            if type(x) is Instance and b not in x.type.private:
                                try:
                                    regs[c] = x.fields[b]
                                    continue
                                except KeyError:
                                    pass
                            regs[c] = get_member(x, b, False)
                        elif op == load_cell:
                            x = regs[a].value
                            if x is UNSET:
                                raise value_error(f'"{b}" has no value yet')
                            regs[c] = x
                        elif op == move:
                            regs[c] = regs[a]
                        elif op == set_index_:
                            x = regs[a]
                            y = regs[b]
                            t = type(y)
                            if type(x) is list:
                                if t is int and 0 <= y < len(x):
                                    x[y] = regs[c]
                                    continue
                            elif type(x) is dict and (t is str or t is int):
                                x[y] = regs[c]
                                continue
                            set_index(x, y, regs[c])
                        elif op == set_field:
                            x = regs[a]
                            if type(x) is Instance and b in x.fields:
                                x.fields[b] = regs[c]
                            else:
                                set_member(x, b, regs[c], True)
                        elif op == store_global:
                            a.value = regs[b]
                        elif op == store_cell:
                            regs[a].value = regs[b]
                        elif op == list_append:
                            x = regs[a]
                            if type(x) is not list:
                                raise type_error(f"a list needed, not {type_name(x)}")
                            x.append(regs[b])
                        elif op == set_public_field:
                            x = regs[a]
                            if type(x) is Instance and b in x.fields and b not in x.type.private:
                                x.fields[b] = regs[c]
                            else:
                                set_member(x, b, regs[c], False)
                        else:
                            x = regs[a]
                            if type(x) is not b.exact and not fits(x, b):
                                raise type_error(f"{c}() must return {b.text}, not {type_name(x)}")
                    elif op <= last_jump:
                        if op <= when:
                            x = regs[a]
                            if x is not True and x is not False:
                                raise arithmetic.not_bool(x, b)
                            if x is (op == unless):
                                continue
                            target, gone = c
                        elif op == for_again:
                            for x in regs[a]:
                                regs[c] = x
                                target, gone = b[1]
                                break
                            else:
                                target, gone = b[0]
                        elif op == jump:
                            target = a
                            gone = b
                        elif op == for_:
                            for x in regs[a]:
                                regs[c] = x
                                break
                            else:
                                target, gone = b
                                it.__setstate__(target)
                                count += gone
                            continue
                        elif (regs[a] is UNSET) if op == when_given else (regs[a] is not None):
                            continue
                        else:
                            target, gone = c
                        it.__setstate__(target)
                        count += gone
                        if count > machine.limit:
                            break
                    elif op < first_handled:
                        if op == return_:
                            x = regs[a]
                            count += b
                            function, it, regs, c = frames.pop()
                            regs[c] = x
                            break
                        if op <= builtin_more:
                            if op == builtin_1:
                                regs[c] = a(machine, regs[b])
                            elif op == builtin_2:
                                regs[c] = a(machine, regs[b[0]], regs[b[1]])
                            else:
                                regs[c] = a(machine, *(b(regs) if b else ()))
                            if count > machine.limit:
                                break
                            continue
                        names = None
                        if op <= call_more:
                            f = regs[a]
                            if op == call_1:
                                arguments = [regs[b]]
                            elif op == call_2:
                                arguments = [regs[b[0]], regs[b[1]]]
                            else:
                                arguments = list(b(regs)) if b else []
                        elif op <= method_more:
                            x = regs[a]
                            name, y, inner = b
                            t = type(x)
                            if t is Instance:
                                t = x.type
                                f = (t.inner_methods if inner else t.public_methods).get(name)
                            elif t is list and op == append:
                                x.append(regs[y])
                                regs[c] = None
                                continue
                            else:
                                f = METHODS[t].get(name) if t in METHODS else None
                            if op == method_0:
                                arguments = [x]
                            elif op <= method_1:
                                arguments = [x, regs[y]]
                            else:
                                arguments = [x, *y(regs)]
                            if type(f) is BuiltinFunction:
                                if f.takes(len(arguments)):
                                    regs[c] = f.call(machine, *arguments)
                                    continue
                                f = None
                            if f is None or f.arity != len(arguments):
                                # Also whatever is wrong with this call.
                                f = get_member(x, name, inner)
                                del arguments[0]
                        elif op == call_named:
                            f = regs[a]
                            arguments = list(b[0](regs)) if b[0] else []
                            names = b[1]
                        elif op == call_spread:
                            f = regs[a]
                            x = regs[b]
                            if type(x) is not list:
                                raise type_error(f"a list needed, not {type_name(x)}")
                            arguments = x[:]
                        elif op == return_hidden:
                            x = regs[a]
                            count += b
                            machine.max_frames -= 1
                            function, it, regs, c = frames.pop()
                            regs[c] = x
                            break
                        else:
                            machine.count = count
                            return None
                        if type(f) is FunctionValue and f.arity == len(arguments) and not names:
                            if len(frames) >= machine.max_frames:
                                raise too_deep()
                            called = f.function
                            for y, wanted in called.checks:
                                x = arguments[y]
                                if type(x) is not wanted.exact and not fits(x, wanted):
                                    parameter = called.parameters[y]
                                    raise wrong_argument(called.called_name, parameter, x)
                            frames.append((function, it, regs, c))
                            function = called
                            it = iter(called.code)
                            regs = arguments + f.tail
                            break
                        entry = begin(machine, f, arguments, names)
                        if type(entry) is Entry:
                            frames.append((function, it, regs, c))
                            frames += entry.beneath
                            function = entry.function
                            it = iter(function.code)
                            regs = entry.registers
                            break
                        regs[c] = entry
                        if count > machine.limit:
                            break
                    else:
                        HANDLERS[op - first_handled](machine, regs, a, b, c)
        except Thrown as thrown:
            error = thrown.error
        except MemoryError:
            error = fail("Error", "out of memory").error
        machine.function, machine.operations = function, it
        machine.registers, machine.count = regs, count
        if not machine.unwind(error):
            return machine.failure(error)
        function, it, regs = machine.function, machine.operations, machine.registers
        count = machine.count
