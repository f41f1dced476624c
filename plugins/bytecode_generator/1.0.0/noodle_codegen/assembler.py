"""The code of one function while it is being written."""

from __future__ import annotations

from hookspecs.bytecode import (
    NO_FALL_THROUGH,
    Function,
    Handler,
    Instruction,
    Module,
    Opcode,
    Slot,
    SlotKind,
    SourceEntry,
    stack_effect,
)


class Label:
    """A place in the code, once it is placed; ``depth`` is the stack's there."""

    __slots__ = ("at", "depth", "users")

    def __init__(self) -> None:
        self.at = -1
        self.depth = -1
        self.users: list[int] = []


class Region:
    """Instructions whose errors go to a handler, in pieces: the ways out are left out."""

    __slots__ = ("depth", "pieces", "start")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.pieces: list[tuple[int, int]] = []
        self.start = -1


class Assembler:
    """Appends instructions; knows the stack's depth and whether code can be reached.

    What cannot be reached is not written.
    """

    def __init__(self, module: Module, name: str) -> None:
        self._module = module
        self.name = name
        self.slots: list[Slot] = []
        self.depth = 0
        self.is_reachable = True
        self._code: list[Instruction] = []
        self._handlers: list[tuple[Region, Label]] = []
        self._places: list[SourceEntry] = []
        self._place = (0, 0)
        self._deepest = 0
        self._labels: list[Label] = []

    def slot(self, name: str, kind: SlotKind = SlotKind.PLAIN) -> int:
        """A new slot; an iterator gets two."""
        self.slots.append(Slot(name, kind))
        index = len(self.slots) - 1
        if kind is SlotKind.ITERATOR:
            self.slots.append(Slot("", SlotKind.ITERATOR_STATE))
        return index

    def at(self, line: int, column: int) -> None:
        """The place in the source of the instructions to come."""
        self._place = (line, column)

    def emit(self, opcode: Opcode, a: int = 0, b: int = 0) -> None:
        if not self.is_reachable:
            return
        self._append(Instruction(opcode, a, b))
        if opcode in NO_FALL_THROUGH:
            self.is_reachable = False

    def _append(self, instruction: Instruction) -> None:
        last = self._places[-1] if self._places else None
        if last is None or (last.line, last.column) != self._place:
            self._places.append(SourceEntry(len(self._code), *self._place))
        self._code.append(instruction)
        pops, pushes = stack_effect(instruction, self._module)
        self.depth += pushes - pops
        self._deepest = max(self._deepest, self.depth)

    # -- jumps -------------------------------------------------------------

    def jump(self, opcode: Opcode, label: Label, b: int = 0) -> None:
        """Jump to a label, before or behind."""
        if not self.is_reachable:
            return
        before = self.depth
        label.users.append(len(self._code))
        self._append(Instruction(opcode, max(label.at, 0), b))
        keeps = opcode in (
            Opcode.JUMP_IF_FALSE_OR_POP,
            Opcode.JUMP_IF_TRUE_OR_POP,
            Opcode.FOR_ITER,
        )
        label.depth = before if keeps else self.depth
        if opcode in NO_FALL_THROUGH:
            self.is_reachable = False

    def place(self, label: Label) -> None:
        """The label is here."""
        label.at = len(self._code)
        self._labels.append(label)
        if label.users:
            self.depth = label.depth
            self.is_reachable = True
        else:
            label.depth = self.depth

    # -- handlers ----------------------------------------------------------

    def open(self, region: Region) -> None:
        region.start = len(self._code)

    def close(self, region: Region) -> None:
        if region.start >= 0 and len(self._code) > region.start:
            region.pieces.append((region.start, len(self._code)))
        region.start = -1

    def handle(self, region: Region) -> None:
        """The handler of a region begins here, with the error on the stack."""
        if not region.pieces:
            self.is_reachable = False
            return
        label = Label()
        self._handlers.append((region, label))
        label.at = len(self._code)
        self.depth = region.depth + 1
        self._deepest = max(self._deepest, self.depth)
        self.is_reachable = True

    # -- the end -----------------------------------------------------------

    def finish(self, function: Function) -> None:
        """Put the code and its tables into the function."""
        code = self._code
        for label in self._labels:
            for user in label.users:
                code[user] = code[user]._replace(a=label.at)
        function.slots = self.slots
        function.instructions = code
        function.handlers = [
            Handler(start, end, label.at, region.depth)
            for region, label in self._handlers
            for start, end in region.pieces
        ]
        function.source_map = self._places
        function.stack_size = self._deepest
