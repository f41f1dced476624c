"""The component: runs programs, one machine for each."""

from __future__ import annotations

from collections.abc import Iterator

from hookspecs import SafePoint, hookimpl
from hookspecs.contracts.vm import Program, RunEvent

from .interpreter import run
from .machine import Machine


class Vm:
    """Runs NBC by interpretation."""

    @hookimpl
    def run(self, program: Program) -> Iterator[RunEvent | SafePoint]:
        """Run a program and yield what it prints; see the contract.

        Raises:
            ValueError: the program is no valid NBC; nothing of it was run.
        """
        yield from run(Machine(program))
