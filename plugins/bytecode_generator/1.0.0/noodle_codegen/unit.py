"""One function being generated: its variables and what surrounds the code."""

from __future__ import annotations

from dataclasses import dataclass, field

from hookspecs import ast
from hookspecs.ast import BUILTIN
from hookspecs.bytecode import Opcode, SlotKind
from hookspecs.diagnostics import Diagnostic

from .assembler import Assembler, Label, Region
from .tables import Tables
from .variables import Home, Variables


@dataclass(eq=False)
class Loop:
    """Where ``break`` and ``continue`` lead, and the stack's depth there."""

    leave: Label
    next: Label
    depth: int


@dataclass(frozen=True)
class Goal:
    """Where a way out leads: an end of a loop; without one, out of the function."""

    loop: Loop | None = None
    label: Label | None = None


@dataclass
class Final:
    """A ``finally``, which stands in the code once, whichever way leads to it.

    Slot ``way`` says how it goes on: null for straight on, otherwise an index
    of ``goals``, where None stands for an error. Slot ``value`` is then the
    error, or what is returned.
    """

    start: Label
    way: int
    value: int
    goals: list[Goal | None] = field(default_factory=list)

    def index(self, goal: Goal | None) -> int:
        """The number of a goal; equal ones share it."""
        if goal not in self.goals:
            self.goals.append(goal)
        return self.goals.index(goal)


@dataclass
class Guard:
    """Code whose errors are handled, and what every way out of it goes through."""

    region: Region
    final: Final | None = None


@dataclass
class Shared:
    """What all functions of a module share."""

    module: ast.Module
    tables: Tables
    variables: Variables
    diagnostics: list[Diagnostic]


class Unit:
    """The base of the generator's parts.

    ``is_inner`` says that the code stands in a class, which may touch private
    members.
    """

    def __init__(self, shared: Shared, code: Assembler, is_inner: bool) -> None:
        self.shared = shared
        self.tables = shared.tables
        self.code = code
        self.is_inner = is_inner
        self.surroundings: list[Loop | Guard] = []
        self._slots: dict[int, int] = {}
        self._unused: dict[SlotKind, list[int]] = {SlotKind.PLAIN: [], SlotKind.ITERATOR: []}

    # -- variables ---------------------------------------------------------

    def _home(self, binding: int) -> Home:
        return self.shared.variables.homes[binding]

    def _binding_name(self, binding: int) -> str:
        return self.shared.module.bindings[binding].name

    def slot_of(self, binding: int) -> int:
        """The slot of a variable of this function, or of a captured one."""
        index = self._slots.get(binding)
        if index is None:
            is_cell = self._home(binding) is Home.CELL
            kind = SlotKind.CELL if is_cell else SlotKind.PLAIN
            index = self._slots[binding] = self.code.slot(self._binding_name(binding), kind)
        return index

    def put_in_slot(self, binding: int, slot: int) -> None:
        """Say that a parameter or a captured cell has that slot."""
        self._slots[binding] = slot

    def temporary(self, kind: SlotKind = SlotKind.PLAIN) -> int:
        """A slot without a name, until it is released."""
        unused = self._unused[kind]
        return unused.pop() if unused else self.code.slot("", kind)

    def release(self, *slots: int) -> None:
        """Let others have slots from :meth:`temporary`."""
        for slot in slots:
            self._unused[self.code.slots[slot].kind].append(slot)

    def module_name(self, binding: int) -> int:
        kind = self.shared.module.bindings[binding].kind
        name = self._binding_name(binding)
        if kind is ast.BindingKind.OWN_CLASS:
            # No source can write that name.
            name = f"<own {name}>"
        return self.tables.name(name)

    def load(self, name: str, binding: int) -> None:
        if binding == BUILTIN:
            self.code.emit(Opcode.LOAD_BUILTIN, self.tables.name(name))
            return
        home = self._home(binding)
        if home is Home.MODULE:
            self.code.emit(Opcode.LOAD_NAME, self.module_name(binding))
        elif home is Home.CELL:
            self.code.emit(Opcode.LOAD_CELL, self.slot_of(binding))
        else:
            self.code.emit(Opcode.LOAD_FAST, self.slot_of(binding))

    def store(self, binding: int) -> None:
        """Take the value from the stack into a variable that there is already."""
        home = self._home(binding)
        if home is Home.MODULE:
            self.code.emit(Opcode.STORE_NAME, self.module_name(binding))
        elif home is Home.CELL:
            self.code.emit(Opcode.STORE_CELL, self.slot_of(binding))
        else:
            self.code.emit(Opcode.STORE_FAST, self.slot_of(binding))

    def bind(self, binding: int) -> None:
        """Take the value from the stack into a variable that begins here."""
        if self._home(binding) is Home.CELL:
            self.code.emit(Opcode.MAKE_CELL, self.slot_of(binding))
        else:
            self.store(binding)

    def new_cells(self, block: int) -> None:
        """Make the cells of a block, which is entered."""
        for binding in self.shared.variables.cells_of_block.get(block, ()):
            self.code.emit(Opcode.EMPTY_CELL, self.slot_of(binding))

    # -- small things ------------------------------------------------------

    def constant(self, value: bool | int | float | str | None) -> None:
        self.code.emit(Opcode.LOAD_CONST, self.tables.constant(value))

    def at(self, node: ast.Node) -> None:
        self.code.at(node.line, node.column)

    def not_supported(self, what: str, node: ast.Node) -> None:
        self.shared.diagnostics.append(
            Diagnostic(
                "error",
                "code_generation",
                f"not supported yet: {what}",
                self.shared.module.file,
                node.line,
                node.column,
            )
        )
