"""Does an implementation fit the hook that it implements?

pluggy checks that the hook is known and that its arguments have the right
names. Components are called by position and with typed messages, so here the
order, the missing arguments and the types count as well.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from noodle_host.registry.suggestion import did_you_mean, hints

from .fault import FaultReporter, line_of_function
from .methods import is_stream, resolve_signature
from .signature import (
    NO_DEFAULT,
    Parameter,
    Signature,
    declaration,
    item_type,
    read_signature,
    shown,
    union_members,
    without_extras,
)


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook that is implemented: its declaration, and the bound implementation."""

    name: str
    declared: Callable[..., Any]
    function: Callable[..., Any]

    @property
    def label(self) -> str:
        return str(getattr(self.function, "__qualname__", self.name))

    @property
    def where(self) -> str:
        return line_of_function(self.function)


def check_component_hook(hook: Hook, faults: FaultReporter) -> None:
    """Check an implementation of a component hook, which may leave arguments out.

    Raises:
        PluginError: it requires an argument that the hook does not have, or is
            a generator.
    """
    given = resolve_signature(hook.function, faults)
    declared = read_signature(hook.declared, skip_self=True)
    _check_no_more(hook, given, declared, faults)
    if is_stream(hook.function, given):
        raise faults.error(
            f"{hook.label} is a generator, and would never be run",
            where=hook.where,
            hint="there must be no yield in a component hook",
        )


def check_contract_hook(hook: Hook, faults: FaultReporter) -> None:
    """Check an implementation of a hook of the kind's contract.

    Types that are left out are taken from the contract. A parameter may be
    wider than the contract says, a result narrower.

    Raises:
        PluginError: arguments, their order, types, or the way of giving the
            result differ from the contract.
    """
    given = resolve_signature(hook.function, faults)
    declared = read_signature(hook.declared, skip_self=True)
    _check_no_more(hook, given, declared, faults)
    _check_arguments(hook, given, declared, faults)
    _check_result(hook, given, declared, faults)


def _check_no_more(
    hook: Hook, given: Signature, declared: Signature, faults: FaultReporter
) -> None:
    names = [p.name for p in declared.parameters]
    for parameter in given.parameters:
        if parameter.is_required and parameter.name not in names:
            raise faults.error(
                f"{hook.label} requires the argument {parameter.name!r}, "
                f"which the hook does not have: {declaration(hook.declared)}",
                where=hook.where,
                hint=hints(
                    did_you_mean(parameter.name, names), "rename it, or give it a default value"
                ),
            )


def _check_arguments(
    hook: Hook, given: Signature, declared: Signature, faults: FaultReporter
) -> None:
    own = {p.name: p for p in given.parameters if not p.is_variadic}
    for parameter in declared.parameters:
        if parameter.name not in own:
            raise faults.error(
                f"{hook.label} does not take the argument {parameter.name!r} "
                f"of the contract: {declaration(hook.declared)}",
                where=hook.where,
                hint=f"add {parameter.name!r}; the host calls with every argument",
            )
    expected = [p.name for p in declared.parameters]
    if list(own)[: len(expected)] != expected or not _by_position(own, expected):
        raise faults.error(
            f"{hook.label} takes its arguments in another way than the contract: "
            f"{declaration(hook.declared)}",
            where=hook.where,
            hint="calls are made by position; keep the order, and put arguments "
            "of your own behind, with defaults",
        )
    for parameter in declared.parameters:
        mine = own[parameter.name]
        if mine.annotated and not fits(parameter.type, mine.type):
            raise faults.error(
                f"{hook.label}: the argument {parameter.name!r} is annotated "
                + _difference(mine.type, parameter.type),
                where=hook.where,
                hint="use the type of the contract, or leave the annotation out",
            )


def _by_position(own: dict[str, Parameter], expected: list[str]) -> bool:
    return all(own[name].kind is not inspect.Parameter.KEYWORD_ONLY for name in expected)


def _check_result(hook: Hook, given: Signature, declared: Signature, faults: FaultReporter) -> None:
    streams = item_type(declared.result) is not NO_DEFAULT
    if streams and not is_stream(hook.function, given):
        raise faults.error(
            f"{hook.label} is not a generator, but the contract streams: "
            f"{declaration(hook.declared)}",
            where=hook.where,
            hint="yield the items one by one, or annotate the iterator that it returns",
        )
    if not streams and is_stream(hook.function, given):
        raise faults.error(
            f"{hook.label} is a generator, but the contract does not stream: "
            f"{declaration(hook.declared)}",
            where=hook.where,
            hint="return the result; there must be no yield in the method",
        )
    if given.result_annotated and not fits(given.result, declared.result):
        raise faults.error(
            f"{hook.label}: the result is annotated " + _difference(given.result, declared.result),
            where=hook.where,
            hint="use the type of the contract, or leave the annotation out",
        )


def fits(narrow: Any, wide: Any) -> bool:
    """Tell whether every value of one type, once sent, can be read as the other.

    Where it cannot be told, the answer is no.
    """
    narrow, wide = without_extras(narrow), without_extras(wide)
    if narrow == wide or wide is Any or wide is object or narrow is Any:
        return True
    narrow_item, wide_item = item_type(narrow), item_type(wide)
    if narrow_item is not NO_DEFAULT and wide_item is not NO_DEFAULT:
        return fits(narrow_item, wide_item)
    if typing.get_origin(narrow) is typing.Literal:
        return all(_value_fits(value, wide) for value in typing.get_args(narrow))
    members, wider = union_members(narrow), union_members(wide)
    if len(members) > 1 or len(wider) > 1:
        return all(any(fits(member, other) for other in wider) for member in members)
    return _class_fits(narrow, wide)


def _value_fits(value: Any, wide: Any) -> bool:
    for member in map(without_extras, union_members(wide)):
        if typing.get_origin(member) is typing.Literal:
            # 1 and True are equal, and are not the same literal.
            if (type(value), value) in [(type(other), other) for other in typing.get_args(member)]:
                return True
        elif fits(type(value), member):
            return True
    return False


def _class_fits(narrow: Any, wide: Any) -> bool:
    """As :func:`fits`, of classes and of generics like ``list[int]``.

    What is sent is a copy, so ``list[int]`` is a ``Sequence[object]`` here.
    """
    if narrow in (bool, str, bytes):
        # bool is an int, and str a sequence, but msgpack tells them apart.
        return False
    if narrow is int and wide is float:
        return True
    try:
        related = issubclass(typing.get_origin(narrow) or narrow, typing.get_origin(wide) or wide)
    except TypeError:
        # One is no class, or a protocol that cannot be asked.
        return False
    if not related:
        return False
    inner, outer = typing.get_args(narrow), typing.get_args(wide)
    if not outer:
        return True
    return len(inner) == len(outer) and all(map(fits, inner, outer))


def _difference(given: Any, declared: Any) -> str:
    short = shown(given), shown(declared)
    full = short[0] == short[1]
    return f"{shown(given, full=full)}, the contract says {shown(declared, full=full)}"
