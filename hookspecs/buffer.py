"""Shared memory as the author of a component sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable


@runtime_checkable
class Buffer(Protocol):
    """Bytes in shared memory, passed between processes without a copy.

    ``memoryview(b)``, ``numpy.frombuffer(b, ...)`` and the like sit on the memory itself.
    ``context.buffer(size)`` makes one; a parameter that is annotated with this class takes
    one. One that was received is read-only, unless it was given away.
    """

    def give(self) -> Self:
        """Give it away with the next call or result: the receiver may write, this side may not.

        No array or view may lie on it any more.
        """

    def __len__(self) -> int: ...

    if TYPE_CHECKING:

        def __buffer__(self, flags: int, /) -> memoryview: ...
