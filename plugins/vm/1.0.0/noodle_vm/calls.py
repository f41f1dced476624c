"""Calls: arguments to parameters, and what is entered or made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hookspecs.bytecode import ParameterKind

from .loaded import LoadedFunction, LoadedParameter
from .text import to_text
from .thrown import Thrown, fail, type_error
from .type_names import fits, type_name
from .values import (
    UNSET,
    BoundMethod,
    BuiltinFunction,
    ClassValue,
    EnumValue,
    ErrorValue,
    FunctionValue,
    Instance,
    StructType,
    Value,
    Variant,
)

if TYPE_CHECKING:
    from .machine import Frame, Machine

#: Calls that may be in progress besides the body of a file.
MAX_CALLS: Final = 1000


class Entry:
    """A function to enter; ``beneath`` are frames that wait for its result."""

    __slots__ = ("beneath", "function", "registers")

    def __init__(
        self, function: LoadedFunction, registers: list[Value], beneath: tuple[Frame, ...] = ()
    ) -> None:
        self.function = function
        self.registers = registers
        self.beneath = beneath


def begin(
    machine: Machine, callee: Value, arguments: list[Value], names: list[str] | None = None
) -> Any:
    """Call a value: return the result, or the :class:`Entry` that will give it.

    The last arguments belong to the parameters in ``names``.

    Raises:
        Thrown: the value cannot be called, or not so.
    """
    receivers = 0
    if type(callee) is BoundMethod:
        receivers = 1
        arguments = [callee.receiver, *arguments]
        callee = callee.method
    if type(callee) is FunctionValue:
        return enter(machine, callee, arguments, names or [], receivers)
    if type(callee) is BuiltinFunction:
        if names:
            raise type_error(f'{callee.name}() has no parameter "{names[0]}"')
        if not callee.takes(len(arguments)):
            raise _wrong_count(
                callee.name,
                callee.least - callee.receivers,
                None if callee.most is None else callee.most - callee.receivers,
                len(arguments) - callee.receivers,
            )
        return callee.call(machine, *arguments)
    if type(callee) is ClassValue:
        return construct(machine, callee, arguments, names or [])
    if type(callee) is StructType or (type(callee) is Variant and callee.has_payload):
        return build(machine, callee, arguments, names or [])
    raise type_error(f"{type_name(callee)} is not callable")


def enter(
    machine: Machine,
    callee: FunctionValue,
    arguments: list[Value],
    names: list[str],
    receivers: int,
    beneath: tuple[Frame, ...] = (),
) -> Entry:
    function = callee.function
    bound = bind(
        function.called_name, function.parameters, function.tested, arguments, names, receivers
    )
    if function.is_hidden:
        machine.max_frames += 1
    elif len(machine.frames) >= machine.max_frames:
        raise too_deep()
    return Entry(function, bound + callee.tail, beneath)


def too_deep() -> Thrown:
    return fail("StackOverflowError", f"more than {MAX_CALLS} calls in progress")


def bind(
    name: str,
    parameters: list[LoadedParameter],
    tested: frozenset[int],
    arguments: list[Value],
    names: list[str],
    receivers: int,
) -> list[Value]:
    """The values of the parameters.

    Without one are optional parameters: UNSET if the code asks (``tested``),
    else null. An argument that is UNSET counts as not given. ``receivers`` are
    arguments that the program did not write.

    Raises:
        Thrown: TypeError, the arguments do not fit; ``name`` is the function's.
    """
    positional = len(arguments) - len(names)
    count = len(parameters)
    rest = count - 1 if parameters and parameters[-1].kind is ParameterKind.VARIADIC else None
    if positional > count and rest is None:
        raise _count_error(name, parameters, len(arguments), receivers)
    values: list[Value] = arguments[: positional if rest is None else min(positional, rest)]
    values += [UNSET] * (count - len(values))
    if rest is not None:
        values[rest] = arguments[rest:positional]
    if names:
        places = {parameter.name: at for at, parameter in enumerate(parameters[receivers:rest])}
        for given, value in zip(names, arguments[positional:], strict=True):
            if given not in places:
                raise type_error(f'{name}() has no parameter "{given}"')
            at = places[given] + receivers
            if values[at] is not UNSET:
                raise type_error(f'{name}() got argument "{given}" twice')
            values[at] = value
    for at, parameter in enumerate(parameters):
        value = values[at]
        if value is UNSET:
            if parameter.kind is ParameterKind.REQUIRED:
                raise _count_error(name, parameters, len(arguments), receivers)
            if at not in tested:
                values[at] = None
        elif parameter.type is not None and at != rest:
            is_absent = value is None and parameter.kind is ParameterKind.OPTIONAL
            if not is_absent and not fits(value, parameter.type):
                raise wrong_argument(name, parameter, value)
        elif parameter.type is not None:
            for item in value:
                if not fits(item, parameter.type):
                    raise wrong_argument(name, parameter, item)
    return values


def wrong_argument(name: str, parameter: LoadedParameter, value: Value) -> Thrown:
    assert parameter.type is not None
    return type_error(
        f'argument "{parameter.name}" of {name}() must be {parameter.type.text}, '
        f"not {type_name(value)}"
    )


def _count_error(
    name: str, parameters: list[LoadedParameter], given: int, receivers: int
) -> Thrown:
    kinds = [parameter.kind for parameter in parameters[receivers:]]
    least = kinds.count(ParameterKind.REQUIRED)
    most = None if ParameterKind.VARIADIC in kinds else len(kinds)
    return _wrong_count(name, least, most, given - receivers)


def _wrong_count(name: str, least: int, most: int | None, given: int) -> Thrown:
    counts = str(least)
    if most is None:
        counts = f"at least {least}"
    elif most != least:
        counts = f"{least} to {most}"
    noun = "argument" if least == 1 and most in (1, None) else "arguments"
    return type_error(f"{name}() takes {counts} {noun}, not {given}")


# -- what is made by a call --------------------------------------------------


def construct(
    machine: Machine, class_: ClassValue, arguments: list[Value], names: list[str]
) -> Any:
    """A new object, when its field values and its constructor have been executed."""
    fields = dict.fromkeys(class_.fields)
    instance: Instance
    if class_.is_error:
        fields["message"] = ""
        instance = ErrorValue(class_, fields, "")
    else:
        instance = Instance(class_, fields)
    constructor = class_.constructor
    if constructor is None:
        _construct_plainly(class_, instance, arguments, names)
        return (
            machine.prelude.initialize(machine, instance, ()) if class_.initializers else instance
        )
    entry = enter(machine, constructor, [instance, *arguments], names, receivers=1)
    beneath = (machine.prelude.constructed(machine, instance),)
    if not class_.initializers:
        entry.beneath = beneath
        return entry
    # The constructor's frame waits at its beginning for a result that it drops.
    begun: Frame = (entry.function, iter(entry.function.code), entry.registers, -1)
    return machine.prelude.initialize(machine, instance, (*beneath, begun))


def _construct_plainly(
    class_: ClassValue, instance: Instance, arguments: list[Value], names: list[str]
) -> None:
    """Without a constructor: only errors take an argument, what went wrong."""
    if names:
        raise type_error(f'{class_.name}() has no parameter "{names[0]}"')
    most = int(class_.is_error)
    if len(arguments) > most:
        raise _wrong_count(class_.name, 0, most, len(arguments))
    if arguments:
        construct_error(None, instance, arguments[0])


def construct_error(machine: object, error: Value, payload: Value = "") -> None:
    """The constructor of the built-in error classes."""
    error.payload = payload
    error.fields["message"] = to_text(payload)


BASE_CONSTRUCTOR: Final = BuiltinFunction("Error", construct_error, 1, 2, receivers=1)


def build(
    machine: Machine, type_: StructType | Variant, arguments: list[Value], names: list[str]
) -> Any:
    """A value of a struct or an enum, perhaps after its defaults were computed."""
    name = type_.name if isinstance(type_, StructType) else type_.full_name
    defaults = type_.defaults
    tested = defaults.function.tested if defaults else NOTHING_TESTED
    bound = bind(name, type_.parameters, tested, arguments, names, receivers=0)
    if defaults:
        entry = enter(machine, defaults, bound, [], receivers=0)
        entry.beneath = (machine.prelude.built(machine, type_),)
        return entry
    return make(machine, type_, bound)


def make(machine: object, type_: StructType | Variant, values: list[Value]) -> Value:
    if isinstance(type_, Variant):
        return EnumValue(type_, values)
    return Instance(type_, dict(zip(type_.fields, values, strict=True)))


NOTHING_TESTED: Final[frozenset[int]] = frozenset()
