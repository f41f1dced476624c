"""NBC: its binary form, its verification and its listing."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookspecs.bytecode import (
    FORMAT_VERSION,
    INT_MAX,
    INT_MIN,
    MAGIC,
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
    Parameter,
    ParameterKind,
    Slot,
    SlotKind,
    SourceEntry,
    StructSpec,
    TypeCheck,
    Variant,
    constant_key,
    decode,
    disassemble,
    encode,
    verify,
)

PROGRAMS = Path(__file__).parents[1] / "programs"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
constants = st.one_of(st.none(), st.booleans(), st.integers(INT_MIN, INT_MAX), st.floats(), texts)
parameters = st.builds(Parameter, texts, st.integers(-1, 2**31), st.sampled_from(ParameterKind))
few: Any = {"max_size": 4}
functions = st.builds(
    Function,
    texts,
    st.booleans(),
    st.lists(parameters, **few),
    st.lists(u32, **few),
    st.lists(st.builds(Slot, texts, st.sampled_from(SlotKind)), **few),
    u32,
    st.lists(st.builds(Instruction, st.sampled_from(Opcode), u32, u16), **few),
    st.lists(st.builds(Handler, u32, u32, u32, u32), **few),
    st.lists(st.builds(SourceEntry, u32, u32, u32), **few),
)
names = st.lists(texts, **few)
modules = st.builds(
    Module,
    texts,
    names,
    st.lists(constants, **few),
    st.lists(names, **few),
    st.lists(st.builds(TypeCheck, texts, names), **few),
    st.lists(functions, **few),
    st.lists(
        st.builds(ClassSpec, texts, names, names, names, names, st.booleans(), st.booleans()), **few
    ),
    st.lists(st.builds(StructSpec, texts, st.lists(parameters, **few), st.booleans()), **few),
    st.lists(
        st.builds(
            EnumSpec,
            texts,
            st.lists(
                st.builds(
                    Variant, texts, st.booleans(), st.lists(parameters, **few), st.booleans()
                ),
                **few,
            ),
        ),
        **few,
    ),
    st.lists(st.builds(Export, texts, texts), **few),
)


def keyed(module: Module) -> tuple[Any, ...]:
    """What must survive: constants by kind and bits, the rest by value."""
    keys = [constant_key(constant) for constant in module.constants]
    fields = [getattr(module, name) for name in module.__struct_fields__ if name != "constants"]
    return keys, fields


@settings(max_examples=150, deadline=None)
@given(modules)
def test_what_is_encoded_is_decoded(module: Module) -> None:
    assert keyed(decode(encode(module))) == keyed(module)


@settings(max_examples=150, deadline=None)
@given(modules, st.data())
def test_damage_is_found(module: Module, data: Any) -> None:
    code = bytearray(encode(module))
    at = data.draw(st.integers(0, len(code) - 1))
    code[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="NBC"):
        decode(bytes(code))
    with pytest.raises(ValueError, match="NBC"):
        decode(encode(module)[:at])


@settings(max_examples=300, deadline=None)
@given(modules, st.data())
def test_damage_under_a_right_checksum_is_an_error_or_another_module(
    module: Module, data: Any
) -> None:
    body = bytearray(encode(module)[16:])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for damaged in (bytes(body), bytes(body[:cut])):
        try:
            read = decode(sealed(damaged))
            verify(read)
        except ValueError as error:
            told = str(error)
        else:
            told = "NBC"
            disassemble(read)
        assert "NBC" in told


def sealed(body: bytes, version: int = FORMAT_VERSION, zero: int = 0) -> bytes:
    return struct.pack("<4sHHII", MAGIC, version, zero, len(body), zlib.crc32(body)) + body


def test_a_count_beyond_the_data_ends_with_the_data() -> None:
    with pytest.raises(ValueError, match="needs 4294967295 bytes"):
        decode(sealed(b"\xff\xff\xff\xff"))
    with pytest.raises(ValueError, match="damaged"):
        decode(sealed(b"\x00\x00\x00\x00\xff\xff\xff\xff"))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (b"", "0 bytes, expected a header of 16"),
        (b"PK\x03\x04" + bytes(12), "it begins with"),
        (sealed(b"", version=FORMAT_VERSION + 1), "newer than this reader's"),
        (sealed(b"", version=0), "header is damaged"),
        (sealed(b"", zero=1), "header is damaged"),
        (sealed(b"") + b"x", "something appended"),
    ],
)
def test_what_is_no_module_is_told_apart(code: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        decode(code)


def test_an_int_outside_64_bits_is_not_written() -> None:
    module = Module("", [], [2**63], [], [], [], [], [], [], [])
    with pytest.raises(ValueError, match="9223372036854775808 is outside 64 bits"):
        encode(module)


def test_constants_of_one_value_and_two_kinds_are_two() -> None:
    values = [1, 1.0, True, 0, 0.0, -0.0, False, None, "", "1", math.nan, math.inf]
    assert len({constant_key(value) for value in values}) == len(values)


def test_numbers_of_opcodes_are_fixed() -> None:
    # A number that changed its meaning would make old files do something else.
    assert [opcode.value for opcode in Opcode] == list(range(len(Opcode)))
    fixed = {"LOAD_CONST": 0, "LOAD_FAST": 20, "CALL_NAMED": 41, "BUILD_CLASS": 57, "THROW": 60}
    fixed |= {"END_INITIALIZER": 70, "CALL_INNER_METHOD": 71}
    assert {name: Opcode[name].value for name in fixed} == fixed
    assert set(SHAPES) == set(Opcode)


# -- verification ------------------------------------------------------------


def module_of(
    *code: Instruction,
    slots: list[Slot] | None = None,
    stack_size: int = 1,
    handlers: list[Handler] | None = None,
    **changes: Any,
) -> Module:
    body = Function(
        "<module>", False, [], [], slots or [], stack_size, list(code), handlers or [], []
    )
    for name in list(changes):
        if name in Function.__struct_fields__:
            setattr(body, name, changes.pop(name))
    return Module("m", ["print"], [None], [], [], [body], [], [], [], [], **changes)


def of(opcode: Opcode, a: int = 0, b: int = 0) -> Instruction:
    return Instruction(opcode, a, b)


o = Opcode
NULL, RETURN = of(o.LOAD_CONST), of(o.RETURN_VALUE)
ITERATOR = [Slot("", SlotKind.ITERATOR), Slot("", SlotKind.ITERATOR_STATE)]


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (module_of(), "no instruction"),
        (module_of(NULL), "goes on beyond its last instruction"),
        (module_of(RETURN, stack_size=0), "pops 1 values from a stack of 0"),
        (module_of(of(o.LOAD_CONST, 1), RETURN), "constant 1, expected less than 1"),
        (module_of(of(o.LOAD_CONST, 0, 1), RETURN), "none 1, expected less than 1"),
        (module_of(of(o.LOAD_NAME, 1), RETURN), "name 1, expected less than 1"),
        (module_of(of(o.LOAD_FAST), RETURN), "slot 0, expected less than 0"),
        (module_of(of(o.LOAD_FAST), RETURN, slots=[Slot("c", SlotKind.CELL)]), "of kind CELL"),
        (module_of(of(o.LOAD_CELL), RETURN, slots=[Slot("c", SlotKind.CELL)]), "certainly made"),
        (module_of(of(o.FOR_ITER, 1), NULL, RETURN, slots=ITERATOR), "certainly made"),
        (module_of(NULL, RETURN, slots=ITERATOR[:1]), "an iterator takes two slots"),
        (module_of(NULL, RETURN, slots=ITERATOR[1:]), "an iterator takes two slots"),
        (module_of(of(o.JUMP_ABSOLUTE, 2), NULL, stack_size=0), "target 2, expected less than 2"),
        (module_of(of(o.JUMP_FORWARD, 9), NULL, RETURN), "offset 9, expected less than"),
        (module_of(NULL, of(o.JUMP_ABSOLUTE), stack_size=1), "stack depth 1 and 0"),
        (module_of(NULL, RETURN, stack_size=2), "stack size 2, expected 1"),
        (module_of(NULL, of(o.COMPARE_OP, 6), RETURN), "comparison 6"),
        (module_of(NULL, of(o.CHECK_BOOL, 3), RETURN), "use 3"),
        (module_of(of(o.MAKE_FUNCTION, 5), RETURN), "function 5"),
        (module_of(of(o.BUILD_STRUCT), RETURN), "struct 0, expected less than 0"),
        (module_of(NULL, of(o.GET_RANGE, 0, 4), RETURN, slots=ITERATOR), "range of 4 values"),
        (module_of(NULL, of(o.END_INITIALIZER)), "not an initializer"),
        (module_of(NULL, RETURN, is_initializer=True), "is an initializer"),
        (module_of(NULL, RETURN, parameters=[Parameter("x")]), "has parameters or captures"),
        (module_of(NULL, RETURN, handlers=[Handler(0, 3, 0, 0)]), "not within its 2 instr"),
        (module_of(NULL, RETURN, handlers=[Handler(1, 1, 0, 0)]), "not within its 2 instr"),
        (module_of(NULL, RETURN, handlers=[Handler(0, 1, 1, 3)]), "pops below the depth"),
        (module_of(NULL, RETURN, source_map=[SourceEntry(2, 1, 1)]), "source map goes beyond"),
        (
            module_of(NULL, RETURN, source_map=[SourceEntry(1, 1, 1), SourceEntry(1, 2, 1)]),
            "source map is not sorted",
        ),
        (module_of(of(o.JUMP_IF_GIVEN, 1, 0), NULL, RETURN, slots=[Slot("x")]), "optional param"),
        (module_of(NULL, of(o.CALL_NAMED, 0, 0), RETURN), "name_list 0"),
    ],
)
def test_code_that_could_go_wrong_is_refused(module: Module, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        verify(module)
    assert "'m'" in str(caught.value)


def test_tables_that_could_go_wrong_are_refused() -> None:
    for change, told in (
        ({"name_lists": [["a", "a"]]}, "names one thing twice"),
        ({"structs": [StructSpec("S", [Parameter("x"), Parameter("x")])]}, "have one name"),
        ({"structs": [StructSpec("S", [Parameter("x", 3)])]}, "has type 3"),
        ({"enums": [EnumSpec("E", [Variant("V", False, [Parameter("x")])])]}, "no payload"),
        ({"enums": [EnumSpec("E", [Variant("V", False, [], True)])]}, "no payload"),
        (
            {
                "structs": [
                    StructSpec("S", [Parameter("x", -1, ParameterKind.VARIADIC), Parameter("y")])
                ]
            },
            "is not the last",
        ),
    ):
        module = module_of(NULL, RETURN)
        for name, value in change.items():
            setattr(module, name, value)
        with pytest.raises(ValueError, match=told):
            verify(module)


def test_verify_tells_the_depths() -> None:
    code = [NULL, of(o.POP_JUMP_IF_NULL, 4), NULL, RETURN]
    code += [NULL, NULL, of(o.BUILD_LIST, 2), RETURN, NULL]
    # The last instruction is not reached.
    depths = {0: 0, 1: 1, 2: 0, 3: 1, 4: 0, 5: 1, 6: 2, 7: 1}
    assert verify(module_of(*code, stack_size=2)) == [depths]


def test_every_program_of_the_corpus_verifies_and_is_listed(chain: Any) -> None:
    opcodes: set[Opcode] = set()
    for path in sorted(PROGRAMS.glob("*.noodle")):
        program = chain.compile(PROGRAMS, path.name).program
        for part in program.modules:
            module = decode(part.code)
            verify(module)
            listing = disassemble(module)
            for function in module.functions:
                opcodes |= {instruction.opcode for instruction in function.instructions}
                assert f"{function.name}(" in listing
            assert encode(module) == part.code
    assert len(opcodes) > 60


def test_a_listing_says_what_operands_mean(nbc: Any) -> None:
    module = nbc.assemble(
        """def <module>
        LOAD_BUILTIN print
        LOAD_CONST "text"
        CALL_FUNCTION 1
        POP_JUMP_IF_FALSE end AND
    end:
        MAKE_FUNCTION add
        RETURN_VALUE
    def add(a, b?, ...c)
        LOAD_FAST a
        LOAD_FAST b
        COMPARE_OP LT
        RETURN_VALUE
    """
    )
    lines = disassemble(module).splitlines()
    for shown in (
        "function 1 add(a, b?, ...c)",
        "     2     0 LOAD_BUILTIN         0 (print)",
        "     3     1 LOAD_CONST           0 ('text')",
        "     5     3 POP_JUMP_IF_FALSE    4, 1 (and)",
        "     7     4 MAKE_FUNCTION        1 (add)",
        "    10     0 LOAD_FAST            0 (a)",
        "    12     2 COMPARE_OP           2 (<)",
    ):
        assert shown in lines


def test_nothing_is_reached_behind_what_does_not_fall_through() -> None:
    for opcode in NO_FALL_THROUGH:
        assert SHAPES[opcode].pushes == 0
