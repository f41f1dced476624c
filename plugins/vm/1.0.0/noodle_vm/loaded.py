"""Functions in the form that the interpreter runs; made by :mod:`.loading`."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from hookspecs.bytecode import Handler, ParameterKind


class LoadedType:
    """A type that is checked at run time.

    A value whose Python class is ``exact`` fits without further questions.
    """

    __slots__ = ("exact", "names", "text")

    def __init__(self, text: str, names: list[str]) -> None:
        simple = {"int": int, "float": float, "bool": bool, "string": str, "List": list}
        self.text = text
        self.names = names
        self.exact: type | None = next((simple[name] for name in names if name in simple), None)


class LoadedParameter:
    __slots__ = ("kind", "name", "type")

    def __init__(self, name: str, type_: LoadedType | None, kind: ParameterKind) -> None:
        self.name = name
        self.type = type_
        self.kind = kind


class LoadedFunction:
    """Code and tables of one function.

    A frame's **registers** are its slots followed by the constants that the
    code uses, so that one instruction reads either. ``template`` holds the
    registers after parameters and captured cells. ``arity`` is the number of
    parameters if a call with that many positional arguments needs no further
    binding, else -1; ``checks`` are then the parameters with a type.
    ``origins`` gives for each instruction of ``code`` the one of the NBC
    function that can fail in it; ``handlers`` speak of those, except that
    their targets index ``code``. ``is_hidden`` functions, the built-in ones
    written in NBC, have no line in a stack trace.
    """

    __slots__ = (
        "arity",
        "captures",
        "checks",
        "code",
        "file",
        "handlers",
        "is_hidden",
        "is_initializer",
        "name",
        "origins",
        "parameters",
        "places",
        "starts",
        "template",
        "tested",
    )

    def __init__(self, name: str, file: str) -> None:
        self.name = name
        self.file = file
        self.is_initializer = False
        self.is_hidden = False
        self.parameters: list[LoadedParameter] = []
        self.arity = -1
        self.checks: list[tuple[int, LoadedType]] = []
        #: Optional parameters that the code asks for with JUMP_IF_GIVEN.
        self.tested: list[int] = []
        self.captures: list[int] = []
        self.template: list[Any] = []
        self.code: list[tuple[int, Any]] = []
        self.origins: list[int] = []
        self.handlers: list[Handler] = []
        #: The source map: first instructions, and their lines and columns.
        self.starts: list[int] = []
        self.places: list[tuple[int, int]] = []

    def place(self, ip: int) -> str:
        """``file:line:column`` of the instruction before ``ip``."""
        origin = self.origins[ip - 1] if ip else 0
        index = bisect_right(self.starts, origin) - 1
        line, column = self.places[index] if index >= 0 else (0, 0)
        return f"{self.file}:{line}:{column}"

    @property
    def called_name(self) -> str:
        """The name in messages about calls: a constructor has its class's."""
        return self.name.removesuffix(".constructor")
