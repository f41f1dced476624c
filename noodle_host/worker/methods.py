"""A method of a component that callers can call."""

from __future__ import annotations

import functools
import inspect
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from hookspecs.markers import METHOD_FLAGS, SafePoint
from noodle_host.router.buffer import Buffer as SharedBuffer

from .arguments import UNDECODABLE, ArgumentDecoder, Buffer
from .fault import FaultReporter, line_of_function
from .signature import (
    NO_DEFAULT,
    Parameter,
    Signature,
    is_iterator,
    item_type,
    read_signature,
    shown,
    union_members,
)


class Method:
    """One callable method, with everything resolved that a call needs.

    Attributes:
        name: what callers call it.
        method_id: CRC-32 of the name, as in the record of a call.
        function: call it as ``function(*decode_arguments(body, by_name))``. It
            is the bound method itself, except for methods that take arguments
            by name only, ``*args`` or ``**kwargs``.
        is_query: reads the state only; may be executed again.
        at_most_once: must never be executed a second time.
        is_stream: calling it gives an iterator of items.
        parameters: the names of the parameters, in order.
        result_type: type of the result, or of one item if ``is_stream``; Any
            when nothing is said.
    """

    __slots__ = (
        "_arguments",
        "_fast",
        "at_most_once",
        "function",
        "is_query",
        "is_stream",
        "method_id",
        "name",
        "parameters",
        "result_type",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        signature: Signature,
        *,
        is_query: bool = False,
        at_most_once: bool = False,
        is_stream: bool = False,
    ) -> None:
        self.name = name
        self.method_id = zlib.crc32(name.encode())
        self._arguments = ArgumentDecoder(name, signature.parameters)
        self._fast = self._arguments.fast
        self.function = _splatting(function) if self._arguments.is_split else function
        self.is_query = is_query
        self.at_most_once = at_most_once
        self.is_stream = is_stream
        self.parameters = tuple(p.name for p in signature.parameters)
        self.result_type = _item(signature.result) if is_stream else signature.result

    def decode_arguments(self, body: Buffer, by_name: bool) -> tuple[Any, ...]:
        """Decode the body of a call to what ``function`` is called with.

        ``body`` is msgpack: an array of the arguments, or with ``by_name``
        ``[[positional...], {name: value}]``. An argument annotated
        ``memoryview`` is a view of ``body`` and must not outlive it.

        Raises:
            ArgumentError: number, names or types do not fit.
        """
        if not by_name:
            # Whatever does not fit is looked at again on the slow path, which
            # knows how to say why.
            try:
                return self._fast[body[0]](body)
            except (KeyError, IndexError, *UNDECODABLE):
                pass
        return self._arguments.bind(body, by_name)

    def __repr__(self) -> str:
        return f"<Method {self.name}({', '.join(self.parameters)})>"


def build_method(
    name: str,
    function: Callable[..., Any],
    faults: FaultReporter,
    contract: Callable[..., Any] | None = None,
) -> Method:
    """Make the method for a bound function.

    ``contract`` is the hook that it implements, if it implements one of its
    kind: markers there count, and so do types that the function leaves out.

    Raises:
        PluginError: an annotation cannot be resolved or decoded, the function
            is asynchronous, or its markers contradict each other.
    """
    signature = resolve_signature(function, faults)
    flags = _flags(function)
    if {"query", "at_most_once"} <= flags:
        raise faults.error(
            f"{_label(function)} is marked both @query and @at_most_once",
            where=line_of_function(function),
            hint="a query may always be executed again; keep one of the two",
        )
    if contract is not None:
        flags |= _flags(contract)
        signature = _filled_in(signature, read_signature(contract, skip_self=True))
    _check_types(name, function, signature, faults)
    return Method(
        name,
        function,
        signature,
        is_query="query" in flags,
        at_most_once="at_most_once" in flags,
        is_stream=is_stream(function, signature),
    )


def resolve_signature(function: Callable[..., Any], faults: FaultReporter) -> Signature:
    """Read a signature; what cannot be read is a PluginError."""
    bare = inspect.unwrap(_without_partial(function))
    if inspect.iscoroutinefunction(bare) or inspect.isasyncgenfunction(bare):
        raise faults.error(
            f"{_label(function)} is asynchronous",
            where=line_of_function(function),
            hint="a worker calls plain functions and generators; remove async",
        )
    try:
        return read_signature(function)
    except ValueError as error:
        raise faults.error(
            f"{_label(function)} has no signature that can be read: {error}",
            where=line_of_function(function),
            hint="wrap it in a method written in Python",
        ) from error
    except Exception as error:
        raise faults.error(
            f"{_label(function)}: an annotation cannot be resolved: {error}",
            where=line_of_function(function),
            hint="import the type at the top of the module, not under TYPE_CHECKING "
            "and not inside the class",
        ) from error


def is_stream(function: Callable[..., Any], signature: Signature) -> bool:
    """Tell whether calling the function gives an iterator whose items are to be sent."""
    if inspect.isgeneratorfunction(function) or is_iterator(signature.result):
        return True
    # A decorator may hide the generator function; the annotation then decides.
    bare = inspect.unwrap(_without_partial(function))
    return inspect.isgeneratorfunction(bare) and item_type(signature.result) is not NO_DEFAULT


def _splatting(
    function: Callable[..., Any],
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    @functools.wraps(function)
    def call(positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return function(*positional, **named)

    return call


def _flags(function: Callable[..., Any]) -> frozenset[str]:
    flags: frozenset[str] = getattr(_without_partial(function), METHOD_FLAGS, frozenset())
    return flags


def _without_partial(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _filled_in(signature: Signature, contract: Signature) -> Signature:
    """Take the types that the implementation leaves out from the contract."""
    types = {p.name: p.type for p in contract.parameters}
    parameters = tuple(
        p
        if p.annotated or p.name not in types
        else Parameter(p.name, p.kind, types[p.name], True, p.default)
        for p in signature.parameters
    )
    result = signature.result if signature.result_annotated else contract.result
    return Signature(parameters, result, True)


def _item(result: Any) -> Any:
    """Return the type of the items that are sent: safe points are not."""
    item = item_type(result)
    if item is NO_DEFAULT:
        return Any
    sent = [member for member in union_members(item) if member != SafePoint]
    return functools.reduce(lambda union, member: union | member, sent) if sent else None


def _check_types(
    name: str, function: Callable[..., Any], signature: Signature, faults: FaultReporter
) -> None:
    for parameter in signature.parameters:
        try:
            unknown = _undecodable(parameter.type)
        except Exception as error:
            reason = str(error)
        else:
            if unknown is None:
                continue
            reason = f"{shown(unknown)} cannot be made from msgpack"
        raise faults.error(
            f"{_label(function)}: argument {parameter.name!r}: "
            f"the type {shown(parameter.type)} cannot be decoded: {reason}",
            where=line_of_function(function),
            hint="use builtin types, msgspec.Struct, dataclasses or enums",
        )


def _undecodable(annotation: Any) -> Any:
    """Return the part of a type that msgspec knows nothing about, or None."""
    if annotation is Any or annotation in (str, int, float, bool, bytes, memoryview, object):
        return None
    # msgspec accepts any class and leaves the decoding of unknown ones to a
    # hook that is not set here: without this check the call would fail.
    to_visit: list[Any] = [msgspec.inspect.type_info(annotation)]
    seen: set[int] = set()
    while to_visit:
        info = to_visit.pop()
        if isinstance(info, msgspec.inspect.CustomType):
            # ``object`` is taken as it comes, like Any, and buffers as they came.
            if info.cls is not object and not issubclass(SharedBuffer, info.cls):
                return info.cls
            continue
        if isinstance(info, tuple):
            to_visit.extend(info)
        elif isinstance(info, msgspec.Struct) and id(info) not in seen:
            seen.add(id(info))
            to_visit.extend(getattr(info, field) for field in info.__struct_fields__)
    return None


def _label(function: Callable[..., Any]) -> str:
    return str(getattr(_without_partial(function), "__qualname__", function))
