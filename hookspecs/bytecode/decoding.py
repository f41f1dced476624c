"""Bytes to NBC structs; the layout is documented in the package's docstring.

The reader checks the form: magic, version, length, checksum, tags, counts. What
the numbers refer to is checked by :func:`~hookspecs.bytecode.verification.verify`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

from .binary import (
    FORMAT_VERSION,
    HANDLER,
    HEADER,
    INSTRUCTION,
    MAGIC,
    SOURCE_ENTRY,
    Tag,
)
from .module import (
    ClassSpec,
    Constant,
    EnumSpec,
    Export,
    Function,
    Handler,
    Instruction,
    Module,
    Parameter,
    ParameterKind,
    Slot,
    SlotKind,
    SourceEntry,
    StructSpec,
    TypeCheck,
    Variant,
)
from .opcodes import Opcode

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)


def decode(data: bytes) -> Module:
    """Return the module that ``data`` is the binary form of.

    Raises:
        ValueError: the data is not NBC, of a newer format version, truncated
            or damaged; the message says where.
    """
    if len(data) < HEADER.size:
        raise ValueError(
            f"not an NBC file: {len(data)} bytes, expected a header of {HEADER.size} at least"
        )
    magic, version, zero, length, checksum = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"not an NBC file: it begins with {magic!r}, expected {MAGIC!r}")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"NBC format version {version} is newer than this reader's, {FORMAT_VERSION}"
        )
    if version < 1 or zero:
        raise ValueError(f"NBC header is damaged: version {version}, reserved field {zero}")
    body = data[HEADER.size :]
    if len(body) != length:
        raise ValueError(
            f"NBC file is truncated or has something appended: its body has {len(body)} bytes, "
            f"expected {length}"
        )
    if zlib.crc32(body) != checksum:
        raise ValueError("NBC file is damaged: its checksum does not fit its body")
    reader = _Reader(body)
    module = reader.module()
    if reader.at != len(body):
        raise ValueError(f"NBC file is damaged: {len(body) - reader.at} bytes follow its end")
    return module


class _Reader:
    """Reads the body; ``at`` is the next byte."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, size: int, what: str) -> int:
        """Advance over ``size`` bytes and return where they begin."""
        start = self.at
        if size > len(self.body) - start:
            raise ValueError(
                f"NBC file is damaged: {what} at byte {start} of the body needs {size} bytes, "
                f"{len(self.body) - start} are left"
            )
        self.at = start + size
        return start

    def u8(self) -> int:
        return self.body[self.take(1, "a number")]

    def u32(self) -> int:
        start = self.take(4, "a number")
        return int.from_bytes(self.body[start : start + 4], "little")

    def flag(self) -> bool:
        value = self.u8()
        if value > 1:
            raise ValueError(f"NBC file is damaged: {value} at byte {self.at - 1} is not a bool")
        return value == 1

    def member(self, of: type[E]) -> E:
        value = self.u8()
        try:
            return of(value)
        except ValueError:
            raise ValueError(
                f"NBC file is damaged: {value} at byte {self.at - 1} is not a {of.__name__}"
            ) from None

    def string(self) -> str:
        size = self.u32()
        start = self.take(size, "a string")
        try:
            return self.body[start : self.at].decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"NBC file is damaged: the string at byte {start} is not UTF-8: {error.reason}"
            ) from error

    def items(self, read: Callable[[], T]) -> list[T]:
        # A damaged count ends at the end of the data: every item takes a byte.
        return [read() for _ in range(self.u32())]

    def records(self, layout: struct.Struct, what: str) -> Any:
        """An iterator over a list of records of fixed size."""
        count = self.u32()
        start = self.take(count * layout.size, what)
        return layout.iter_unpack(memoryview(self.body)[start : self.at])

    def strings(self) -> list[str]:
        return self.items(self.string)

    def module(self) -> Module:
        return Module(
            file=self.string(),
            names=self.strings(),
            constants=self.items(self.constant),
            name_lists=self.items(self.strings),
            types=self.items(self.type_check),
            functions=self.items(self.function),
            classes=self.items(self.class_spec),
            structs=self.items(self.struct_spec),
            enums=self.items(self.enum_spec),
            exports=self.items(self.export),
        )

    def constant(self) -> Constant:
        tag = self.member(Tag)
        if tag is Tag.INT or tag is Tag.FLOAT:
            layout = "<q" if tag is Tag.INT else "<d"
            number: int | float = struct.unpack_from(layout, self.body, self.take(8, "a number"))[0]
            return number
        if tag is Tag.STRING:
            return self.string()
        return None if tag is Tag.NULL else tag is Tag.TRUE

    def type_check(self) -> TypeCheck:
        return TypeCheck(self.string(), self.strings())

    def parameter(self) -> Parameter:
        return Parameter(self.string(), self.u32() - 1, self.member(ParameterKind))

    def slot(self) -> Slot:
        return Slot(self.string(), self.member(SlotKind))

    def function(self) -> Function:
        return Function(
            name=self.string(),
            is_initializer=self.flag(),
            parameters=self.items(self.parameter),
            captures=self.items(self.u32),
            slots=self.items(self.slot),
            stack_size=self.u32(),
            instructions=self.instructions(),
            handlers=[Handler(*record) for record in self.records(HANDLER, "a handler table")],
            source_map=[
                SourceEntry(*record) for record in self.records(SOURCE_ENTRY, "a source map")
            ],
        )

    def instructions(self) -> list[Instruction]:
        opcodes = {int(opcode): opcode for opcode in Opcode}
        instructions: list[Instruction] = []
        for opcode, zero, b, a in self.records(INSTRUCTION, "code"):
            if opcode not in opcodes or zero:
                raise ValueError(
                    f"NBC file is damaged: instruction {len(instructions)} of the function before "
                    f"byte {self.at} has opcode {opcode}, reserved byte {zero}"
                )
            instructions.append(Instruction(opcodes[opcode], a, b))
        return instructions

    def class_spec(self) -> ClassSpec:
        return ClassSpec(
            name=self.string(),
            fields=self.strings(),
            methods=self.strings(),
            static_methods=self.strings(),
            private=self.strings(),
            has_constructor=self.flag(),
            has_initializer=self.flag(),
        )

    def struct_spec(self) -> StructSpec:
        return StructSpec(self.string(), self.items(self.parameter), self.flag())

    def variant(self) -> Variant:
        return Variant(self.string(), self.flag(), self.items(self.parameter), self.flag())

    def enum_spec(self) -> EnumSpec:
        return EnumSpec(self.string(), self.items(self.variant))

    def export(self) -> Export:
        return Export(self.string(), self.string())
