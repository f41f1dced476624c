r"""NBC, the bytecode of Noodle: a module of functions and its binary form.

:func:`encode` and :func:`decode` convert between :class:`Module` and bytes,
:func:`verify` proves that a module can be run safely, :func:`disassemble`
prints it for people. What the instructions mean is said in
:class:`~hookspecs.bytecode.opcodes.Opcode`.

**The binary form**, format version 1. All numbers are little-endian; ``u8``,
``u16``, ``u32`` are unsigned, ``i64`` signed, ``f64`` IEEE 754. A *string* is a
u32 number of bytes and that much UTF-8. A *list of X* is a u32 number of items
and the items. A *bool* is a u8, 0 or 1.

======================  ========================================================
header, 16 bytes        magic ``NBC\x1a``; u16 format version; u16 zero;
                        u32 length of the body in bytes; u32 CRC-32 of the body
body                    file: string
                        names: list of string
                        constants: list of *constant*
                        name lists: list of list of string
                        types: list of (text: string, names: list of string)
                        functions: list of *function*; the first is the body of
                        the module
                        classes: list of *class*
                        structs: list of (name: string, fields: list of
                        *parameter*, has defaults: bool)
                        enums: list of (name: string, variants: list of
                        (name: string, has payload: bool, fields: list of
                        *parameter*, has defaults: bool))
                        exports: list of (exported: string, name: string)
                        and nothing after it
*constant*              u8 tag, then: 0 null, 1 false, 2 true: nothing; 3 int:
                        i64; 4 float: f64; 5 string: string
*parameter*             name: string; type: u32, 0 for none, else its index in
                        the types plus 1; kind: u8 (0 required, 1 optional,
                        2 variadic)
*function*              name: string; is initializer: bool; parameters: list
                        of *parameter*; captures: list of u32; slots: list of
                        (name: string, kind: u8 (0 plain, 1 cell, 2 iterator, 3
                        second slot of one)); stack size: u32; instructions: list of *instruction*;
                        handlers: list of (start, end, target, depth: u32 each);
                        source map: list of (start, line, column: u32 each)
*instruction*, 8 bytes  u8 opcode; u8 zero; u16 operand b; u32 operand a
*class*                 name: string; fields, methods, static methods, private:
                        list of string each; has constructor: bool; has
                        initializer: bool
======================  ========================================================

An instruction's place in the source is that of the last source map entry whose
start is not greater. Entries are sorted by start. A file of a newer format
version is refused: a version changes when an old reader would go wrong.
"""

from __future__ import annotations

from .binary import FORMAT_VERSION, MAGIC
from .decoding import decode
from .disassembly import disassemble
from .encoding import encode
from .module import (
    INT_MAX,
    INT_MIN,
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
    constant_key,
)
from .opcodes import (
    COMPARISON_TEXT,
    NO_FALL_THROUGH,
    SHAPES,
    Comparison,
    Opcode,
    Operand,
    Shape,
    Use,
)
from .verification import stack_effect, verify

__all__ = [
    "COMPARISON_TEXT",
    "FORMAT_VERSION",
    "INT_MAX",
    "INT_MIN",
    "MAGIC",
    "NO_FALL_THROUGH",
    "SHAPES",
    "ClassSpec",
    "Comparison",
    "Constant",
    "EnumSpec",
    "Export",
    "Function",
    "Handler",
    "Instruction",
    "Module",
    "Opcode",
    "Operand",
    "Parameter",
    "ParameterKind",
    "Shape",
    "Slot",
    "SlotKind",
    "SourceEntry",
    "StructSpec",
    "TypeCheck",
    "Use",
    "Variant",
    "constant_key",
    "decode",
    "disassemble",
    "encode",
    "stack_effect",
    "verify",
]
