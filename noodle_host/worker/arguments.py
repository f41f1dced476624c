"""From the body of a call to the arguments of a method."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from noodle_host.errors import ArgumentError
from noodle_host.registry.suggestion import did_you_mean
from noodle_host.router.parcel import Taker, take_buffer, taker_for

from .signature import Parameter

Buffer = bytes | bytearray | memoryview

_AnyDecoder = msgspec.msgpack.Decoder[Any]

# The header byte of a msgpack array of up to 15 items is 0x90 + their number.
_FIXARRAY = 0x90
_FIXARRAY_ITEMS = 15

#: What msgspec raises at bytes that are no msgpack of the type: text that is
#: not UTF-8 and nesting without end are not DecodeErrors.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_PLACE = re.compile(r" - at `\$(.*)`$")


class ArgumentDecoder:
    """Decodes what one method is called with.

    The body of a call by position is a msgpack array. For every number of
    arguments that the method takes there is one typed decoder of the whole
    array, found by the header byte: the usual call costs one dictionary look-up
    and one decode. Everything else (names, ``*args``, and every error) takes
    the slow path, which binds undecoded values first.

    The result is a tuple to call the method's function with; if ``is_split``,
    it is ``(positional, named)`` instead.
    """

    __slots__ = (
        "_decoders",
        "_method",
        "_named_only",
        "_parameters",
        "_positional",
        "_raw_array",
        "_raw_named",
        "_var_named",
        "_var_positional",
        "fast",
        "is_split",
    )

    def __init__(self, method: str, parameters: Sequence[Parameter]) -> None:
        self._method = method
        self._parameters = [p for p in parameters if not p.is_variadic]
        self._named_only = [p for p in self._parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        self._positional = [p for p in self._parameters if p not in self._named_only]
        self._var_positional = _of_kind(parameters, inspect.Parameter.VAR_POSITIONAL)
        self._var_named = _of_kind(parameters, inspect.Parameter.VAR_KEYWORD)
        self.is_split = len(self._positional) < len(parameters)
        self._decoders: dict[str, _AnyDecoder] = {}
        self._raw_array: msgspec.msgpack.Decoder[list[msgspec.Raw]] | None = None
        self._raw_named: (
            msgspec.msgpack.Decoder[tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]] | None
        ) = None
        #: Header byte of the body -> decode function for that many arguments.
        self.fast: dict[int, Callable[[Buffer], tuple[Any, ...]]] = {}
        if not self.is_split:
            types = [p.type for p in self._positional]
            required = sum(p.is_required for p in self._positional)
            for count in range(required, min(len(types), _FIXARRAY_ITEMS) + 1):
                decoder = msgspec.msgpack.Decoder(
                    tuple[tuple(types[:count])],  # type: ignore[misc]
                    ext_hook=take_buffer,
                )
                self.fast[_FIXARRAY + count] = decoder.decode

    def bind(self, body: Buffer, by_name: bool) -> tuple[Any, ...]:
        """Decode on the slow path; see :meth:`Method.decode_arguments`.

        Raises:
            ArgumentError: number, names or types do not fit.
        """
        positional, named = self._split(body, by_name)
        decode = functools.partial(self._decode, taker_for(body))
        values, extra = self._assign(positional, named)
        rest = positional[len(self._positional) :]
        # Arguments that were left out at the end are left to the function.
        given = max((i for i, p in enumerate(self._positional, 1) if p.name in values), default=0)
        leading = tuple(
            decode(p, values[p.name]) if p.name in values else p.default
            for p in self._positional[: None if rest else given]
        )
        if not self.is_split:
            return leading
        by_position = leading + tuple(decode(self._var_positional, raw) for raw in rest)
        by_names = {p.name: decode(p, values[p.name]) for p in self._named_only if p.name in values}
        by_names |= {name: decode(self._var_named, raw) for name, raw in extra.items()}
        return by_position, by_names

    def _split(
        self, body: Buffer, by_name: bool
    ) -> tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]:
        try:
            if by_name:
                if self._raw_named is None:
                    self._raw_named = msgspec.msgpack.Decoder(
                        tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]
                    )
                return self._raw_named.decode(body)
            if self._raw_array is None:
                self._raw_array = msgspec.msgpack.Decoder(list[msgspec.Raw])
            return self._raw_array.decode(body), {}
        except UNDECODABLE as error:
            what = "[[positional...], {name: value}]" if by_name else "[positional...]"
            self._fail(f"the arguments are not msgpack of the form {what}: {error}", colon=True)

    def _assign(
        self, positional: Sequence[msgspec.Raw], named: dict[str, msgspec.Raw]
    ) -> tuple[dict[str, msgspec.Raw], dict[str, msgspec.Raw]]:
        """Give every value its parameter, as Python would; also return what ``**`` takes."""
        if len(positional) > len(self._positional) and self._var_positional is None:
            self._fail(f"takes {self._takes()}, {len(positional)} given")
        values = {p.name: raw for p, raw in zip(self._positional, positional, strict=False)}
        nameable = {
            p.name for p in self._parameters if p.kind is not inspect.Parameter.POSITIONAL_ONLY
        }
        extra: dict[str, msgspec.Raw] = {}
        for name, raw in named.items():
            if name in nameable:
                if name in values:
                    self._fail(f"got the argument {name!r} twice, by position and by name")
                values[name] = raw
            elif self._var_named is not None:
                extra[name] = raw
            else:
                known = [p.name for p in self._parameters if p.name in nameable]
                takes = f"it takes: {', '.join(known)}" if known else "it takes none by name"
                suggestion = did_you_mean(name, known)
                self._fail(
                    f"has no argument {name!r}; {takes}" + (suggestion and f" ({suggestion})")
                )
        missing = [repr(p.name) for p in self._parameters if p.is_required and p.name not in values]
        if missing:
            *others, last = missing
            if others:
                self._fail(f"misses the arguments {', '.join(others)} and {last}")
            self._fail(f"misses the argument {last}")
        return values, extra

    def _takes(self) -> str:
        most = len(self._positional)
        least = sum(p.is_required for p in self._positional)
        count = "no" if most == 0 else str(most) if least == most else f"{least} to {most}"
        end = " by position" if self._named_only or self._var_named else ""
        return f"{count} argument{'' if most == 1 and least == 1 else 's'}{end}"

    def _decode(self, take: Taker | None, parameter: Parameter | None, raw: msgspec.Raw) -> Any:
        assert parameter is not None, "a value was assigned to no parameter"
        decoder = self._decoders.get(parameter.name)
        if take is not None:
            # What knows this body is of no use for the next one.
            decoder = msgspec.msgpack.Decoder(parameter.type, ext_hook=take)
        if decoder is None:
            decoder = self._decoders[parameter.name] = msgspec.msgpack.Decoder(parameter.type)
        try:
            return decoder.decode(raw)
        except UNDECODABLE as error:
            said = str(error)
            place = _PLACE.search(said)
            said = said[: place.start()] if place else said
            said = said.replace("`", "")
            inside = f" at {parameter.name}{place[1]}" if place else ""
            self._fail(
                f"argument {parameter.name!r}: {said[0].lower()}{said[1:]}{inside}", colon=True
            )

    def _fail(self, what: str, *, colon: bool = False) -> NoReturn:
        raise ArgumentError(f"{self._method}(){':' if colon else ''} {what}") from None


def _of_kind(parameters: Sequence[Parameter], kind: Any) -> Parameter | None:
    return next((p for p in parameters if p.kind is kind), None)
