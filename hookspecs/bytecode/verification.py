"""Proof that a module can be run: nothing it refers to is missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from .module import Function, Handler, Instruction, Module, Parameter, ParameterKind, SlotKind
from .opcodes import NO_FALL_THROUGH, SHAPES, Comparison, Opcode, Operand, Use


def stack_effect(instruction: Instruction, module: Module) -> tuple[int, int]:
    """How many values an instruction of a verified module pops, then pushes.

    For the jumps that pop or push on one way only, this is the way straight on.
    """
    opcode, a, b = instruction
    shape = SHAPES[opcode]
    pops, pushes = shape.pops, shape.pushes
    if pops < 0:
        match opcode:
            case Opcode.CALL_FUNCTION | Opcode.CALL_NAMED:
                pops = a + 1
            case Opcode.CALL_METHOD | Opcode.CALL_INNER_METHOD:
                pops = b + 1
            case Opcode.BUILD_DICT:
                pops = 2 * a
            case Opcode.GET_RANGE:
                pops = b
            case Opcode.BUILD_CLASS:
                pops = module.classes[a].function_count + b
            case Opcode.BUILD_STRUCT:
                pops = int(module.structs[a].has_defaults)
            case Opcode.BUILD_ENUM:
                pops = module.enums[a].function_count
            case _:
                pops = a
    if pushes < 0:
        count = a if opcode is Opcode.UNPACK_LIST else len(module.name_lists[a])
        pushes = count + b
    return pops, pushes


def verify(module: Module) -> list[dict[int, int]]:
    """Check that running the module cannot leave its tables, slots or stack.

    Checked are: operands against what they index; that every way through a
    function reaches each instruction with the same stack depth, never pops
    from an empty stack and ends with an instruction that leaves the function;
    that cells and iterators are made before they are used; handlers, source
    maps, parameters and captures.

    Returns the stack depth before each instruction that can be reached, for
    each function.

    Raises:
        ValueError: says the function, the instruction and what was expected.
    """
    if not module.functions:
        raise ValueError(f"NBC of {module.file!r}: no function, expected the module's body first")
    body = module.functions[0]
    if body.parameters or body.captures or body.is_initializer:
        raise ValueError(
            f"NBC of {module.file!r}: function 0, the module's body, has parameters or captures, "
            f"or is an initializer"
        )
    for names in module.name_lists:
        if len(set(names)) != len(names):
            raise ValueError(f"NBC of {module.file!r}: a name list names one thing twice: {names}")
    for spec in module.structs:
        _check_parameters(module, spec.fields, f"NBC of {module.file!r}: struct {spec.name!r}")
    for enum in module.enums:
        for variant in enum.variants:
            where = f"NBC of {module.file!r}: variant {variant.name!r} of enum {enum.name!r}"
            _check_parameters(module, variant.fields, where)
            if (variant.fields or variant.has_defaults) and not variant.has_payload:
                raise ValueError(f"{where} has fields and no payload")
    depths: list[dict[int, int]] = []
    for index, function in enumerate(module.functions):
        verifier = _FunctionVerifier(module, function)
        try:
            verifier.run()
        except ValueError as error:
            raise ValueError(
                f"NBC of {module.file!r}: function {index} {function.name!r}: {error}"
            ) from None
        depths.append({at: depth for at, (depth, _) in verifier.states.items()})
    return depths


def _check_parameters(module: Module, parameters: list[Parameter], where: str) -> None:
    names = [parameter.name for parameter in parameters]
    if len(set(names)) != len(names):
        raise ValueError(f"{where}: two parameters have one name: {names}")
    for position, parameter in enumerate(parameters):
        if not -1 <= parameter.type < len(module.types):
            raise ValueError(
                f"{where}: parameter {parameter.name!r} has type {parameter.type}, "
                f"expected -1 or less than {len(module.types)}"
            )
        if parameter.kind is ParameterKind.VARIADIC and position + 1 < len(parameters):
            raise ValueError(f"{where}: variadic parameter {parameter.name!r} is not the last")


#: These jump without popping or pushing what they do straight on.
_JUMP_KEEPS_DEPTH: Final = frozenset(
    {Opcode.JUMP_IF_FALSE_OR_POP, Opcode.JUMP_IF_TRUE_OR_POP, Opcode.FOR_ITER}
)


class _FunctionVerifier:
    """Follows every way through one function.

    A state is the stack depth before an instruction and the set of cell and
    iterator slots that are certainly made, as a bit mask. Depths must agree
    where ways meet; masks are intersected until nothing changes.
    """

    def __init__(self, module: Module, function: Function) -> None:
        self.module = module
        self.function = function
        self.states: dict[int, tuple[int, int]] = {}
        self.pending: list[int] = []
        #: instruction -> the handlers that cover it
        self.handlers: dict[int, list[Handler]] = {}

    def run(self) -> None:
        self._check_frame()
        self._check_tables()
        for at, instruction in enumerate(self.function.instructions):
            try:
                self._check_operands(at, instruction)
            except ValueError as error:
                raise ValueError(f"instruction {at} {instruction.opcode.name}: {error}") from None
        self._follow()

    def _check_frame(self) -> None:
        function = self.function
        _check_parameters(self.module, function.parameters, "signature")
        parameters, captures = len(function.parameters), len(function.captures)
        kinds = [slot.kind for slot in function.slots]
        expected = [SlotKind.PLAIN] * parameters + [SlotKind.CELL] * captures
        if kinds[: parameters + captures] != expected:
            raise ValueError(
                f"its {len(kinds)} slots do not begin with {parameters} plain ones for the "
                f"parameters and {captures} cells for the captures"
            )
        for at, kind in enumerate([*kinds, SlotKind.PLAIN]):
            after_iterator = at > 0 and kinds[at - 1] is SlotKind.ITERATOR
            if (kind is SlotKind.ITERATOR_STATE) != after_iterator:
                raise ValueError(f"slot {at}: an iterator takes two slots, one after the other")

    def _check_tables(self) -> None:
        count = len(self.function.instructions)
        for handler in self.function.handlers:
            if not (handler.start < handler.end <= count and handler.target < count):
                raise ValueError(f"{handler} is not within its {count} instructions")
            for at in range(handler.start, handler.end):
                self.handlers.setdefault(at, []).append(handler)
        starts = [entry.start for entry in self.function.source_map]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError("its source map is not sorted")
        if starts and starts[-1] >= count:
            raise ValueError(f"its source map goes beyond its {count} instructions")

    def _check_operands(self, at: int, instruction: Instruction) -> None:
        opcode, a, b = instruction
        shape = SHAPES[opcode]
        self._check_operand(at, shape.a, a)
        self._check_operand(at, shape.b, b)
        if opcode is Opcode.CALL_NAMED and len(self.module.name_lists[b]) > a:
            raise ValueError(
                f"{len(self.module.name_lists[b])} names for {a} arguments, expected no more"
            )
        if opcode is Opcode.GET_RANGE and not 1 <= b <= 3:
            raise ValueError(f"a range of {b} values, expected 1 to 3")
        initializer = self.function.is_initializer
        if opcode is (Opcode.RETURN_VALUE if initializer else Opcode.END_INITIALIZER):
            kind = "an initializer" if initializer else "not an initializer"
            raise ValueError(f"the function is {kind} and cannot end this way")
        if opcode is Opcode.JUMP_IF_GIVEN and not (
            b < len(self.function.parameters)
            and self.function.parameters[b].kind is ParameterKind.OPTIONAL
        ):
            raise ValueError(f"slot {b} is not an optional parameter")

    def _check_operand(self, at: int, operand: Operand, value: int) -> None:
        module, function = self.module, self.function
        match operand:
            case Operand.NONE:
                limit = 1
            case Operand.COUNT:
                return  # The stack bounds it.
            case Operand.FLAG:
                limit = 2
            case Operand.CONSTANT:
                limit = len(module.constants)
            case Operand.NAME:
                limit = len(module.names)
            case Operand.NAME_LIST:
                limit = len(module.name_lists)
            case Operand.SLOT | Operand.CELL | Operand.ITERATOR:
                limit = len(function.slots)
            case Operand.TARGET:
                limit = len(function.instructions)
            case Operand.OFFSET:
                limit = len(function.instructions) - at - 1
            case Operand.FUNCTION:
                limit = len(module.functions)
            case Operand.TYPE:
                limit = len(module.types)
            case Operand.CLASS:
                limit = len(module.classes)
            case Operand.STRUCT:
                limit = len(module.structs)
            case Operand.ENUM:
                limit = len(module.enums)
            case Operand.COMPARISON:
                limit = len(Comparison)
            case Operand.USE:
                limit = len(Use)
        if value >= limit:
            raise ValueError(f"{operand.name.lower()} {value}, expected less than {limit}")
        kinds = {
            Operand.SLOT: SlotKind.PLAIN,
            Operand.CELL: SlotKind.CELL,
            Operand.ITERATOR: SlotKind.ITERATOR,
        }
        if operand in kinds and function.slots[value].kind is not kinds[operand]:
            raise ValueError(
                f"slot {value} is of kind {function.slots[value].kind.name}, "
                f"expected {kinds[operand].name}"
            )

    def _follow(self) -> None:
        function = self.function
        if not function.instructions:
            raise ValueError("no instruction, expected one that leaves the function at least")
        parameters, captures = len(function.parameters), len(function.captures)
        captured = ((1 << captures) - 1) << parameters
        self._reach(0, 0, captured)
        deepest = 0
        while self.pending:
            at = self.pending.pop()
            depth, made = self.states[at]
            try:
                for target, target_depth, target_made in self._step(at, depth, made):
                    deepest = max(deepest, target_depth)
                    self._reach(target, target_depth, target_made)
            except ValueError as error:
                name = function.instructions[at].opcode.name
                raise ValueError(f"instruction {at} {name}: {error}") from None
        if deepest != function.stack_size:
            raise ValueError(f"stack size {function.stack_size}, expected {deepest}")

    def _reach(self, at: int, depth: int, made: int) -> None:
        if at >= len(self.function.instructions):
            raise ValueError("the code goes on beyond its last instruction")
        known = self.states.get(at)
        if known is None:
            self.states[at] = (depth, made)
            self.pending.append(at)
            return
        if known[0] != depth:
            raise ValueError(f"leads to instruction {at} with stack depth {depth} and {known[0]}")
        if known[1] & made != known[1]:
            self.states[at] = (depth, known[1] & made)
            self.pending.append(at)

    def _step(self, at: int, depth: int, made: int) -> Iterator[tuple[int, int, int]]:
        """Yield what is reached from an instruction: where, depth, slots made."""
        instruction = self.function.instructions[at]
        opcode, a = instruction.opcode, instruction.a
        pops, pushes = stack_effect(instruction, self.module)
        if pops > depth:
            raise ValueError(f"pops {pops} values from a stack of {depth}")
        # An error may strike after the instruction has popped its operands.
        for handler in self.handlers.get(at, ()):
            if depth - pops < handler.depth:
                raise ValueError(f"pops below the depth of {handler}")
            yield handler.target, handler.depth + 1, made
        made = self._slots_made(instruction, made)
        after = depth - pops + pushes
        if opcode not in NO_FALL_THROUGH:
            yield at + 1, after, made
        if SHAPES[opcode].a is Operand.TARGET:
            yield a, depth if opcode in _JUMP_KEEPS_DEPTH else after, made
        elif opcode is Opcode.JUMP_FORWARD:
            yield at + 1 + a, after, made

    def _slots_made(self, instruction: Instruction, made: int) -> int:
        opcode, a, b = instruction
        needs: list[int] = []
        match opcode:
            case Opcode.MAKE_CELL | Opcode.EMPTY_CELL:
                return made | 1 << a
            case Opcode.GET_ITER | Opcode.GET_RANGE | Opcode.GET_PAIRS:
                return made | 1 << a
            case Opcode.LOAD_CELL | Opcode.STORE_CELL | Opcode.COPY_CELL:
                needs = [a]
            case Opcode.FOR_ITER:
                needs = [b]
            case Opcode.MAKE_FUNCTION:
                needs = self.module.functions[a].captures
        for slot in needs:
            slots = self.function.slots
            wanted = SlotKind.ITERATOR if opcode is Opcode.FOR_ITER else SlotKind.CELL
            if slot >= len(slots) or slots[slot].kind is not wanted:
                raise ValueError(f"captures slot {slot}, expected a cell of this function")
            if not made >> slot & 1:
                raise ValueError(f"uses slot {slot} before it is certainly made")
        return made
