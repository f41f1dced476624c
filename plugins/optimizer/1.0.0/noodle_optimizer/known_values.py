"""What is known of variables at each place: the common part of both propagations.

A use is replaced only if the declaration has certainly been executed before:
it stands further up in the same block or an enclosing one. A function that is
declared can be called from the beginning of its block, and so sees only what
stands above that.
"""

from __future__ import annotations

from typing import Any

from hookspecs import ast

from .rewriter import Rewriter
from .uses import Uses


class KnownValues(Rewriter):
    """Goes through a tree and remembers what subclasses learn from declarations.

    Declarations are numbered as they are passed. ``_hidden`` has, for each
    enclosing declared function, the numbers from the beginning of its block to
    its own.
    """

    def __init__(self, uses: Uses) -> None:
        super().__init__()
        self.uses = uses
        self._learned: dict[int, tuple[int, Any]] = {}
        self._block_began = 0
        self._hidden: list[tuple[int, int]] = []

    def learn(self, binding: int, value: Any) -> None:
        """From here on the variable is known."""
        self._learned[binding] = (len(self._learned), value)

    def known(self, binding: int) -> Any:
        """What was learned of a variable, None if nothing holds here."""
        number, value = self._learned.get(binding, (0, None))
        if value is not None and any(began <= number < ended for began, ended in self._hidden):
            return None
        return value

    def statements(self, body: list[ast.Statement]) -> list[ast.Statement]:
        outer, self._block_began = self._block_began, len(self._learned)
        try:
            return self.items(body)
        finally:
            self._block_began = outer

    def children(self, kind: type, node: Any) -> Any:
        if kind is not ast.FunctionDeclaration:
            return super().children(kind, node)
        self._hidden.append((self._block_began, len(self._learned)))
        try:
            return super().children(kind, node)
        finally:
            self._hidden.pop()
