"""An assembler of small NBC modules for tests.

A module is text. ``def name(a, b?, ...c) [x, y]`` begins a function with its
parameters and captured cells; the first one is the body. A line is a label with
a colon, ``handler from to target depth``, or an opcode and its operands: names
of slots, labels, functions and names as they are, constants as JSON. Slots are
made as they are named. Every instruction has its own line of the text as its
place, and column 1.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hookspecs.bytecode import (
    NO_FALL_THROUGH,
    SHAPES,
    Comparison,
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
    SourceEntry,
    Use,
    constant_key,
    stack_effect,
)

_HEAD = re.compile(r"def ([\w.<>]+)(?:\((.*?)\))?(?:\s*\[(.*?)\])?")
_SLOT_KINDS = {
    Operand.SLOT: SlotKind.PLAIN,
    Operand.CELL: SlotKind.CELL,
    Operand.ITERATOR: SlotKind.ITERATOR,
}


def assemble(text: str, file: str = "test.noodle", **tables: Any) -> Module:
    """Return a module; ``tables`` are further fields of :class:`Module`."""
    module = Module(file, [], [], [], [], [], [], [], [], [])
    for name, value in tables.items():
        setattr(module, name, value)
    parts: list[tuple[str, list[tuple[int, str]]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].strip()
        if words.startswith("def "):
            parts.append((words, []))
        elif words:
            parts[-1][1].append((number, words))
    names = [_HEAD.fullmatch(head)[1] for head, _ in parts]  # type: ignore[index]
    for head, lines in parts:
        module.functions.append(_Assembly(module, names, head).function(lines))
    for function in module.functions:
        function.captures = [
            next(at for at, slot in enumerate(module.functions[0].slots) if slot.name == name)
            if isinstance(name, str)
            else name
            for name in function.captures
        ]
    for function in module.functions:
        function.stack_size = stack_size(module, function)
    return module


class _Assembly:
    def __init__(self, module: Module, functions: list[str], head: str) -> None:
        self.module = module
        self.functions = functions
        matched = _HEAD.fullmatch(head)
        assert matched is not None, head
        self.made = Function(matched[1], False, [], [], [], 0, [], [], [])
        for word in (matched[2] or "").replace(",", " ").split():
            kind = ParameterKind.REQUIRED
            if word.endswith("?"):
                kind = ParameterKind.OPTIONAL
            elif word.startswith("..."):
                kind = ParameterKind.VARIADIC
            name = word.strip("?.")
            self.made.parameters.append(Parameter(name, -1, kind))
            self.made.slots.append(Slot(name))
        for word in (matched[3] or "").replace(",", " ").split():
            self.made.captures.append(word)  # type: ignore[arg-type]
            self.made.slots.append(Slot(word, SlotKind.CELL))

    def function(self, lines: list[tuple[int, str]]) -> Function:
        labels: dict[str, int] = {}
        code: list[tuple[int, list[str]]] = []
        handlers: list[list[str]] = []
        for number, line in lines:
            opcode, *rest = line.split(maxsplit=1)
            if opcode.endswith(":"):
                labels[opcode[:-1]] = len(code)
            elif opcode == "handler":
                handlers.append(rest[0].split())
            else:
                code.append((number, [opcode, *rest]))
        for number, words in code:
            opcode = Opcode[words[0]]
            shape = SHAPES[opcode]
            kinds = [kind for kind in (shape.a, shape.b) if kind is not Operand.NONE]
            texts = words[1].split(maxsplit=len(kinds) - 1) if len(words) > 1 and kinds else []
            texts += ["0"] * (len(kinds) - len(texts))
            operands = [
                self.operand(kind, text, labels, len(self.made.instructions))
                for kind, text in zip(kinds, texts, strict=True)
            ]
            if shape.a is Operand.NONE and kinds:
                operands.insert(0, 0)
            self.made.source_map.append(SourceEntry(len(self.made.instructions), number, 1))
            self.made.instructions.append(Instruction(opcode, *operands))
        self.made.handlers = [
            Handler(labels[start], labels[end], labels[target], int(depth))
            for start, end, target, depth in handlers
        ]
        self.made.is_initializer = any(
            instruction.opcode is Opcode.END_INITIALIZER for instruction in self.made.instructions
        )
        return self.made

    def operand(self, kind: Operand, text: str, labels: dict[str, int], at: int) -> int:
        if kind in _SLOT_KINDS:
            return self.slot(text, _SLOT_KINDS[kind])
        if kind is Operand.CONSTANT:
            value = json.loads(text)
            keys = [constant_key(known) for known in self.module.constants]
            if constant_key(value) not in keys:
                self.module.constants.append(value)
                return len(keys)
            return keys.index(constant_key(value))
        if kind is Operand.NAME:
            if text not in self.module.names:
                self.module.names.append(text)
            return self.module.names.index(text)
        if kind is Operand.NAME_LIST:
            names = text.split(",")
            if names not in self.module.name_lists:
                self.module.name_lists.append(names)
            return self.module.name_lists.index(names)
        if kind is Operand.TARGET:
            return labels[text]
        if kind is Operand.OFFSET:
            return labels[text] - at - 1
        if kind is Operand.FUNCTION:
            return self.functions.index(text)
        if kind is Operand.COMPARISON:
            return Comparison[text]
        if kind is Operand.USE and not text.isdigit():
            return Use[text]
        return int(text)

    def slot(self, name: str, kind: SlotKind) -> int:
        names = [slot.name for slot in self.made.slots]
        if name in names:
            return names.index(name)
        self.made.slots.append(Slot(name, kind))
        if kind is SlotKind.ITERATOR:
            self.made.slots.append(Slot("", SlotKind.ITERATOR_STATE))
        return len(names)


def stack_size(module: Module, function: Function) -> int:
    """The greatest depth, following the code; what is wrong is left to ``verify``."""
    depths: dict[int, int] = {}
    pending = [(0, 0)]
    deepest = 0
    while pending:
        at, depth = pending.pop()
        deepest = max(deepest, depth)
        if at in depths or at >= len(function.instructions):
            continue
        depths[at] = depth
        instruction = function.instructions[at]
        pops, pushes = stack_effect(instruction, module)
        after = depth - pops + pushes
        pending += [(h.target, h.depth + 1) for h in function.handlers if h.start <= at < h.end]
        keeps = {Opcode.JUMP_IF_FALSE_OR_POP, Opcode.JUMP_IF_TRUE_OR_POP, Opcode.FOR_ITER}
        if SHAPES[instruction.opcode].a is Operand.TARGET:
            pending.append((instruction.a, depth if instruction.opcode in keeps else after))
        elif instruction.opcode is Opcode.JUMP_FORWARD:
            pending.append((at + 1 + instruction.a, after))
        if instruction.opcode not in NO_FALL_THROUGH:
            pending.append((at + 1, after))
    return deepest
