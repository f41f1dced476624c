"""The contract of kind ``memory_manager``: regions for values that outgrow a message."""

from __future__ import annotations

import msgspec

from ..markers import hookspec, query


class Allocation(msgspec.Struct, frozen=True, array_like=True):
    """A range of bytes that belongs to one program until it is released."""

    allocation_id: int
    program_id: str
    offset_bytes: int
    size_bytes: int


class MemoryStatistics(msgspec.Struct, frozen=True, array_like=True):
    """``fragmentation`` is 1 - largest free block / all free bytes, 0 to 1."""

    live_bytes: int
    peak_bytes: int
    free_bytes: int
    allocations: int
    fragmentation: float


class MemoryManagerSpec:
    @hookspec(firstresult=True)
    def allocate(self, program_id: str, size_bytes: int) -> Allocation:
        """Allocate; raises ``MemoryError`` when the program's quota is used up."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def release(self, allocation_id: int) -> None:
        """Give an allocation back; raises ``KeyError`` for one that is not live."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    @query
    def statistics(self) -> MemoryStatistics:
        """Live and peak bytes, and how broken up the free ones are."""
        raise NotImplementedError
