"""Dead code elimination: what is never executed, or has no effect."""

from __future__ import annotations

from typing import Final

from hookspecs import ast

from .rewriter import Rewriter
from .uses import Uses, uses_of

_ENDS: Final = (ast.Return, ast.Throw, ast.Break, ast.Continue)
_DECLARATIONS: Final = (
    ast.FunctionDeclaration,
    ast.ClassDeclaration,
    ast.StructDeclaration,
    ast.EnumDeclaration,
    ast.ImportModule,
    ast.ImportNames,
    ast.ExportNames,
    ast.ExportFrom,
)


class DeadCode(Rewriter):
    """Removes statements."""

    def __init__(self, uses: Uses) -> None:
        super().__init__()
        self._uses = uses

    def statements(self, body: list[ast.Statement]) -> list[ast.Statement]:
        visited = self.items(body)
        kept: list[ast.Statement] = []
        for position, statement in enumerate(visited):
            if self._has_no_effect(statement):
                self.count += 1
                continue
            kept.append(statement)
            if isinstance(statement, _ENDS):
                kept += self._behind_end(visited[position + 1 :])
                break
        return visited if len(kept) == len(visited) else kept

    def _has_no_effect(self, statement: ast.Statement) -> bool:
        match statement:
            case ast.ExpressionStatement(value=ast.Literal()):
                return True
            case ast.Block(body=[]) | ast.If(branches=[], otherwise=None | []):
                return True
            case ast.Declare():
                return self._uses.uses[statement.binding] == 0 and isinstance(
                    statement.value, None | ast.Literal | ast.Lambda
                )
        return False

    def _behind_end(self, rest: list[ast.Statement]) -> list[ast.Statement]:
        """What stays of statements that cannot be reached.

        Declarations stay if something that can be reached may refer to them.
        """
        if any(isinstance(statement, _DECLARATIONS) for statement in rest):
            return rest
        inside = uses_of(rest)
        for binding in inside.declared:
            if inside.uses[binding] != self._uses.uses[binding]:
                return rest
        self.count += len(rest)
        return []

    def leave_If(self, node: ast.If) -> ast.Statement:  # noqa: N802
        branches: list[ast.Branch] = []
        otherwise = node.otherwise
        for branch in node.branches:
            condition = branch.condition
            if isinstance(condition, ast.Literal) and isinstance(condition.value, bool):
                self.count += 1
                if condition.value:
                    otherwise = branch.body
                    break
                continue
            branches.append(branch)
        if len(branches) == len(node.branches):
            return node
        if not branches:
            return ast.Block(node.line, node.column, otherwise or [])
        return ast.If(node.line, node.column, branches, otherwise)

    def leave_While(self, node: ast.While) -> ast.Statement:  # noqa: N802
        if isinstance(node.condition, ast.Literal) and node.condition.value is False:
            self.count += 1
            return ast.Block(node.line, node.column, [])
        return node
