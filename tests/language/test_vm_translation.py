"""Register code does what the stack code says, whatever the stack code is."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hookspecs.bytecode import (
    Comparison,
    Function,
    Instruction,
    Module,
    Opcode,
    Slot,
    SlotKind,
    encode,
    stack_effect,
)
from hookspecs.contracts.vm import Exit, Output, Program, ProgramModule

_CONSTANTS = [1, 2, 0, 2.5, "text", True, False, None]
_SLOTS = 4


def random_function(seed: int, length: int) -> Module:
    """A function of arithmetic, stack moves, variables and jumps forward.

    It ends by returning the list of its variables; the body prints that. Its
    stack size is left to be filled in.
    """
    source = random.Random(seed)
    o = Opcode
    code: list[Instruction] = []
    depth = 0
    #: Instruction to patch and the depth at its target.
    open_jumps: list[tuple[int, int]] = []
    for _ in range(length):
        for jump in list(open_jumps):
            if jump[1] == depth and source.random() < 0.5:
                open_jumps.remove(jump)
                code[jump[0]] = code[jump[0]]._replace(a=len(code))
        choices = [o.LOAD_CONST, o.LOAD_FAST, o.LOAD_FAST]
        if depth >= 1:
            choices += [o.STORE_FAST, o.STORE_FAST, o.POP_TOP, o.DUP_TOP, o.BUILD_LIST]
            choices += [o.POP_JUMP_IF_NULL, o.BUILD_STRING]
        if depth >= 2:
            choices += [o.BINARY_ADD, o.BINARY_ADD, o.COMPARE_OP, o.DUP_TOP_TWO, o.BINARY_ADD]
        opcode = source.choice(choices)
        if opcode is o.COMPARE_OP:
            code.append(Instruction(opcode, source.choice([Comparison.EQ, Comparison.NE])))
            depth -= 1
            if source.random() < 0.7:
                jump = source.choice([o.POP_JUMP_IF_TRUE, o.POP_JUMP_IF_FALSE])
                code.append(Instruction(jump))
                depth -= 1
                open_jumps.append((len(code) - 1, depth))
            continue
        if opcode is o.POP_JUMP_IF_NULL:
            code.append(Instruction(opcode))
            depth -= 1
            open_jumps.append((len(code) - 1, depth))
            continue
        operand = 0
        if opcode is o.LOAD_CONST:
            operand = source.randrange(len(_CONSTANTS))
        elif opcode in (o.LOAD_FAST, o.STORE_FAST):
            operand = source.randrange(_SLOTS)
        elif opcode in (o.BUILD_LIST, o.BUILD_STRING):
            operand = source.randint(1, min(3, depth))
        instruction = Instruction(opcode, operand)
        pops, pushes = stack_effect(instruction, Module("", [], [], [], [], [], [], [], [], []))
        code.append(instruction)
        depth += pushes - pops
    # Every jump that is still open gets a way to the end of its own depth.
    for depth_left in range(depth, -1, -1):
        for jump in list(open_jumps):
            if jump[1] == depth_left:
                open_jumps.remove(jump)
                code[jump[0]] = code[jump[0]]._replace(a=len(code))
        if depth_left:
            code.append(Instruction(o.POP_TOP))
    for jump in open_jumps:
        # Deeper than anything that follows: as good as the next instruction.
        code[jump[0]] = Instruction(o.POP_TOP)
    code += [Instruction(o.LOAD_FAST, slot) for slot in range(_SLOTS)]
    code += [Instruction(o.BUILD_LIST, _SLOTS), Instruction(o.RETURN_VALUE)]
    body = [
        Instruction(o.LOAD_BUILTIN, 0),
        Instruction(o.MAKE_FUNCTION, 1),
        Instruction(o.CALL_FUNCTION, 0),
        Instruction(o.CALL_FUNCTION, 1),
        Instruction(o.RETURN_VALUE),
    ]
    slots = [Slot(f"s{number}", SlotKind.PLAIN) for number in range(_SLOTS)]
    functions = [
        Function("<module>", False, [], [], [], 2, body, [], []),
        Function("f", False, [], [], slots, 0, code, [], []),
    ]
    return Module("m", ["print"], list(_CONSTANTS), [], [], functions, [], [], [], [])


class Failed(Exception):
    pass


def interpret(module: Module, to_text: Any, equal: Any) -> Any:
    """The meaning of the function, read off the opcode table instruction by instruction."""
    code = module.functions[1].instructions
    slots: list[Any] = [None] * _SLOTS
    stack: list[Any] = []
    at = 0
    while True:
        opcode, a, _ = code[at]
        at += 1
        match opcode:
            case Opcode.LOAD_CONST:
                stack.append(_CONSTANTS[a])
            case Opcode.LOAD_FAST:
                stack.append(slots[a])
            case Opcode.STORE_FAST:
                slots[a] = stack.pop()
            case Opcode.POP_TOP:
                stack.pop()
            case Opcode.DUP_TOP:
                stack.append(stack[-1])
            case Opcode.DUP_TOP_TWO:
                stack += stack[-2:]
            case Opcode.BINARY_ADD:
                y, x = stack.pop(), stack.pop()
                stack.append(plus(x, y, to_text))
            case Opcode.COMPARE_OP:
                y, x = stack.pop(), stack.pop()
                stack.append(equal(x, y) is (a == Comparison.EQ))
            case Opcode.POP_JUMP_IF_TRUE:
                at = a if stack.pop() else at
            case Opcode.POP_JUMP_IF_FALSE:
                at = at if stack.pop() else a
            case Opcode.POP_JUMP_IF_NULL:
                at = a if stack.pop() is None else at
            case Opcode.BUILD_LIST | Opcode.BUILD_STRING:
                items = stack[-a:]
                del stack[-a:]
                is_list = opcode is Opcode.BUILD_LIST
                stack.append(items if is_list else "".join(map(to_text, items)))
            case Opcode.RETURN_VALUE:
                return stack.pop()
            case _:
                raise AssertionError(opcode)


def plus(x: Any, y: Any, to_text: Any) -> Any:
    if isinstance(x, str) or isinstance(y, str):
        return to_text(x) + to_text(y)
    numbers = (int, float)
    if type(x) in numbers and type(y) in numbers:
        return x + y
    if isinstance(x, list) and isinstance(y, list):
        return x + y
    raise Failed


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 40))
def test_random_code_means_the_same_in_registers(seed: int, length: int, nbc: Any) -> None:
    nbc.chain.vm  # noqa: B018  # makes the plugin importable
    from noodle_vm.equality import equal
    from noodle_vm.text import to_text

    module = random_function(seed, length)
    module.functions[1].stack_size = nbc.stack_size(module, module.functions[1])
    events = list(nbc.chain.vm.run(Program([ProgramModule("m", encode(module), {})])))
    last = events[-1]
    assert isinstance(last, Exit)
    try:
        expected = to_text(interpret(module, to_text, equal)) + "\n"
    except Failed:
        assert last.status == 1
        assert "TypeError: + needs" in (last.error or "")
    else:
        assert last == Exit(0, instructions=last.instructions)
        assert "".join(e.text for e in events if isinstance(e, Output)) == expected
