"""A program that runs: its modules, its frames, what it has printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from hookspecs import SAFE_POINT, SafePoint
from hookspecs.bytecode import decode
from hookspecs.contracts.vm import Exit, Output, Program, RunEvent

from .calls import MAX_CALLS
from .loaded import LoadedFunction
from .loading import LoadedModule
from .operations import Op
from .prelude import prelude
from .stack_trace import stack_trace
from .values import ErrorValue, ModuleValue, Value

#: Function, iterator over its code, registers, and the register in it that gets
#: the result of the call that it waits for.
Frame: TypeAlias = tuple[LoadedFunction, Any, list[Value], int]

#: NBC instructions between safe points: about two milliseconds.
SLICE: Final = 8192
#: Characters that are printed before they are sent at the next operation.
BUFFER: Final = 8192
#: Characters of one piece of output at most.
PIECE: Final = 1 << 16


def end_function() -> LoadedFunction:
    """What the body of a module returns to."""
    function = LoadedFunction("<end>", "", -1, -1)
    function.code = [(int(Op.HALT), None, None, None)]
    function.origins = [0]
    function.is_hidden = True
    return function


class Machine:
    """The whole state of a running program.

    The innermost function is ``function``, ``operations`` (an iterator over its
    code that stands at the next operation) and ``registers``; ``frames`` are
    those that wait for it, the outermost first. While :func:`~.interpreter.execute`
    runs, it holds the first three in variables of its own and ``count`` too.
    """

    __slots__ = (
        "count",
        "current",
        "frames",
        "function",
        "limit",
        "max_frames",
        "modules",
        "operations",
        "output",
        "output_size",
        "prelude",
        "program",
        "registers",
    )

    def __init__(self, program: Program) -> None:
        """Load all modules of a program.

        Raises:
            ValueError: a module is no NBC, cannot be run safely, or imports what
                the program does not hold before it.
        """
        self.program = program
        self.prelude = prelude()
        self.modules: list[LoadedModule] = []
        values: dict[str, ModuleValue] = {}
        for number, part in enumerate(program.modules):
            imports: dict[str, ModuleValue] = {}
            for path, name in part.imports.items():
                if name not in values:
                    raise ValueError(
                        f"module {part.name!r} imports {name!r} as {path!r}, "
                        "expected a module that the program holds before it"
                    )
                imports[path] = values[name]
            if part.name in values:
                raise ValueError(f"two modules of the program are called {part.name!r}")
            try:
                decoded = decode(part.code)
            except ValueError as error:
                raise ValueError(f"module {part.name!r}: {error}") from error
            module = LoadedModule(decoded, part.name, number, imports, self.prelude.builtin)
            self.modules.append(module)
            values[part.name] = module.value
        self.output: list[str] = []
        self.output_size = 0
        #: NBC instructions that were executed, and when to pause next.
        self.count = 0
        self.limit = SLICE
        #: The module whose body runs; none is left at the end.
        self.current = -1
        self.frames: list[Frame] = []
        self.max_frames = 0
        self.function: LoadedFunction = end_function()
        self.operations: Any = iter(self.function.code)
        self.registers: list[Value] = []
        self.next_module()

    def next_module(self) -> bool:
        """Stand at the beginning of the next module's body; false if there is none."""
        if 0 <= self.current < len(self.modules):
            self.modules[self.current].value.initialized = True
        self.current += 1
        if self.current >= len(self.modules):
            return False
        end = end_function()
        self.frames = [(end, iter(end.code), [None], -1)]
        self.function = self.modules[self.current].functions[0]
        self.registers = list(self.function.template)
        self.operations = iter(self.function.code)
        self.max_frames = MAX_CALLS + 1 + self.function.is_hidden
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickling is right only at a safe point: elsewhere the interpreter holds the state."""
        from . import snapshot

        return snapshot.restore, (self.program, snapshot.take(self))

    # -- output and safe points --------------------------------------------

    def write(self, text: str) -> None:
        self.output.append(text)
        self.output_size += len(text)
        if self.output_size >= BUFFER:
            # The interpreter looks at the limit after each call.
            self.limit = -1

    def flush(self) -> Iterator[Output]:
        text = "".join(self.output)
        pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        for number, piece in enumerate(pieces, 1):
            # What is not sent yet belongs to the state: the program may be moved now.
            self.output = pieces[number:]
            self.output_size = sum(map(len, self.output))
            yield Output(piece)

    def pause(self) -> Iterator[RunEvent | SafePoint]:
        """Send what was printed and let others run."""
        self.limit = self.count + SLICE
        yield from self.flush()
        yield SAFE_POINT

    # -- errors ------------------------------------------------------------

    def instruction_of(self) -> int:
        """The NBC instruction of the operation before the next one; -1 at the beginning."""
        ip = len(self.function.code) - self.operations.__length_hint__()
        return self.function.origins[ip - 1] if ip else -1

    def unwind(self, error: ErrorValue) -> bool:
        """Go on at the handler of an error in the current operation.

        Returns:
            False if there is none; the frames are then all gone.
        """
        if error.place is None:
            error.place, error.stack = stack_trace(self.function, self.operations, self.frames)
        while True:
            origin = self.instruction_of()
            handler = self.function.handler(origin)
            if handler is not None:
                self.registers[self.function.stack_base + handler.depth] = error
                self.operations.__setstate__(self.function.targets[handler.target])
                self.count += origin + 1 - handler.target
                return True
            self.count += origin + 1
            if self.function.is_hidden:
                self.max_frames -= 1
            if len(self.frames) == 1:
                return False
            self.function, self.operations, self.registers, _ = self.frames.pop()

    def failure(self, error: ErrorValue) -> Exit:
        """The end of a program that did not catch an error."""
        message = str(error.fields["message"]).replace("\n", "\\n")
        told = f"{error.place}: {error.type.name}: {message}"
        return Exit(1, told, error.stack, self.count)
