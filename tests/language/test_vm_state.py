"""A running program can be carried to another machine at any safe point."""

from __future__ import annotations

import marshal
import pickle
from pathlib import Path
from typing import Any

import pytest

from hookspecs.contracts.vm import Exit, Output, Program

PROGRAMS = Path(__file__).parents[1] / "programs"
MOVED = [
    *(PROGRAMS / f"{name}.noodle" for name in "arguments closures containers".split()),
    *(PROGRAMS / f"{name}.noodle" for name in "destructuring errors_flow options".split()),
    *(PROGRAMS / f"{name}.noodle" for name in "patterns pipelines shapes scopes".split()),
    *(PROGRAMS / "errors" / f"{name}.noodle" for name in "deep_stack thrown_again".split()),
    PROGRAMS / "errors" / "in_another_module.noodle",
]


class Mover:
    """Runs a program on a new machine after each slice of ``step`` instructions."""

    def __init__(self, program: Program, step: int) -> None:
        from noodle_vm import Machine, snapshot
        from noodle_vm.interpreter import run

        self.run = run
        self.snapshot = snapshot
        self.program = program
        self.machine = Machine(program)
        self.step = step
        self.moves = 0
        self.printed = ""

    def to_the_end(self) -> Exit:
        while True:
            self.machine.limit = self.machine.count + self.step
            running = self.run(self.machine)
            for event in running:
                if isinstance(event, Exit):
                    return event
                if isinstance(event, Output):
                    self.printed += event.text
                else:
                    break
            running.close()
            self.move()

    def move(self) -> None:
        self.moves += 1
        if self.moves % 2:
            self.machine = pickle.loads(pickle.dumps(self.machine))
        else:
            # marshal takes nothing but plain data.
            state = marshal.loads(marshal.dumps(self.snapshot.take(self.machine)))
            self.machine = self.snapshot.restore(self.program, state)


@pytest.mark.parametrize("path", MOVED, ids=lambda path: path.stem)
@pytest.mark.parametrize("step", [1, 83])
def test_moving_changes_nothing(path: Path, step: int, chain: Any) -> None:
    program = chain.compile(path.parent, path.name).program
    expected = chain.run(program)
    # A move costs as much as thousands of instructions.
    step = max(step, expected.instructions // 400)
    mover = Mover(program, step)
    last = mover.to_the_end()
    assert mover.moves >= expected.instructions // 1000
    assert mover.printed == expected.stdout
    told = [] if last.error is None else [last.error, *last.stack]
    assert "".join(line + "\n" for line in told) == expected.stderr
    assert (last.status, last.instructions) == (expected.status, expected.instructions)


def source_program(chain: Any, folder: Path, source: str) -> Program:
    (folder / "main.noodle").write_text(source, encoding="utf-8")
    program: Program = chain.compile(folder, "main.noodle").program
    return program


def test_depth_cycles_and_loops_in_progress_come_along(chain: Any, tmp_path: Path) -> None:
    program = source_program(
        chain,
        tmp_path,
        """
        class Node { value: int\n next: any = null\n constructor(value) { self.value = value } }
        let first = null
        for i in range(0, 5000) {
            let node = Node(i)
            node.next = first
            first = node
        }
        keys = {Some(1): "some", true: "yes", 1: "one", None: "none"}
        keys[first] = "node"
        ring = [1]
        ring.append(ring)
        shared = [0]
        both = {"a": shared, "b": shared}
        for i in range(0, 300, 7) { for c in "abc" { for x in [i, i + 1] { shared[0] += x } } }
        for (k, v in keys) { print(typeOf(k), v, keys[k]) }
        both["a"].append(5)
        print(ring == ring[1], shared, both)
        steps = 0
        let node = first
        while node != null { steps += node.value; node = node.next }
        print(steps)
        """,
    )
    mover = Mover(program, 10_000)
    last = mover.to_the_end()
    assert last.status == 0
    assert mover.moves > 10
    assert mover.printed.splitlines() == [
        "Option some some",
        "bool yes yes",
        "int one one",
        "Option none none",
        "Node node node",
        "true [38055, 5] " + '{"a": [38055, 5], "b": [38055, 5]}',
        "12497500",
    ]


def test_the_state_is_in_terms_of_the_bytecode(nbc: Any) -> None:
    program = nbc.program(
        """
        def <module>
            LOAD_BUILTIN print
            MAKE_FUNCTION f
            LOAD_CONST 4
            CALL_FUNCTION 1
            CALL_FUNCTION 1
            RETURN_VALUE
        def f(n)
            LOAD_CONST 0
            STORE_FAST i
        next:
            LOAD_FAST i
            LOAD_CONST 1
            BINARY_ADD
            STORE_FAST i
            LOAD_FAST i
            LOAD_FAST n
            COMPARE_OP LT
            POP_JUMP_IF_TRUE next
            LOAD_FAST i
            RETURN_VALUE
        """
    )
    mover = Mover(program, 10)
    running = mover.run(mover.machine)
    mover.machine.limit = 10
    next(running)
    state = mover.snapshot.take(mover.machine)
    running.close()
    # The body waits for its instruction 3 with print on the stack, the function is
    # at its loop's begin after two rounds.
    assert state["frames"] == [(0, 0, 3, [], [("built in", "print")])]
    assert state["top"] == (0, 1, 2, [4, 2], [])
    # Two rounds; what a function does before its first jump is counted there.
    assert state["count"] == 16
    assert state["objects"] == []


def test_a_state_of_another_version_is_refused(nbc: Any) -> None:
    program = nbc.program("def <module>\nLOAD_CONST null\nRETURN_VALUE")
    mover = Mover(program, 10)
    state = mover.snapshot.take(mover.machine)
    state["version"] = 99
    with pytest.raises(ValueError, match="state of version 99, expected 1"):
        mover.snapshot.restore(program, state)
