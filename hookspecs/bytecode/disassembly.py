"""NBC as text, for people."""

from __future__ import annotations

from collections.abc import Iterator

from .module import Function, Instruction, Module, ParameterKind, SlotKind
from .opcodes import COMPARISON_TEXT, SHAPES, Operand, Use


def disassemble(module: Module) -> str:
    """Return a listing of a verified module, one line per instruction.

    A line shows the source line where it changes, the index, the opcode, its
    operands and what they stand for.
    """
    lines = [f"module {module.file}"]
    lines += [f"export {export.name} as {export.exported}" for export in module.exports]
    for index, function in enumerate(module.functions):
        lines += _function(module, index, function)
    return "\n".join(lines) + "\n"


def _function(module: Module, index: int, function: Function) -> Iterator[str]:
    parameters = []
    for parameter in function.parameters:
        before = "..." if parameter.kind is ParameterKind.VARIADIC else ""
        after = "?" if parameter.kind is ParameterKind.OPTIONAL else ""
        if parameter.type >= 0:
            after += f": {module.types[parameter.type].text}"
        parameters.append(f"{before}{parameter.name}{after}")
    yield ""
    yield f"function {index} {function.name or '(lambda)'}({', '.join(parameters)})"
    yield f"  stack {function.stack_size}"
    for slot_index, slot in enumerate(function.slots):
        if slot.kind is not SlotKind.PLAIN or slot.name:
            yield f"  slot {slot_index} {slot.kind.name.lower()} {slot.name}".rstrip()
    for handler in function.handlers:
        yield (
            f"  handler {handler.start} to {handler.end} at {handler.target} depth {handler.depth}"
        )
    previous = 0
    for at, instruction in enumerate(function.instructions):
        line, _ = function.position(at)
        shown = str(line) if line != previous else ""
        previous = line
        yield f"{shown:>6} {at:>5} {_instruction(module, function, at, instruction)}".rstrip()


def _instruction(module: Module, function: Function, at: int, instruction: Instruction) -> str:
    shape = SHAPES[instruction.opcode]
    operands = []
    for operand, value in ((shape.a, instruction.a), (shape.b, instruction.b)):
        if operand is not Operand.NONE:
            meaning = _meaning(module, function, at, operand, value)
            operands.append(f"{value} ({meaning})" if meaning else str(value))
    return f"{instruction.opcode.name:<20} {', '.join(operands)}"


def _meaning(module: Module, function: Function, at: int, operand: Operand, value: int) -> str:
    match operand:
        case Operand.CONSTANT:
            return repr(module.constants[value])
        case Operand.NAME:
            return module.names[value]
        case Operand.NAME_LIST:
            return " ".join(module.name_lists[value])
        case Operand.SLOT | Operand.CELL | Operand.ITERATOR:
            return function.slots[value].name
        case Operand.OFFSET:
            return f"to {at + 1 + value}"
        case Operand.FUNCTION:
            return module.functions[value].name
        case Operand.TYPE:
            return module.types[value].text
        case Operand.CLASS:
            return module.classes[value].name
        case Operand.STRUCT:
            return module.structs[value].name
        case Operand.ENUM:
            return module.enums[value].name
        case Operand.COMPARISON:
            return COMPARISON_TEXT[value]
        case Operand.USE:
            return Use(value).name.lower()
        case _:
            return ""
