"""The state of a machine at a safe point, as plain data.

Values are a table of objects that refer to each other by number, so that no
depth and no cycle of a program's data is too much for whoever writes it. Frames
speak of NBC: the instruction that is next, the slots and the stack. So a state
does not depend on how this virtual machine loads code, and another one that
knows NBC can go on with it.

A *value* in a state is null, a bool, int, float or string as itself, ``(number,)``
for an object of the table, or ``(kind, ...)`` for what every machine has.
"""

from __future__ import annotations

from typing import Any, Final

from hookspecs.contracts.vm import Program

from .calls import MAX_CALLS
from .heap_reader import HeapReader
from .heap_writer import HeapWriter
from .loaded import LoadedFunction
from .machine import Frame, Machine, end_function
from .values import Value

#: Of the form described here.
STATE_VERSION: Final = 1


def take(machine: Machine) -> dict[str, Any]:
    """Return the state of a machine that stands at a safe point.

    ``modules`` are the variables, exports and progress of each module, ``frames``
    the waiting functions, the outermost first, ``top`` the one that runs (None:
    the body of module ``current`` has ended), ``objects`` the table.
    """
    heap = HeapWriter(machine)
    modules = [
        {
            "cells": {name: heap.write(cell) for name, cell in module.cells.items()},
            "exports": {name: heap.write(cell) for name, cell in module.value.exports.items()},
            "initialized": module.value.initialized,
        }
        for module in machine.modules
    ]
    ip = len(machine.function.code) - machine.operations.__length_hint__()
    top = None
    if machine.function.index >= 0:
        instruction, stack = machine.function.pauses[ip]
        top = _frame(heap, machine.function, machine.registers, instruction, stack)
    return {
        "version": STATE_VERSION,
        "current": machine.current,
        "count": machine.count,
        "output": "".join(machine.output),
        "modules": modules,
        # The first one is the end of the module's body.
        "frames": [_waiting(heap, frame) for frame in machine.frames[1:]],
        "top": top,
        "objects": heap.finish(),
    }


def _waiting(heap: HeapWriter, frame: Frame) -> tuple[Any, ...]:
    """The instruction is that of the call; -1 for a function that has not begun."""
    function, operations, registers, _ = frame
    ip = len(function.code) - operations.__length_hint__()
    if not ip:
        return _frame(heap, function, registers, -1, [])
    return _frame(heap, function, registers, function.origins[ip - 1], function.waiting[ip])


def _frame(
    heap: HeapWriter,
    function: LoadedFunction,
    registers: list[Value],
    instruction: int,
    stack: list[int],
) -> tuple[Any, ...]:
    return (
        function.module,
        function.index,
        instruction,
        [heap.write(value) for value in registers[: function.slots]],
        [heap.write(registers[register]) for register in stack],
    )


def restore(program: Program, state: dict[str, Any]) -> Machine:
    """Return a machine that goes on where ``state`` was taken.

    Raises:
        ValueError: the state is of another version.
    """
    if state["version"] != STATE_VERSION:
        raise ValueError(f"state of version {state['version']}, expected {STATE_VERSION}")
    machine = Machine(program)
    heap = HeapReader(machine, state["objects"])
    for module, kept in zip(machine.modules, state["modules"], strict=True):
        for name, cell in kept["cells"].items():
            heap.place(cell, module.cell(name))
    heap.fill()
    for module, kept in zip(machine.modules, state["modules"], strict=True):
        module.value.exports = {name: heap.read(cell) for name, cell in kept["exports"].items()}
        module.value.initialized = kept["initialized"]
    machine.current = state["current"]
    machine.count = state["count"]
    machine.limit = state["count"]
    machine.write(state["output"])
    machine.frames = [_end_frame(), *(_read_waiting(heap, kept) for kept in state["frames"])]
    if state["top"] is None:
        machine.function, machine.operations, machine.registers, _ = machine.frames.pop()
    else:
        function, slots, stack = _read_frame(heap, state["top"])
        ip = function.resumes[state["top"][2]]
        _place(function, slots, stack, function.pauses[ip][1])
        machine.function, machine.registers = function, slots
        machine.operations = _at(function, ip)
    functions = [machine.function, *(frame[0] for frame in machine.frames[1:])]
    machine.max_frames = MAX_CALLS + 1 + sum(function.is_hidden for function in functions)
    return machine


def _end_frame() -> Frame:
    end = end_function()
    return end, iter(end.code), [None], -1


def _read_waiting(heap: HeapReader, kept: tuple[Any, ...]) -> Frame:
    function, registers, stack = _read_frame(heap, kept)
    if kept[2] < 0:
        return function, iter(function.code), registers, -1
    ip = function.calls[kept[2]]
    _place(function, registers, stack, function.waiting[ip])
    return function, _at(function, ip), registers, function.code[ip - 1][3]


def _read_frame(
    heap: HeapReader, kept: tuple[Any, ...]
) -> tuple[LoadedFunction, list[Value], list[Value]]:
    module, index, _, slots, stack = kept
    function = heap.function(module, index)
    registers = [heap.read(value) for value in slots]
    given = len(function.parameters) + len(function.captures)
    registers += function.template[function.slots - given :]
    return function, registers, [heap.read(value) for value in stack]


def _place(
    function: LoadedFunction, registers: list[Value], stack: list[Value], places: list[int]
) -> None:
    """Put the stack where the code expects it; variables and constants are there."""
    for place, value in zip(places, stack, strict=True):
        if place >= function.stack_base:
            registers[place] = value


def _at(function: LoadedFunction, ip: int) -> Any:
    operations = iter(function.code)
    operations.__setstate__(ip)  # type: ignore[attr-defined]
    return operations
