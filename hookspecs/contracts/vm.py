"""The contract of kind ``vm``: runs NBC and streams what the program prints."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..markers import SafePoint, hookspec


class ProgramModule(msgspec.Struct, frozen=True, array_like=True):
    """One compiled module; ``imports`` maps its import paths to module names."""

    name: str
    code: bytes
    imports: dict[str, str]


class Program(msgspec.Struct, frozen=True, array_like=True):
    """Modules in the order to initialize; the last one is the main module."""

    modules: list[ProgramModule]


class Output(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Text that the program printed; may hold several lines or part of one."""

    text: str


class Exit(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The program ended: always the last event.

    ``status`` is 0, or 1 after an uncaught error. ``error`` is then
    ``file:line:column: Type: message`` and ``stack`` holds one line a frame,
    innermost first. ``instructions`` counts what was executed.
    """

    status: int
    error: str | None = None
    stack: list[str] = []
    instructions: int = 0


RunEvent = Output | Exit


class VmSpec:
    @hookspec(firstresult=True)
    def run(self, program: Program) -> Iterator[RunEvent | SafePoint]:
        """Run a program to its end.

        Yields ``SAFE_POINT`` often enough (every few milliseconds) that the
        run can be cancelled and that other calls are served meanwhile.
        """
        raise NotImplementedError
