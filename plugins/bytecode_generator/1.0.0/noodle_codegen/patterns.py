"""``match``: tests that fail to the next arm, and bindings."""

from __future__ import annotations

from hookspecs import ast
from hookspecs.bytecode import Comparison, Opcode, Use

from .assembler import Label
from .expressions import Expressions


class Patterns(Expressions):
    """The part that generates ``match``.

    Parts of the value wait in slots, not on the stack, so that a test can fail
    anywhere with nothing to clean up.
    """

    def statements(self, body: list[ast.Statement]) -> None:
        """See :class:`.statements.Statements`."""
        raise NotImplementedError

    def match(self, node: ast.Match) -> None:
        self.expression(node.subject)
        subject = self.temporary()
        self.code.emit(Opcode.STORE_FAST, subject)
        end = Label()
        for arm in node.arms:
            following = Label()
            self.at(arm)
            self.code.emit(Opcode.LOAD_FAST, subject)
            self._pattern(arm.pattern, following)
            if arm.guard is not None:
                self.jump_if(False, arm.guard, following, arm)
            self.statements(arm.body)
            if arm.result is None:
                self.constant(None)
            else:
                self.expression(arm.result)
            self.code.jump(Opcode.JUMP_ABSOLUTE, end)
            self.code.place(following)
        self.at(node)
        self.code.emit(Opcode.LOAD_FAST, subject)
        self.code.emit(Opcode.MATCH_FAIL)
        self.code.place(end)
        self.release(subject)

    def _pattern(self, pattern: ast.Pattern, fail: Label) -> None:
        """Take the value from the stack; jump to ``fail`` if it does not fit."""
        self.at(pattern)
        match pattern:
            case ast.WildcardPattern():
                self.code.emit(Opcode.POP_TOP)
            case ast.BindPattern():
                self.bind(pattern.binding)
            case ast.LiteralPattern():
                self.constant(pattern.value)
                self.code.emit(Opcode.COMPARE_OP, Comparison.EQ)
                self.code.jump(Opcode.POP_JUMP_IF_FALSE, fail, Use.CONDITION)
            case ast.ConstructorPattern():
                self.expression(pattern.constructor)
                self.at(pattern)
                self.code.emit(Opcode.MATCH_CONSTRUCTOR, len(pattern.arguments))
                self._parts(list(pattern.arguments), fail)
            case ast.ListPattern():
                has_rest = pattern.rest is not None
                self.code.emit(Opcode.MATCH_LIST, len(pattern.items), int(has_rest))
                rest = [pattern.rest] if pattern.rest is not None else []
                self._parts([*pattern.items, *rest], fail)
            case ast.ObjectPattern():
                keys = [field.key for field in pattern.fields]
                self.code.emit(Opcode.MATCH_OBJECT, self.tables.name_list(keys))
                self._parts([field.pattern for field in pattern.fields], fail)

    def _parts(self, patterns: list[ast.Pattern], fail: Label) -> None:
        """Take a list of values, or null if nothing fits, from the stack."""
        found = self.temporary()
        self.code.emit(Opcode.STORE_FAST, found)
        self.code.emit(Opcode.LOAD_FAST, found)
        self.code.jump(Opcode.POP_JUMP_IF_NULL, fail)
        self.release(found)
        if not patterns:
            return
        self.code.emit(Opcode.LOAD_FAST, found)
        self.code.emit(Opcode.UNPACK_LIST, len(patterns))
        slots = [self.temporary() for _ in patterns]
        for slot in slots:
            self.code.emit(Opcode.STORE_FAST, slot)
        for pattern, slot in zip(patterns, slots, strict=True):
            self.code.emit(Opcode.LOAD_FAST, slot)
            self.release(slot)
            self._pattern(pattern, fail)
