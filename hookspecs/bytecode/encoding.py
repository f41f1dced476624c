"""NBC structs to bytes; the layout is documented in the package's docstring."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sized
from typing import Protocol, TypeVar

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
    INT_MAX,
    INT_MIN,
    ClassSpec,
    Constant,
    EnumSpec,
    Export,
    Function,
    Module,
    Parameter,
    Slot,
    StructSpec,
    TypeCheck,
)

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class _Items(Sized, Iterable[T_co], Protocol[T_co]):
    """What a list of items is written from."""


def encode(module: Module) -> bytes:
    """Return the binary form of a module.

    Raises:
        ValueError: a number or a string does not fit its field.
    """
    writer = _Writer()
    try:
        writer.module(module)
    except (struct.error, UnicodeEncodeError, OverflowError) as error:
        raise ValueError(f"NBC of {module.file!r} cannot be written: {error}") from error
    body = b"".join(writer.parts)
    return HEADER.pack(MAGIC, FORMAT_VERSION, 0, len(body), zlib.crc32(body)) + body


class _Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def u8(self, value: int) -> None:
        self.parts.append(struct.pack("<B", value))

    def u32(self, value: int) -> None:
        self.parts.append(struct.pack("<I", value))

    def string(self, text: str) -> None:
        data = text.encode()
        self.u32(len(data))
        self.parts.append(data)

    def items(self, items: _Items[T], write: Callable[[T], None]) -> None:
        self.u32(len(items))
        for item in items:
            write(item)

    def strings(self, texts: list[str]) -> None:
        self.items(texts, self.string)

    def module(self, module: Module) -> None:
        self.string(module.file)
        self.strings(module.names)
        self.items(module.constants, self.constant)
        self.items(module.name_lists, self.strings)
        self.items(module.types, self.type_check)
        self.items(module.functions, self.function)
        self.items(module.classes, self.class_spec)
        self.items(module.structs, self.struct_spec)
        self.items(module.enums, self.enum_spec)
        self.items(module.exports, self.export)

    def constant(self, value: Constant) -> None:
        if value is None:
            self.u8(Tag.NULL)
        elif isinstance(value, bool):
            self.u8(Tag.TRUE if value else Tag.FALSE)
        elif isinstance(value, int):
            if not INT_MIN <= value <= INT_MAX:
                raise OverflowError(f"the constant {value} is outside 64 bits")
            self.parts.append(struct.pack("<Bq", Tag.INT, value))
        elif isinstance(value, float):
            self.parts.append(struct.pack("<Bd", Tag.FLOAT, value))
        else:
            self.u8(Tag.STRING)
            self.string(value)

    def type_check(self, check: TypeCheck) -> None:
        self.string(check.text)
        self.strings(check.names)

    def parameter(self, parameter: Parameter) -> None:
        self.string(parameter.name)
        self.u32(parameter.type + 1)
        self.u8(parameter.kind)

    def slot(self, slot: Slot) -> None:
        self.string(slot.name)
        self.u8(slot.kind)

    def function(self, function: Function) -> None:
        self.string(function.name)
        self.u8(function.is_initializer)
        self.items(function.parameters, self.parameter)
        self.items(function.captures, self.u32)
        self.items(function.slots, self.slot)
        self.u32(function.stack_size)
        self.u32(len(function.instructions))
        pack = INSTRUCTION.pack
        self.parts.extend(pack(opcode, 0, b, a) for opcode, a, b in function.instructions)
        self.u32(len(function.handlers))
        for handler in function.handlers:
            place = (handler.start, handler.end, handler.target, handler.depth)
            self.parts.append(HANDLER.pack(*place))
        self.u32(len(function.source_map))
        pack = SOURCE_ENTRY.pack
        self.parts.extend(pack(e.start, e.line, e.column) for e in function.source_map)

    def class_spec(self, spec: ClassSpec) -> None:
        self.string(spec.name)
        for names in (spec.fields, spec.methods, spec.static_methods, spec.private):
            self.strings(names)
        self.u8(spec.has_constructor)
        self.u8(spec.has_initializer)

    def struct_spec(self, spec: StructSpec) -> None:
        self.string(spec.name)
        self.items(spec.fields, self.parameter)
        self.u8(spec.has_defaults)

    def enum_spec(self, spec: EnumSpec) -> None:
        self.string(spec.name)
        self.u32(len(spec.variants))
        for variant in spec.variants:
            self.string(variant.name)
            self.u8(variant.has_payload)
            self.items(variant.fields, self.parameter)
            self.u8(variant.has_defaults)

    def export(self, export: Export) -> None:
        self.string(export.exported)
        self.string(export.name)
