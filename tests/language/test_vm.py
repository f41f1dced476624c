"""The virtual machine by itself, on bytecode written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from hookspecs.bytecode import (
    ClassSpec,
    EnumSpec,
    Export,
    Opcode,
    Parameter,
    ParameterKind,
    StructSpec,
    TypeCheck,
    Variant,
    encode,
)
from hookspecs.contracts.vm import Exit, Program, ProgramModule


def printing(*lines: str) -> str:
    """A body that leaves a value on the stack, and prints it."""
    indented = "\n".join(lines)
    return f"""
        def <module>
            LOAD_BUILTIN print
            {indented}
            CALL_FUNCTION 1
            POP_TOP
            LOAD_CONST null
            RETURN_VALUE
    """


def test_an_empty_program_ends_at_once(chain: Any) -> None:
    assert list(chain.vm.run(Program([]))) == [Exit(0)]


@pytest.mark.parametrize(
    ("opcode", "left", "right", "result"),
    [
        ("BINARY_ADD", "1", "2", "3"),
        ("BINARY_ADD", "1.5", "2", "3.5"),
        ("BINARY_ADD", '"a"', "2.0", "a2.0"),
        ("BINARY_ADD", "null", '"b"', "nullb"),
        ("BINARY_SUBTRACT", "1", "3", "-2"),
        ("BINARY_SUBTRACT", "1.5", "1", "0.5"),
        ("BINARY_MULTIPLY", "-4", "3", "-12"),
        ("BINARY_DIVIDE", "6", "3", "2.0"),
        ("BINARY_MODULO", "-7", "2", "1"),
        ("BINARY_MODULO", "7.5", "-2", "-0.5"),
        ("BINARY_POWER", "2", "62", "4611686018427387904"),
        ("BINARY_POWER", "2", "-1", "0.5"),
        ("BINARY_POWER", "-1", "9000000000000000000", "1"),
        ("BINARY_POWER", "10.0", "400", "inf"),
        ("BINARY_POWER", "-10.0", "401", "-inf"),
        ("COMPARE_OP EQ", "1", "1.0", "true"),
        ("COMPARE_OP EQ", "1", "true", "false"),
        ("COMPARE_OP NE", '"a"', "null", "true"),
        ("COMPARE_OP LT", '"a"', '"b"', "true"),
        ("COMPARE_OP LE", "2", "1.5", "false"),
        ("COMPARE_OP GE", "2", "2", "true"),
    ],
)
def test_operators(opcode: str, left: str, right: str, result: str, nbc: Any) -> None:
    code = printing(f"LOAD_CONST {left}", f"LOAD_CONST {right}", opcode)
    assert nbc.prints(code) == result + "\n"
    # The same on values that the machine cannot know before it runs.
    code = printing(
        *(f"LOAD_CONST {left}", "STORE_NAME x", f"LOAD_CONST {right}", "STORE_NAME y"),
        *("LOAD_NAME x", "LOAD_NAME y", opcode),
    )
    assert nbc.prints(code) == result + "\n"


@pytest.mark.parametrize(
    ("opcode", "left", "right", "told"),
    [
        ("BINARY_ADD", "9223372036854775807", "1", "OverflowError: integer result of + is"),
        ("BINARY_SUBTRACT", "-9223372036854775808", "1", "OverflowError: integer result of -"),
        ("BINARY_MULTIPLY", "4611686018427387904", "-3", "OverflowError: integer result of *"),
        ("BINARY_POWER", "2", "63", "OverflowError: integer result of **"),
        ("BINARY_POWER", "7", "9000000000000000000", "OverflowError: integer result of **"),
        ("BINARY_DIVIDE", "1", "0", "DivisionError: division by zero"),
        ("BINARY_MODULO", "1.5", "0", "DivisionError: division by zero"),
        ("BINARY_POWER", "0.0", "-2", "DivisionError: division by zero"),
        ("BINARY_ADD", "true", "1", "TypeError: + needs two numbers, two lists or a string, not"),
        ("BINARY_ADD", "1", "null", "TypeError: + needs two numbers, two lists or a string, not"),
        ("BINARY_SUBTRACT", '"a"', "1", "TypeError: - needs two numbers, not string and int"),
        ("BINARY_MULTIPLY", "1", "false", "TypeError: * needs two numbers, not int and bool"),
        ("COMPARE_OP GT", "1", '"a"', "TypeError: > cannot compare int with string"),
        ("COMPARE_OP LE", "true", "false", "TypeError: <= cannot compare bool with bool"),
    ],
)
def test_operators_that_fail(opcode: str, left: str, right: str, told: str, nbc: Any) -> None:
    constants = printing(f"LOAD_CONST {left}", f"LOAD_CONST {right}", opcode)
    variables = printing(
        *(f"LOAD_CONST {left}", "STORE_NAME x", f"LOAD_CONST {right}", "STORE_NAME y"),
        *("LOAD_NAME x", "LOAD_NAME y", opcode),
    )
    for code, line in ((constants, 6), (variables, 10)):
        ran = nbc.run(code)
        assert ran.status == 1
        assert ran.stderr.startswith(f"test.noodle:{line}:1: {told}")
        assert ran.stderr.splitlines()[1:] == [f"  at <module> (test.noodle:{line}:1)"]


def test_a_value_on_the_stack_keeps_what_its_variable_had(nbc: Any) -> None:
    code = """
        def <module>
            LOAD_CONST 1
            STORE_FAST x
            LOAD_BUILTIN print
            LOAD_FAST x          # must still be 1 when x is 2
            DUP_TOP
            LOAD_CONST 2
            STORE_FAST x
            LOAD_FAST x
            BUILD_LIST 3
            CALL_FUNCTION 1
            RETURN_VALUE
    """
    assert nbc.prints(code) == "[1, 1, 2]\n"


def test_what_waits_on_the_stack_survives_a_handler(nbc: Any) -> None:
    code = """
        def <module>
            handler try caught caught 3
            LOAD_CONST 10
            STORE_FAST x
            LOAD_BUILTIN print
            LOAD_FAST x
            LOAD_CONST "kept"
        try:
            LOAD_CONST 99
            STORE_FAST x
            LOAD_CONST 1
            LOAD_CONST 0
            BINARY_DIVIDE
        caught:
            LOAD_ATTR message
            LOAD_FAST x
            BUILD_LIST 4
            CALL_FUNCTION 1
            RETURN_VALUE
    """
    assert nbc.prints(code) == '[10, "kept", "division by zero", 99]\n'


def test_short_circuits_leave_the_bool(nbc: Any) -> None:
    for jump, first, shown in (
        ("JUMP_IF_FALSE_OR_POP", "false", "false"),
        ("JUMP_IF_FALSE_OR_POP", "true", "right"),
        ("JUMP_IF_TRUE_OR_POP", "true", "true"),
        ("JUMP_IF_TRUE_OR_POP", "false", "right"),
    ):
        code = printing(f"LOAD_CONST {first}", f"{jump} end", 'LOAD_CONST "right"', "end:")
        assert nbc.prints(code) == shown + "\n"
    ran = nbc.run(printing("LOAD_CONST 1", "JUMP_IF_TRUE_OR_POP end", "LOAD_CONST 2", "end:"))
    assert "TypeError: || needs a bool, not int" in ran.stderr


def test_each_round_has_its_own_cell(nbc: Any) -> None:
    code = """
        def <module>
            BUILD_LIST 0
            STORE_FAST made
            LOAD_CONST 0
            MAKE_CELL i
        next:
            LOAD_CELL i
            LOAD_CONST 3
            COMPARE_OP LT
            POP_JUMP_IF_FALSE done
            LOAD_FAST made
            MAKE_FUNCTION lambda
            CALL_METHOD append 1
            POP_TOP
            COPY_CELL i
            LOAD_CELL i
            LOAD_CONST 1
            BINARY_ADD
            STORE_CELL i
            JUMP_ABSOLUTE next
        done:
            LOAD_FAST made
            GET_ITER it
        call:
            FOR_ITER end it
            STORE_FAST f
            LOAD_BUILTIN print
            LOAD_FAST f
            CALL_FUNCTION 0
            LOAD_FAST f
            CALL_FUNCTION 0
            CALL_FUNCTION 2
            POP_TOP
            JUMP_ABSOLUTE call
        end:
            LOAD_CONST null
            RETURN_VALUE
        def lambda [i]
            LOAD_CELL i
            LOAD_CONST 10
            BINARY_ADD
            DUP_TOP
            STORE_CELL i
            RETURN_VALUE
    """
    # The second cell is a copy of the first one before anyone added ten.
    assert nbc.prints(code) == "10 20\n11 21\n12 22\n"


def test_reading_too_early_names_the_variable(nbc: Any) -> None:
    for code in (
        "def <module>\nLOAD_NAME total\nRETURN_VALUE",
        "def <module>\nEMPTY_CELL total\nLOAD_CELL total\nRETURN_VALUE",
    ):
        assert 'ValueError: "total" has no value yet' in nbc.run(code).stderr


def test_arguments_find_their_parameters(nbc: Any) -> None:
    code = """
        def <module>
            LOAD_BUILTIN print
            MAKE_FUNCTION f
            LOAD_CONST 1
            LOAD_CONST 3
            CALL_NAMED 2 c
            MAKE_FUNCTION f
            LOAD_CONST 1
            LOAD_CONST 2
            LOAD_CONST 3
            LOAD_CONST 4
            CALL_FUNCTION 4
            MAKE_FUNCTION f
            BUILD_LIST 0
            LOAD_CONST "xy"
            LIST_EXTEND
            CALL_SPREAD
            CALL_FUNCTION 3
            RETURN_VALUE
        def f(a, b?, c?, ...rest)
            JUMP_IF_GIVEN given b
            LOAD_CONST "default"
            STORE_FAST b
        given:
            LOAD_FAST a
            LOAD_FAST b
            LOAD_FAST c
            LOAD_FAST rest
            BUILD_LIST 4
            RETURN_VALUE
    """
    expected = '[1, "default", 3, []] [1, 2, 3, [4]] ["x", "y", null, []]\n'
    assert nbc.prints(code) == expected


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("CALL_FUNCTION 0", "f() takes 1 to 2 arguments, not 0"),
        ("LOAD_CONST 1\nLOAD_CONST 2\nLOAD_CONST 3\nCALL_FUNCTION 3", "1 to 2 arguments, not 3"),
        ("LOAD_CONST 1\nCALL_NAMED 1 z", 'f() has no parameter "z"'),
        ("LOAD_CONST 1\nLOAD_CONST 1\nCALL_NAMED 2 a", 'f() got argument "a" twice'),
        ('LOAD_CONST "s"\nCALL_FUNCTION 1', 'argument "a" of f() must be int?, not string'),
        ("LOAD_CONST 1\nCALL_FUNCTION 1\nCALL_FUNCTION 0", "int is not callable"),
    ],
)
def test_wrong_calls_stand_at_the_caller(call: str, told: str, nbc: Any) -> None:
    code = f"""def <module>
            MAKE_FUNCTION f
            {call}
            RETURN_VALUE
        def f(a, b?)
            LOAD_FAST a
            RETURN_VALUE
    """
    module = nbc.assemble(code, types=[TypeCheck("int?", ["int", "null"])])
    module.functions[1].parameters[0] = Parameter("a", 0)
    ran = nbc.chain.run(Program([ProgramModule("m", encode(module), {})]))
    line = 2 + len(call.splitlines())
    assert told in ran.stderr
    assert ran.stderr.splitlines()[1:] == [f"  at <module> (test.noodle:{line}:1)"]


def test_defaults_of_structs_and_variants(nbc: Any) -> None:
    fields = [Parameter("x"), Parameter("y", -1, ParameterKind.OPTIONAL)]
    code = """
        def <module>
            LOAD_BUILTIN print
            MAKE_FUNCTION Point
            BUILD_STRUCT 0
            DUP_TOP
            STORE_FAST p
            LOAD_CONST 1
            CALL_FUNCTION 1
            LOAD_FAST p
            LOAD_CONST 5
            LOAD_CONST 6
            CALL_NAMED 2 y,x
            MAKE_FUNCTION Point
            BUILD_ENUM 0
            LOAD_ATTR At
            LOAD_CONST 7
            CALL_FUNCTION 1
            CALL_FUNCTION 3
            RETURN_VALUE
        def Point(x, y?)
            JUMP_IF_GIVEN given y
            LOAD_FAST x
            LOAD_CONST 100
            BINARY_MULTIPLY
            STORE_FAST y
        given:
            LOAD_FAST x
            LOAD_FAST y
            BUILD_LIST 2
            RETURN_VALUE
    """
    tables = {
        "structs": [StructSpec("Point", fields, True)],
        "enums": [EnumSpec("Place", [Variant("At", True, fields, True)])],
    }
    assert nbc.prints(code, **tables) == "Point(x: 1, y: 100) Point(x: 6, y: 5) Place.At(7, 700)\n"


def test_classes_initialize_parents_first_and_call_super(nbc: Any) -> None:
    code = """
        def <module>
            MAKE_FUNCTION Base.constructor
            MAKE_FUNCTION init_base
            BUILD_CLASS 0
            DUP_TOP
            STORE_FAST base
            MAKE_FUNCTION Derived.constructor
            MAKE_FUNCTION init_derived
            MAKE_FUNCTION show
            BUILD_CLASS 1 1
            STORE_NAME Derived
            LOAD_NAME Derived
            LOAD_CONST 3
            CALL_FUNCTION 1
            DUP_TOP
            CALL_METHOD show 0
            LOAD_BUILTIN print
            LOAD_CONST "end"
            CALL_FUNCTION 1
            RETURN_VALUE
        def Base.constructor(self, a)
            LOAD_BUILTIN print
            LOAD_CONST "base"
            LOAD_FAST a
            LOAD_FAST self
            CALL_FUNCTION 3
            RETURN_VALUE
        def init_base(self)
            LOAD_FAST self
            LOAD_CONST "from base"
            STORE_ATTR x 1
            END_INITIALIZER
        def Derived.constructor(self, a)
            LOAD_NAME Derived
            LOAD_FAST self
            LOAD_SUPER constructor
            LOAD_FAST a
            LOAD_CONST 1
            BINARY_ADD
            CALL_FUNCTION 1
            RETURN_VALUE
        def init_derived(self)
            LOAD_FAST self
            LOAD_FAST self
            LOAD_ATTR x 1
            LOAD_CONST ", derived"
            BINARY_ADD
            STORE_ATTR y 1
            END_INITIALIZER
        def show(self)
            LOAD_BUILTIN print
            LOAD_FAST self
            LOAD_ATTR y 1
            CALL_FUNCTION 1
            RETURN_VALUE
    """
    classes = [
        ClassSpec("Base", ["x"], [], [], [], True, True),
        ClassSpec("Derived", ["y"], ["show"], [], ["y"], True, True),
    ]
    with_pops = code.replace("CALL_METHOD show 0\n", "CALL_METHOD show 0\nPOP_TOP\nPOP_TOP\n")
    printed = nbc.prints(with_pops, classes=classes)
    shown = 'Derived(x: "from base", y: "from base, derived")'
    assert printed == f"base 4 {shown}\nfrom base, derived\nend\n"


def test_a_function_without_places_has_no_line_in_the_stack(nbc: Any) -> None:
    code = """def <module>
        MAKE_FUNCTION visible
        CALL_FUNCTION 0
        RETURN_VALUE
    def visible
        MAKE_FUNCTION hidden
        CALL_FUNCTION 0
        RETURN_VALUE
    def hidden
        LOAD_CONST 1
        THROW
    """
    module = nbc.assemble(code)
    module.functions[2].source_map = []
    ran = nbc.chain.run(Program([ProgramModule("m", encode(module), {})]))
    assert ran.stderr == (
        "test.noodle:7:1: TypeError: only an error can be thrown, not int\n"
        "  at visible (test.noodle:7:1)\n"
        "  at <module> (test.noodle:3:1)\n"
    )


def test_modules_share_what_they_export(nbc: Any) -> None:
    first = nbc.assemble(
        """
        def <module>
            LOAD_CONST 1
            STORE_NAME count
            MAKE_FUNCTION step
            STORE_NAME step
            LOAD_CONST null
            RETURN_VALUE
        def step
            LOAD_NAME count
            LOAD_CONST 1
            BINARY_ADD
            STORE_NAME count
            LOAD_CONST null
            RETURN_VALUE
        """,
        file="first.noodle",
        exports=[Export("counter", "count"), Export("step", "step")],
    )
    second = nbc.assemble(
        """
        def <module>
            IMPORT_MODULE ./first
            EXPORT_ALL
            LOAD_CONST null
            RETURN_VALUE
        """
    )
    third = nbc.assemble(
        """
        def <module>
            IMPORT_MODULE ./second
            STORE_FAST m
            LOAD_FAST m
            CALL_METHOD step 0
            POP_TOP
            LOAD_BUILTIN print
            LOAD_FAST m
            LOAD_EXPORT counter
            LOAD_FAST m
            LOAD_ATTR counter
            CALL_FUNCTION 2
            POP_TOP
            LOAD_FAST m
            LOAD_EXPORT nothing
            RETURN_VALUE
        """
    )
    ran = nbc.chain.run(
        Program(
            [
                ProgramModule("a", encode(first), {}),
                ProgramModule("b", encode(second), {"./first": "a"}),
                ProgramModule("c", encode(third), {"./second": "b"}),
            ]
        )
    )
    assert ran.stdout == "2 2\n"
    assert 'module "b" has no export "nothing"' in ran.stderr


def test_instructions_are_counted_one_by_one(nbc: Any) -> None:
    code = """
        def <module>
            LOAD_CONST 0
            STORE_FAST i
        next:
            LOAD_FAST i          # 7 instructions a round
            LOAD_CONST 1
            BINARY_ADD
            STORE_FAST i
            MAKE_FUNCTION f
            CALL_FUNCTION 0      # and 2 of the function
            POP_TOP
            LOAD_FAST i          # and 4
            LOAD_CONST 10
            COMPARE_OP LT
            POP_JUMP_IF_TRUE next
            LOAD_CONST null
            RETURN_VALUE
        def f
            LOAD_CONST null
            RETURN_VALUE
    """
    assert nbc.run(code).instructions == 2 + 10 * (7 + 2 + 4) + 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.functions.clear(), "no function"),
        (lambda m: m.functions[0].instructions.pop(), "source map goes beyond"),
        (lambda m: m.constants.clear(), "constant 0, expected less than 0"),
        (lambda m: setattr(m.functions[0], "stack_size", 9), "stack size 9, expected 1"),
    ],
)
def test_bad_code_is_refused_before_it_runs(change: Any, told: str, nbc: Any) -> None:
    module = nbc.assemble("def <module>\nLOAD_CONST null\nRETURN_VALUE")
    change(module)
    with pytest.raises(ValueError, match=told):
        list(nbc.chain.vm.run(Program([ProgramModule("m", encode(module), {})])))


def test_a_program_that_does_not_fit_together_is_refused(nbc: Any) -> None:
    body = "def <module>\n{}\nPOP_TOP\nLOAD_CONST null\nRETURN_VALUE"
    plain = encode(nbc.assemble(body.format("LOAD_CONST 1")))
    importing = encode(nbc.assemble(body.format("IMPORT_MODULE ./other")))
    unknown = encode(nbc.assemble(body.format("LOAD_BUILTIN launch")))
    for modules, told in (
        ([ProgramModule("m", b"NBC?", {})], "module 'm': not an NBC file"),
        ([ProgramModule("m", plain[:-1], {})], "module 'm': NBC file is truncated"),
        ([ProgramModule("m", plain, {"./x": "x"})], "imports 'x' as './x'"),
        ([ProgramModule("m", plain, {}), ProgramModule("m", plain, {})], "two modules"),
        ([ProgramModule("m", importing, {})], "imports './other'"),
        ([ProgramModule("m", unknown, {})], "needs 'launch' built in"),
    ):
        with pytest.raises(ValueError, match=told):
            list(nbc.chain.vm.run(Program(modules)))


def test_every_opcode_has_a_translation(chain: Any) -> None:
    chain.vm  # noqa: B018  # makes the plugin importable
    from noodle_vm import translation

    known = {*translation.PLAIN, *translation.BUILDS, *translation._HANDLERS}
    assert known == set(Opcode)
