"""The virtual machine of Noodle's bytecode.

:mod:`.loading` verifies the modules of a program and :mod:`.translation` makes
register code of their stack code; :mod:`.interpreter` executes it on a
:class:`~.machine.Machine`, which holds the whole state of the running program.
"""

from .machine import Machine
from .vm import Vm

__all__ = ["Machine", "Vm"]
