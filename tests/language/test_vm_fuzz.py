"""Whatever passes verification runs without a Python error."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hookspecs.bytecode import (
    NO_FALL_THROUGH,
    SHAPES,
    ClassSpec,
    EnumSpec,
    Export,
    Function,
    Handler,
    Instruction,
    Module,
    Opcode,
    Operand,
    Parameter,
    ParameterKind,
    Slot,
    SlotKind,
    StructSpec,
    TypeCheck,
    Variant,
    encode,
    stack_effect,
)
from hookspecs.contracts.vm import Exit, Program, ProgramModule

o = Opcode
NAMES = (
    "print Some None Success Error ValueError len map filter reduce sorted range str int float "
    "min max sum div round sqrt keys values zip enumerate assert typeOf push pop join split upper "
    "contains replace chars ord chr Set reversed floor ceil abs bool lower trim "
    "length append remove get set add union slice message x V W"
).split()
BUILTINS = NAMES.index("length")
CONSTANTS = [None, True, False, 0, 1, -3, 2**63 - 1, 1.5, float("nan"), "", "text", "x"]
PLAIN_SLOTS = 6
SLOTS = [
    *(Slot(f"s{number}") for number in range(PLAIN_SLOTS)),
    Slot("cell", SlotKind.CELL),
    Slot("iterator", SlotKind.ITERATOR),
    Slot("", SlotKind.ITERATOR_STATE),
]
CELL, ITERATOR = PLAIN_SLOTS, PLAIN_SLOTS + 1


class Writer:
    """Writes a body that executes many instructions, each on values made before.

    An error in one goes on with the next one. Results are kept in variables.
    """

    def __init__(self, seed: int, module: Module) -> None:
        self.source = random.Random(seed)
        self.module = module
        self.code: list[Instruction] = []
        self.handlers: list[Handler] = []

    def write(self, count: int) -> None:
        self.code += [Instruction(o.EMPTY_CELL, CELL), Instruction(o.BUILD_LIST)]
        self.code.append(Instruction(o.GET_ITER, ITERATOR))
        usable = [
            opcode
            for opcode in Opcode
            if opcode not in NO_FALL_THROUGH - {o.THROW, o.RETHROW, o.MATCH_FAIL}
            and opcode not in (o.IMPORT_MODULE, o.JUMP_IF_GIVEN, o.CHECK_BOOL)
        ]
        for _ in range(count):
            self.instruction(self.source.choice(usable))
        self.code += [Instruction(o.LOAD_CONST), Instruction(o.RETURN_VALUE)]

    def instruction(self, opcode: Opcode) -> None:
        start = len(self.code)
        shape = SHAPES[opcode]
        a, b = (self.operand(opcode, kind) for kind in (shape.a, shape.b))
        if opcode is o.CALL_NAMED:
            a = max(a, len(self.module.name_lists[b]))
        if opcode is o.GET_RANGE:
            b = self.source.randint(1, 3)
        if opcode is o.LOAD_BUILTIN:
            a = self.source.randrange(BUILTINS)
        made = Instruction(opcode, a, b)
        pops, pushes = stack_effect(made, self.module)
        for _ in range(pops):
            self.code.append(self.value())
        if shape.a is Operand.TARGET:
            # To the next instruction, with or without what it leaves on the stack.
            target = len(self.code) + 1
            if opcode is o.FOR_ITER or opcode.name.endswith("OR_POP"):
                # Straight on and by the jump, the stack differs by one value.
                level = o.POP_TOP if opcode is o.FOR_ITER else o.LOAD_CONST
                self.code += [made._replace(a=target + 1), Instruction(level)]
                pushes = 0 if opcode is o.FOR_ITER else 1
            else:
                self.code.append(made._replace(a=target))
        else:
            self.code.append(made)
        end = len(self.code)
        for _ in range(pushes):
            self.code.append(Instruction(o.STORE_FAST, self.source.randrange(PLAIN_SLOTS)))
        self.code.append(Instruction(o.JUMP_FORWARD, 1))
        if opcode in NO_FALL_THROUGH:
            self.code.pop()
        self.handlers.append(Handler(start, end, len(self.code), 0))
        self.code.append(Instruction(o.STORE_FAST, self.source.randrange(PLAIN_SLOTS)))

    def value(self) -> Instruction:
        kind = self.source.random()
        if kind < 0.6:
            return Instruction(o.LOAD_FAST, self.source.randrange(PLAIN_SLOTS))
        if kind < 0.8:
            return Instruction(o.LOAD_CONST, self.source.randrange(len(CONSTANTS)))
        if kind < 0.95:
            return Instruction(o.LOAD_BUILTIN, self.source.randrange(BUILTINS))
        return Instruction(o.MAKE_FUNCTION, 1)

    def operand(self, opcode: Opcode, kind: Operand) -> int:
        limits = {
            Operand.FLAG: 2,
            Operand.COUNT: 4,
            Operand.CONSTANT: len(CONSTANTS),
            Operand.NAME: len(NAMES),
            Operand.NAME_LIST: len(self.module.name_lists),
            Operand.SLOT: PLAIN_SLOTS,
            Operand.TYPE: len(self.module.types),
            Operand.COMPARISON: 6,
            Operand.USE: 3,
        }
        fixed = {Operand.CELL: CELL, Operand.ITERATOR: ITERATOR, Operand.FUNCTION: 1}
        return fixed.get(kind, self.source.randrange(limits.get(kind, 1)))


def random_module(seed: int, count: int, stack_size: Any) -> Module:
    optional = Parameter("y", 0, ParameterKind.OPTIONAL)
    callback = Function(
        "f",
        False,
        [Parameter("x"), Parameter("y", -1, ParameterKind.OPTIONAL)],
        [],
        [Slot("x"), Slot("y")],
        1,
        [Instruction(o.LOAD_FAST, 0), Instruction(o.RETURN_VALUE)],
        [],
        [],
    )
    module = Module(
        "m",
        NAMES,
        list(CONSTANTS),
        [[], ["x"], ["y"], ["x", "y"]],
        [TypeCheck("int", ["int"]), TypeCheck("List", ["List"])],
        [],
        [ClassSpec("C", ["x"], [], [], [], False, False)],
        [StructSpec("S", [Parameter("x"), optional])],
        [EnumSpec("E", [Variant("V", True, [Parameter("x")]), Variant("W", False, [])])],
        [Export("x", "x")],
    )
    writer = Writer(seed, module)
    writer.write(count)
    body = Function("<module>", False, [], [], SLOTS, 0, writer.code, writer.handlers, [])
    module.functions += [body, callback]
    body.stack_size = stack_size(module, body)
    return module


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 150))
def test_random_instructions_on_random_values(seed: int, count: int, nbc: Any) -> None:
    module = random_module(seed, count, nbc.stack_size)
    program = Program([ProgramModule("m", encode(module), {})])
    last = None
    for number, event in enumerate(nbc.chain.vm.run(program)):
        last = event
        # A callback may be given a loop; that it goes on is all that matters.
        if number > 50:
            return
    assert isinstance(last, Exit)
    assert (last.status, last.error) == (0, None)
