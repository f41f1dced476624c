"""The built-in functions that do not call back; see :mod:`.prelude` for the others.

Each takes the machine and then the program's arguments, of which it can rely on
the number, not on the types.
"""

from __future__ import annotations

from typing import Any, Final

from . import methods, numbers, strings
from .arithmetic import comparable
from .indexing import items_of, make_range
from .keys import to_key
from .limits import MAX_ITEMS, too_long_list
from .text import to_text
from .thrown import fail, type_error, value_error
from .type_names import callable_value, type_name
from .values import BuiltinFunction, SetValue, Value

Machine = Any


def print_(machine: Machine, *values: Value) -> None:
    machine.write(" ".join([to_text(value) for value in values]) + "\n")


def type_of(machine: Machine, value: Value) -> str:
    return type_name(value)


def length(machine: Machine, x: Value) -> int:
    kind = type(x)
    if kind is list or kind is str or kind is dict:
        return len(x)
    if kind is SetValue:
        return len(x.items)
    raise type_error(f"len() needs a collection, not {type_name(x)}")


def need_items(x: Value, function: str) -> list[Value] | str:
    items = items_of(x)
    if items is None:
        raise type_error(f"{function}() needs a collection, not {type_name(x)}")
    return items


def need_list(x: Value, function: str) -> list[Value]:
    if type(x) is not list:
        raise type_error(f"{function}() needs a list, not {type_name(x)}")
    return x


def need_map(x: Value, function: str) -> dict[Any, Value]:
    if type(x) is not dict:
        raise type_error(f"{function}() needs a map, not {type_name(x)}")
    return x


def range_(machine: Machine, *ends: Value) -> list[Value]:
    numbers = make_range(*ends)
    if numbers[MAX_ITEMS:]:
        raise too_long_list(abs((numbers.stop - numbers.start) // numbers.step))
    return list(numbers)


def sorted_(machine: Machine, xs: Value) -> list[Value]:
    items = list(need_items(xs, "sorted"))
    check_order(items, "sorted")
    return sorted(items)


def sorted_by(machine: Machine, items: list[Value], keys: list[Value]) -> list[Value]:
    """The items in the order of their keys; the last step of ``sorted(xs, key)``."""
    check_order(keys, "sorted")
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [items[index] for index in order]


def check_order(items: list[Value] | tuple[Value, ...], function: str) -> None:
    """Raise TypeError unless each item can be compared with each other one."""
    for item in items:
        if not comparable(items[0], item):
            raise type_error(
                f"{function}() cannot compare {type_name(items[0])} with {type_name(item)}"
            )


def _among(values: tuple[Value, ...], function: str) -> list[Value] | tuple[Value, ...]:
    if len(values) > 1:
        items: Any = values
    else:
        items = list(need_items(values[0], function))
        if not items:
            raise value_error(f"{function}() of an empty list")
    check_order(items, function)
    return items  # type: ignore[no-any-return]


def min_(machine: Machine, *values: Value) -> Value:
    return min(_among(values, "min"))


def max_(machine: Machine, *values: Value) -> Value:
    return max(_among(values, "max"))


def reversed_(machine: Machine, x: Value) -> Value:
    if type(x) is str:
        return x[::-1]
    return list(need_items(x, "reversed"))[::-1]


def keys(machine: Machine, map_: Value) -> list[Value]:
    return methods.keys(machine, need_map(map_, "keys"))


def values(machine: Machine, map_: Value) -> list[Value]:
    return methods.values(machine, need_map(map_, "values"))


def zip_(machine: Machine, *lists: Value) -> list[Value]:
    return [list(items) for items in zip(*[need_items(x, "zip") for x in lists], strict=False)]


def enumerate_(machine: Machine, xs: Value) -> list[Value]:
    return [[index, item] for index, item in enumerate(need_items(xs, "enumerate"))]


def assert_(machine: Machine, condition: Value, message: Value = None) -> None:
    if type(condition) is not bool:
        raise type_error(f"assert() needs a bool, not {type_name(condition)}")
    if not condition:
        told = "" if message is None else f": {to_text(message)}"
        raise fail("Error", f"assertion failed{told}")


def push(machine: Machine, xs: Value, item: Value) -> None:
    need_list(xs, "push").append(item)


def pop(machine: Machine, xs: Value) -> Value:
    if not need_list(xs, "pop"):
        raise fail("IndexError", "pop() from an empty list")
    return xs.pop()


def contains(machine: Machine, x: Value, item: Value) -> bool:
    method = methods.METHODS.get(type(x), {}).get("contains")
    if method is None:
        raise type_error(f"contains() needs a collection, not {type_name(x)}")
    return bool(method.call(machine, x, item))


def set_(machine: Machine, items: Value = None) -> SetValue:
    found = () if items is None else need_items(items, "Set")
    return SetValue(dict.fromkeys([to_key(item, "a set item") for item in found]))


def callback_items(machine: Machine, xs: Value, function: Value, name: str) -> Value:
    """What ``map`` and its like go through, after a look at both arguments.

    A copy: the function may change the list meanwhile.
    """
    items = need_items(xs, name)
    if not callable_value(function):
        raise type_error(f"{name}() needs a function, not {type_name(function)}")
    return list(items)


def _functions(*functions: tuple[str, Any, int, int | None]) -> dict[str, BuiltinFunction]:
    return {name: BuiltinFunction(name, call, least, most) for name, call, least, most in functions}


BUILTINS: Final = _functions(
    ("print", print_, 0, None),
    ("typeOf", type_of, 1, 1),
    ("str", strings.str_, 1, 1),
    ("len", length, 1, 1),
    ("range", range_, 1, 3),
    ("min", min_, 1, None),
    ("max", max_, 1, None),
    ("reversed", reversed_, 1, 1),
    ("keys", keys, 1, 1),
    ("values", values, 1, 1),
    ("zip", zip_, 1, None),
    ("enumerate", enumerate_, 1, 1),
    ("assert", assert_, 1, 2),
    ("push", push, 2, 2),
    ("pop", pop, 1, 1),
    ("contains", contains, 2, 2),
    ("Set", set_, 0, 1),
    ("int", numbers.int_, 1, 1),
    ("float", numbers.float_, 1, 1),
    ("bool", numbers.bool_, 1, 1),
    ("abs", numbers.abs_, 1, 1),
    ("sum", numbers.sum_, 1, 1),
    ("div", numbers.div, 2, 2),
    ("round", numbers.round_, 1, 2),
    ("sqrt", numbers.sqrt, 1, 1),
    ("floor", numbers.floor, 1, 1),
    ("ceil", numbers.ceil, 1, 1),
    ("join", strings.join, 1, 2),
    ("split", strings.split, 2, 2),
    ("upper", strings.upper, 1, 1),
    ("lower", strings.lower, 1, 1),
    ("trim", strings.trim, 1, 1),
    ("replace", strings.replace, 3, 3),
    ("chars", strings.chars, 1, 1),
    ("ord", strings.ord_, 1, 1),
    ("chr", strings.chr_, 1, 1),
)

#: What the prelude's functions do with Python's help; no program can name them.
INTERNAL: Final = _functions(
    ("callback items", callback_items, 3, 3),
    ("sorted plain", sorted_, 1, 1),
    ("sorted by", sorted_by, 2, 2),
)
