"""Statements, and every way out of loops and ``try``."""

from __future__ import annotations

from collections.abc import Callable

from hookspecs import ast
from hookspecs.bytecode import Comparison, Opcode, SlotKind, Use

from .assembler import Label, Region
from .patterns import Patterns
from .unit import Final, Goal, Guard, Loop
from .variables import Home


class Statements(Patterns):
    """The part that generates statements; each leaves the stack as it was."""

    #: What ``return`` checks its value against.
    returns: ast.Type | None = None

    def declaration(self, node: ast.Statement) -> None:
        """See :class:`.declarations.FunctionUnit`."""
        raise NotImplementedError

    def statements(self, body: list[ast.Statement]) -> None:
        if not body:
            return
        self.at(body[0])
        self.new_cells(id(body))
        for statement in body:
            if isinstance(statement, ast.FunctionDeclaration):
                self.at(statement.function)
                self.function(statement.function)
                self.store(statement.binding)
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.Statement) -> None:
        method: Callable[[ast.Statement], None] | None
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            self.declaration(node)
        else:
            method(node)

    # -- values and variables ----------------------------------------------

    def _ExpressionStatement(self, node: ast.ExpressionStatement) -> None:  # noqa: N802
        self.expression(node.value)
        self.code.emit(Opcode.POP_TOP)

    def _FunctionDeclaration(self, node: ast.FunctionDeclaration) -> None:  # noqa: N802
        """It has its value from the beginning of the block."""

    def _Declare(self, node: ast.Declare) -> None:  # noqa: N802
        if node.value is None:
            self.at(node)
            self.constant(None)
        else:
            self.expression(node.value)
        self.at(node)
        self.store(node.binding)

    def _Assign(self, node: ast.Assign) -> None:  # noqa: N802
        target = node.target
        if isinstance(target, ast.Name):
            self.expression(node.value)
            self.at(node)
            self.store(target.binding)
            return
        self.expression(target.object)
        if isinstance(target, ast.Index):
            self.expression(target.index)
        self.expression(node.value)
        self._store_in(target)

    def _store_in(self, target: ast.Member | ast.Index) -> None:
        self.at(target)
        if isinstance(target, ast.Index):
            self.code.emit(Opcode.STORE_INDEX)
        else:
            self.code.emit(Opcode.STORE_ATTR, self.tables.name(target.name), int(self.is_inner))

    def _CompoundAssign(self, node: ast.CompoundAssign) -> None:  # noqa: N802
        target = node.target
        if isinstance(target, ast.Name):
            self.expression(target)
        elif isinstance(target, ast.Index):
            self.expression(target.object)
            self.expression(target.index)
            self.code.emit(Opcode.DUP_TOP_TWO)
            self.at(target)
            self.code.emit(Opcode.LOAD_INDEX)
        else:
            self.expression(target.object)
            self.code.emit(Opcode.DUP_TOP)
            self.at(target)
            self.code.emit(Opcode.LOAD_ATTR, self.tables.name(target.name), int(self.is_inner))
        self.expression(node.value)
        self.at(node)
        self.operator(node.operator)
        if isinstance(target, ast.Name):
            self.store(target.binding)
        else:
            self._store_in(target)

    def _Unpack(self, node: ast.Unpack) -> None:  # noqa: N802
        self.expression(node.value)
        self.at(node)
        has_rest = int(node.rest is not None)
        if node.form == "list":
            self.code.emit(Opcode.UNPACK_LIST, len(node.targets), has_rest)
        else:
            keys = [target.key or target.name for target in node.targets]
            self.code.emit(Opcode.UNPACK_OBJECT, self.tables.name_list(keys), has_rest)
        for target in [*node.targets, *([node.rest] if node.rest is not None else [])]:
            self.at(target)
            self.store(target.binding)

    # -- branches and loops ------------------------------------------------

    def _Block(self, node: ast.Block) -> None:  # noqa: N802
        self.statements(node.body)

    def _If(self, node: ast.If) -> None:  # noqa: N802
        end = Label()
        for position, branch in enumerate(node.branches):
            following = Label()
            self.jump_if(False, branch.condition, following, branch)
            self.statements(branch.body)
            is_last = position == len(node.branches) - 1 and node.otherwise is None
            if not is_last:
                self.code.jump(Opcode.JUMP_ABSOLUTE, end)
            self.code.place(following)
        if node.otherwise is not None:
            self.statements(node.otherwise)
        self.code.place(end)

    def _loop(self, loop: Loop, body: list[ast.Statement]) -> None:
        self.surroundings.append(loop)
        self.statements(body)
        self.surroundings.pop()

    def _new_loop(self) -> Loop:
        return Loop(Label(), Label(), self.code.depth)

    def _While(self, node: ast.While) -> None:  # noqa: N802
        # The condition stands behind the body: one jump a round.
        loop, start = self._new_loop(), Label()
        self.at(node)
        self.code.jump(Opcode.JUMP_ABSOLUTE, loop.next)
        if not loop.next.users:
            return
        self._place_start(start, loop)
        self._loop(loop, node.body)
        self.code.place(loop.next)
        self.jump_if(True, node.condition, start, node)
        self.code.place(loop.leave)

    def _place_start(self, start: Label, loop: Loop) -> None:
        self.code.place(start)
        start.depth = self.code.depth = loop.depth
        self.code.is_reachable = True

    def _DoWhile(self, node: ast.DoWhile) -> None:  # noqa: N802
        loop, start = self._new_loop(), Label()
        if not self.code.is_reachable:
            return
        self.code.place(start)
        self._loop(loop, node.body)
        self.code.place(loop.next)
        self.jump_if(True, node.condition, start, node)
        self.code.place(loop.leave)

    def _For(self, node: ast.For) -> None:  # noqa: N802
        loop, start, test = self._new_loop(), Label(), Label()
        self.at(node)
        self.new_cells(id(node))
        if node.initial is not None:
            self.statement(node.initial)
        self.at(node)
        self.code.jump(Opcode.JUMP_ABSOLUTE, test)
        if not test.users:
            return
        self._place_start(start, loop)
        self._loop(loop, node.body)
        self.code.place(loop.next)
        self.at(node)
        for binding in self.shared.variables.cells_of_block.get(id(node), ()):
            self.code.emit(Opcode.COPY_CELL, self.slot_of(binding))
        if node.step is not None:
            self.statement(node.step)
        self.code.place(test)
        if node.condition is None:
            self.code.jump(Opcode.JUMP_ABSOLUTE, start)
        else:
            self.jump_if(True, node.condition, start, node)
        self.code.place(loop.leave)

    def _ForIn(self, node: ast.ForIn) -> None:  # noqa: N802
        loop = self._new_loop()
        iterator = self.temporary(SlotKind.ITERATOR)
        iterable = node.iterable
        if self.is_range(iterable) and len(node.names) == 1:
            assert isinstance(iterable, ast.Call)
            for argument in iterable.arguments:
                self.expression(argument.value)
            self.at(iterable)
            self.code.emit(Opcode.GET_RANGE, iterator, len(iterable.arguments))
        else:
            self.expression(iterable)
            self.at(node)
            pairs = len(node.names) == 2
            self.code.emit(Opcode.GET_PAIRS if pairs else Opcode.GET_ITER, iterator)
        if not self.code.is_reachable:
            return
        self.code.place(loop.next)
        self.at(node)
        self.code.jump(Opcode.FOR_ITER, loop.leave, iterator)
        if len(node.names) == 2:
            self.code.emit(Opcode.UNPACK_LIST, 2)
        for name in node.names:
            self.at(name)
            self.bind(name.binding)
        self._loop(loop, node.body)
        self.code.jump(Opcode.JUMP_ABSOLUTE, loop.next)
        self.code.place(loop.leave)
        self.release(iterator)

    # -- ways out ----------------------------------------------------------

    def _Break(self, node: ast.Break) -> None:  # noqa: N802
        self.at(node)
        loop = self._innermost_loop()
        self._leave(Goal(loop, loop.leave))

    def _Continue(self, node: ast.Continue) -> None:  # noqa: N802
        self.at(node)
        loop = self._innermost_loop()
        self._leave(Goal(loop, loop.next))

    def _innermost_loop(self) -> Loop:
        return next(item for item in reversed(self.surroundings) if isinstance(item, Loop))

    def _Return(self, node: ast.Return) -> None:  # noqa: N802
        if node.value is None:
            self.at(node)
            self.constant(None)
        else:
            self.expression(node.value)
        self.at(node)
        check = self.tables.type(self.returns)
        if check >= 0:
            self.code.emit(Opcode.CHECK_TYPE, check)
        self._leave(Goal())

    def _leave(self, goal: Goal) -> None:
        """Go to the next ``finally`` on the way to a goal, or to the goal itself.

        A value to return is on the stack.
        """
        left: list[Guard] = []
        final = None
        for item in reversed(self.surroundings):
            if item is goal.loop:
                break
            if isinstance(item, Guard):
                left.append(item)
                final = item.final
                if final is not None:
                    break
        # The stack may get lower than the handlers of what is left can bear.
        for guard in left:
            self.code.close(guard.region)
        if final is not None:
            if goal.loop is None:
                self.code.emit(Opcode.STORE_FAST, final.value)
            self._cut_stack(left[-1].region.depth)
            self._go_through(final, final.index(goal))
        elif goal.loop is None or goal.label is None:
            self.code.emit(Opcode.RETURN_VALUE)
        else:
            self._cut_stack(goal.loop.depth)
            self.code.jump(Opcode.JUMP_ABSOLUTE, goal.label)
        for guard in left:
            self.code.open(guard.region)

    def _cut_stack(self, depth: int) -> None:
        while self.code.is_reachable and self.code.depth > depth:
            self.code.emit(Opcode.POP_TOP)

    def _go_through(self, final: Final, way: int | None) -> None:
        self.constant(way)
        self.code.emit(Opcode.STORE_FAST, final.way)
        self.code.jump(Opcode.JUMP_ABSOLUTE, final.start)

    # -- errors ------------------------------------------------------------

    def _Throw(self, node: ast.Throw) -> None:  # noqa: N802
        self.expression(node.value)
        self.at(node)
        self.code.emit(Opcode.THROW)

    def _Try(self, node: ast.Try) -> None:  # noqa: N802
        if not self.code.is_reachable:
            return
        if node.final is None:
            self._try_to_catch(node)
            return
        final = Final(Label(), self.temporary(), self.temporary())
        guard = Guard(Region(self.code.depth), final)
        self._guarded(guard, lambda: self._try_to_catch(node))
        self.at(node)
        goes_on = self.code.is_reachable
        self._go_through(final, None)
        self.code.handle(guard.region)
        if self.code.is_reachable:
            self.code.emit(Opcode.STORE_FAST, final.value)
            self._go_through(final, final.index(None))
        self.code.place(final.start)
        self.statements(node.final)
        self.at(node)
        self._go_on_behind(final, goes_on)
        self.release(final.way, final.value)

    def _go_on_behind(self, final: Final, goes_on: bool) -> None:
        """Go where each way leads that came through a ``finally``."""
        end = Label()
        if goes_on and final.goals:
            self.code.emit(Opcode.LOAD_FAST, final.way)
            self.code.jump(Opcode.POP_JUMP_IF_NULL, end)
        for index, goal in enumerate(final.goals):
            following = Label()
            if index < len(final.goals) - 1:
                self.code.emit(Opcode.LOAD_FAST, final.way)
                self.constant(index)
                self.code.emit(Opcode.COMPARE_OP, Comparison.EQ)
                self.code.jump(Opcode.POP_JUMP_IF_FALSE, following, Use.CONDITION)
            if goal is None:
                self.code.emit(Opcode.LOAD_FAST, final.value)
                self.code.emit(Opcode.RETHROW)
            else:
                if goal.loop is None:
                    self.code.emit(Opcode.LOAD_FAST, final.value)
                self._leave(goal)
            self.code.place(following)
        self.code.place(end)

    def _guarded(self, guard: Guard, generate: Callable[[], None]) -> None:
        self.code.open(guard.region)
        self.surroundings.append(guard)
        generate()
        self.surroundings.pop()
        self.code.close(guard.region)

    def _try_to_catch(self, node: ast.Try) -> None:
        if not node.catches:
            self.statements(node.body)
            return
        guard = Guard(Region(self.code.depth))
        self._guarded(guard, lambda: self.statements(node.body))
        normal = Label()
        self.code.jump(Opcode.JUMP_ABSOLUTE, normal)
        self.code.handle(guard.region)
        self._catches(node.catches, normal)
        self.code.place(normal)

    def _catches(self, catches: list[ast.Catch], normal: Label) -> None:
        """The error is on the stack; each clause goes on to ``normal``."""
        if not self.code.is_reachable:
            return
        for catch in catches:
            following = Label()
            self.at(catch)
            if catch.type is not None:
                self.code.emit(Opcode.DUP_TOP)
                self.expression(catch.type)
                self.at(catch)
                self.code.emit(Opcode.CATCH_MATCH)
                self.code.jump(Opcode.POP_JUMP_IF_FALSE, following, Use.CONDITION)
            self.bind(catch.binding)
            self.statements(catch.body)
            self.code.jump(Opcode.JUMP_ABSOLUTE, normal)
            self.code.place(following)
        self.code.emit(Opcode.RETHROW)

    def is_own_cell(self, binding: int) -> bool:
        return self.shared.variables.homes[binding] is Home.CELL
