"""The code of one function while it is being translated, and the stack it stands for."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from hookspecs.bytecode import Constant, Function, constant_key

from .loaded import LoadedFunction
from .operations import Op
from .values import Value


def picker(registers: list[int]) -> Any:
    """What takes the values of several registers from a frame; None for none at all."""
    if not registers:
        return None
    if len(registers) == 1:
        # With one index itemgetter would give the value itself.
        return itemgetter(slice(registers[0], registers[0] + 1))
    return itemgetter(*registers)


class Emitter:
    """Collects operations.

    ``stack`` holds, for each place of the NBC stack, the register where its
    value is: the place's own one, or that of a variable or a constant as long
    as it has not changed. No place refers to the own register of a higher one.
    """

    def __init__(self, function: Function, loaded: LoadedFunction) -> None:
        self.function = function
        self.loaded = loaded
        self.base = len(function.slots)
        self.first_constant = self.base + function.stack_size
        self.constants: list[Value] = []
        self._constant_registers: dict[Any, int] = {}
        self.code: list[list[Any]] = []
        self.stack: list[int] = []
        #: The NBC instruction that is being translated.
        self.at = 0
        #: The last operation, if its result is on top of the stack and nowhere else.
        self._fresh: list[Any] | None = None
        #: Operations with goals, as NBC instructions until :meth:`finish`: which
        #: operand, the instruction to go to, what the jump adds to the count.
        self._goals: list[tuple[list[Any], int, int, int]] = []
        #: The first operation of each instruction where ways meet.
        self._entries: dict[int, int] = {}

    # -- operations --------------------------------------------------------

    def emit(self, op: Op, a: Any = None, b: Any = None, c: Any = None) -> list[Any]:
        operation = [int(op), a, b, c]
        self.code.append(operation)
        self.loaded.origins.append(self.at)
        self._fresh = None
        return operation

    def emit_result(self, op: Op, a: Any = None, b: Any = None) -> None:
        """Emit an operation whose ``c`` is the register of its result; push that."""
        own = self.base + len(self.stack)
        operation = self.emit(op, a, b, own)
        self.stack.append(own)
        self._fresh = operation

    def emit_goal(self, op: Op, a: Any, b: Any, target: int, hops: int = 1) -> None:
        """Emit a conditional jump; ``hops`` NBC instructions are executed on the way."""
        self._goals.append((self.emit(op, a, b), 3, target, self.at + hops - target))

    def emit_jump(self, target: int) -> None:
        self._goals.append((self.emit(Op.JUMP), 0, target, self.at + 1 - target))

    def emit_for(self, iterator: int, target: int) -> None:
        self.emit_result(Op.FOR, iterator)
        assert self._fresh is not None
        self._goals.append((self._fresh, 2, target, self.at + 1 - target))
        self.may_pause()

    def emit_call(self, op: Op, a: Any, b: Any = None) -> None:
        """Emit what may enter another function."""
        below = list(self.stack)
        self.emit_result(op, a, b)
        after = len(self.code)
        self.loaded.waiting[after] = below
        self.loaded.calls[self.at] = after
        self.may_pause()

    def may_pause(self) -> None:
        """The machine may stop behind the operation that was just emitted."""
        after = len(self.code)
        self.loaded.pauses[after] = (self.at + 1, list(self.stack))
        self.loaded.resumes.setdefault(self.at + 1, after)

    # -- the stack ---------------------------------------------------------

    def push(self, register: int) -> None:
        self.stack.append(register)
        self._fresh = None

    def pop(self) -> int:
        return self.stack.pop()

    def pop_many(self, count: int) -> list[int]:
        start = len(self.stack) - count
        registers = self.stack[start:]
        del self.stack[start:]
        return registers

    def store(self, slot: int) -> None:
        """Pop into a variable."""
        fresh = self._fresh
        register = self.pop()
        if fresh is not None and fresh[3] == register and slot not in self.stack:
            # The last operation can store its result there itself.
            fresh[3] = slot
            self._fresh = None
            self._pause_moved()
            return
        for place, held in enumerate(self.stack):
            if held == slot:
                self.emit(Op.MOVE, slot, None, self.base + place)
                self.stack[place] = self.base + place
        if register != slot:
            self.emit(Op.MOVE, register, None, slot)

    def _pause_moved(self) -> None:
        """What :meth:`may_pause` told is now true of the next instruction."""
        after = len(self.code)
        told = self.loaded.pauses.get(after)
        if told is not None:
            self.loaded.resumes.pop(told[0], None)
            self.may_pause()

    def settle(self) -> None:
        """Bring every value into its place's own register."""
        for place, register in enumerate(self.stack):
            if register != self.base + place:
                self.emit(Op.MOVE, register, None, self.base + place)
                self.stack[place] = self.base + place

    def enter(self, depth: int, falls_through: bool, at: int) -> None:
        """Begin an instruction that is reached from elsewhere too."""
        if falls_through:
            self.settle()
        self.at = at
        self._fresh = None
        self.stack = list(range(self.base, self.base + depth))
        ip = len(self.code)
        self._entries[at] = ip
        self.loaded.pauses[ip] = (at, list(self.stack))
        self.loaded.resumes[at] = ip

    # -- constants ---------------------------------------------------------

    def constant(self, value: Constant) -> int:
        return self.keep(constant_key(value), value)

    def keep(self, key: Any, value: Value) -> int:
        """The register of a value that never changes; ``key`` says which it is."""
        register = self._constant_registers.get(key)
        if register is None:
            register = self.first_constant + len(self.constants)
            self._constant_registers[key] = register
            self.constants.append(value)
        return register

    def value_of(self, register: int) -> Value:
        """The value of a constant's register; None for all others."""
        if register < self.first_constant:
            return None
        return self.constants[register - self.first_constant]

    # -- the end -----------------------------------------------------------

    def finish(self) -> None:
        """Put the operations and tables into the loaded function."""
        loaded = self.loaded
        for operation, operand, target, count in self._goals:
            if operand:
                operation[operand] = (self._entries[target], count)
            else:
                operation[1:3] = self._entries[target], count
        for operation, operand, target, count in self._goals:
            if not operand and self.code[self._entries[target]][0] == Op.FOR:
                self._loop_back(operation, self._entries[target], count)
        given = len(loaded.parameters) + len(loaded.captures)
        loaded.slots = self.base
        loaded.stack_base = self.base
        loaded.template = [None] * (self.first_constant - given) + self.constants + [None]
        loaded.code = [(op, a, b, c) for op, a, b, c in self.code]
        loaded.handlers = self.function.handlers
        loaded.targets = {
            handler.target: self._entries[handler.target]
            for handler in loaded.handlers
            if handler.target in self._entries
        }

    def _loop_back(self, jump: list[Any], ip: int, count: int) -> None:
        """Turn a jump to a FOR into the next round's FOR."""
        _, iterator, (over, count_over), dest = self.code[ip]
        jump[:] = [
            int(Op.FOR_AGAIN),
            iterator,
            ((over, count + count_over), (ip + 1, count)),
            dest,
        ]
