"""Functions in the form that the interpreter runs; made by :mod:`.translation`."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, TypeAlias

from hookspecs.bytecode import Handler, ParameterKind

#: An operation (see :mod:`.operations`) and its three operands.
Code: TypeAlias = tuple[int, Any, Any, Any]

_EXACT = {
    "int": int,
    "float": float,
    "bool": bool,
    "string": str,
    "List": list,
    "Map": dict,
}


class LoadedType:
    """A type that is checked at run time.

    A value whose Python class is ``exact`` fits without further questions.
    """

    __slots__ = ("exact", "names", "text")

    def __init__(self, text: str, names: list[str]) -> None:
        self.text = text
        self.names = frozenset(names)
        self.exact: type | None = next((_EXACT[name] for name in names if name in _EXACT), None)


class LoadedParameter:
    """``type`` is None if everything fits."""

    __slots__ = ("kind", "name", "type")

    def __init__(self, name: str, type_: LoadedType | None, kind: ParameterKind) -> None:
        self.name = name
        self.type = type_
        self.kind = kind


class LoadedFunction:
    """Code and tables of one function.

    A frame's **registers** are its slots, a register for every place of the
    stack, the constants that the code uses and a last one for results that
    nobody wants. ``template`` holds those after parameters and captured cells.
    ``stack_base`` is the register of the lowest stack place.

    ``module`` and ``index`` say which NBC function it is; ``module`` is -1 for
    the built-in ones written in NBC. ``arity`` is the number of parameters if a
    call with that many positional arguments needs no further binding, else -1;
    ``checks`` are then the parameters with a type. ``tested`` are the optional
    parameters that the code asks for with JUMP_IF_GIVEN. ``is_hidden`` functions
    have no line in a stack trace, and are no call in progress.

    ``origins`` gives for each operation of ``code`` the NBC instruction that can
    fail in it; ``handlers`` speak of those, and ``targets`` maps theirs to
    ``code``. For a frame that waits for a call, ``waiting`` maps the next
    operation to the registers of its stack, and ``calls`` the NBC instruction
    of the call to the next operation. For one that is paused, ``pauses`` maps
    the next operation to the next NBC instruction and the registers of its
    stack, and ``resumes`` back.
    """

    __slots__ = (
        "arity",
        "calls",
        "captures",
        "checks",
        "code",
        "file",
        "handlers",
        "index",
        "is_hidden",
        "module",
        "name",
        "origins",
        "parameters",
        "pauses",
        "places",
        "resumes",
        "slots",
        "stack_base",
        "starts",
        "targets",
        "template",
        "tested",
        "waiting",
    )

    def __init__(self, name: str, file: str, module: int, index: int) -> None:
        self.name = name
        self.file = file
        self.module = module
        self.index = index
        self.is_hidden = False
        self.parameters: list[LoadedParameter] = []
        self.arity = -1
        self.checks: list[tuple[int, LoadedType]] = []
        self.tested: frozenset[int] = frozenset()
        self.captures: list[int] = []
        self.slots = 0
        self.stack_base = 0
        self.template: list[Any] = []
        self.code: list[Code] = []
        self.origins: list[int] = []
        self.handlers: list[Handler] = []
        self.targets: dict[int, int] = {}
        self.waiting: dict[int, list[int]] = {}
        self.calls: dict[int, int] = {}
        self.pauses: dict[int, tuple[int, list[int]]] = {}
        self.resumes: dict[int, int] = {}
        #: The source map: first instructions, and their lines and columns.
        self.starts: list[int] = []
        self.places: list[tuple[int, int]] = []

    def place(self, ip: int) -> str:
        """``file:line:column`` of the operation before ``ip``."""
        index = bisect_right(self.starts, self.origins[ip - 1]) - 1
        line, column = self.places[index] if index >= 0 else (0, 0)
        return f"{self.file}:{line}:{column}"

    def handler(self, origin: int) -> Handler | None:
        """The handler of an error at an NBC instruction."""
        for handler in self.handlers:
            if handler.start <= origin < handler.end:
                return handler
        return None

    @property
    def called_name(self) -> str:
        """The name in messages about calls: a constructor has its class's."""
        return self.name.removesuffix(".constructor")
