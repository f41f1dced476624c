"""What a method takes and returns, with its annotations resolved to types."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

NO_DEFAULT: Final = inspect.Parameter.empty

_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """``type`` is Any for one without annotation; ``default`` may be NO_DEFAULT."""

    name: str
    kind: Any
    type: Any
    annotated: bool
    default: Any

    @property
    def is_variadic(self) -> bool:
        return self.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

    @property
    def is_required(self) -> bool:
        return self.default is NO_DEFAULT and not self.is_variadic


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters without ``self``; ``result`` is Any without annotation."""

    parameters: tuple[Parameter, ...]
    result: Any
    result_annotated: bool


def read_signature(function: Callable[..., Any], *, skip_self: bool = False) -> Signature:
    """Read a bound method, or with ``skip_self`` the function of a class.

    Raises:
        ValueError: it has no signature that could be read (some C functions).
        NameError, TypeError, AttributeError, SyntaxError: an annotation cannot
            be resolved.
    """
    parameters = list(inspect.signature(function).parameters.values())[1 if skip_self else 0 :]
    annotated: Callable[..., Any] = function
    while isinstance(annotated, partial):
        annotated = annotated.func
    hints = typing.get_type_hints(annotated, include_extras=True)
    return Signature(
        tuple(
            Parameter(p.name, p.kind, hints.get(p.name, Any), p.name in hints, p.default)
            for p in parameters
        ),
        hints.get("return", Any),
        "return" in hints,
    )


def item_type(result: Any) -> Any:
    """Return T of Iterator[T], Iterable[T] or Generator[T, ...]; NO_DEFAULT for others."""
    if result in _ITERATORS:
        return Any
    if typing.get_origin(result) in _ITERATORS:
        # typing.Iterator by itself has an origin, and no arguments.
        return next(iter(typing.get_args(result)), Any)
    return NO_DEFAULT


def is_iterator(result: Any) -> bool:
    """Tell whether a result is annotated as an iterator, which cannot be sent as a value."""
    kinds = (collections.abc.Iterator, collections.abc.Generator)
    return result in kinds or typing.get_origin(result) in kinds


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the one type that is not a union."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def without_extras(annotation: Any) -> Any:
    """Return the type without the outer ``Annotated``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return typing.get_args(annotation)[0]
    return annotation


def shown(annotation: Any, *, full: bool = False) -> str:
    """Return an annotation as an author writes it; ``full`` names the modules."""
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if full and annotation.__module__ != "builtins":
            return f"{annotation.__module__}.{annotation.__qualname__}"
        return annotation.__qualname__
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(shown(argument, full=full) for argument in arguments)
    if isinstance(origin, type) and arguments:
        return (
            f"{origin.__name__}[{', '.join(shown(argument, full=full) for argument in arguments)}]"
        )
    if annotation is Ellipsis:
        return "..."
    return repr(annotation).replace("typing.", "")


def declaration(function: Callable[..., Any]) -> str:
    """Return ``name(self, a: str) -> int`` as it stands in the source of a hook."""
    signature = inspect.signature(function)
    parts = [
        f"{p.name}: {_written(p.annotation)}" if p.annotation is not NO_DEFAULT else p.name
        for p in signature.parameters.values()
    ]
    result = signature.return_annotation
    end = "" if result is inspect.Signature.empty else f" -> {_written(result)}"
    return f"{function.__name__}({', '.join(parts)}){end}"


def _written(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else shown(annotation)
