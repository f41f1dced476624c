"""Bodies of records: msgpack, nothing else. What a worker wrote is never unpickled.

A call's body is an array of its positional arguments; with keyword arguments
it is ``[[positional...], {name: value}]`` and flagged BY_NAME. Methods go by number: the
CRC-32 of their name, so that no table has to be kept in step between versions.
"""

from __future__ import annotations

import hashlib
import traceback
import zlib
from typing import Any, Final

import msgspec

from ..errors import (
    WIRE_ERRORS,
    CallError,
    EncodeError,
    HostError,
    NoSuchMethod,
    RemoteError,
    remote_error,
)
from . import layout
from .channel import Chunks
from .corrupt import CorruptError
from .parcel import BufferMetError, Parcel, refuse_buffer, take_buffer

# A bytes argument from here on is copied straight into its slab instead of
# through the encoder's buffer.
_CHUNK_BYTES: Final = 16 * 1024
_BIG_TYPES: Final = (bytes, bytearray, memoryview)
# Errors are read by people, and a lane's record is bounded.
_TEXT_CHARS: Final = 8_000
_TRACEBACK_CHARS: Final = 16_000

# Not every exception: one that a signal handler raises has to pass.
_UNSENDABLE: Final = (
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    BufferError,
    AttributeError,
)

#: What a decoder raises for bytes that it cannot make anything of.
DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encode: Final = msgspec.msgpack.Encoder(enc_hook=refuse_buffer).encode
_EMPTY: Final = b"\x90"


def method_id(name: str) -> int:
    """The number that stands for a method in a record."""
    return zlib.crc32(name.encode())


def key_hash(key: str | bytes | int) -> int:
    """A 64-bit hash of a routing key, the same in every process; never 0."""
    data = key if isinstance(key, bytes) else repr(key).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


def encode_arguments(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[bytes | Chunks, int]:
    """Return the body of a call and its flags.

    Raises:
        EncodeError: an argument is of a type that msgpack does not have.
    """
    try:
        try:
            if kwargs:
                return _encode((args, kwargs)), layout.BY_NAME
            for value in args:
                if isinstance(value, _BIG_TYPES) and len(value) >= _CHUNK_BYTES:
                    return [_array_header(len(args)), *_chunks(args)], 0
            return (_encode(args) if args else _EMPTY), 0
        except BufferMetError:
            return Parcel((args, kwargs) if kwargs else args), layout.BY_NAME if kwargs else 0
    except _UNSENDABLE as error:
        raise EncodeError(
            f"{_guilty(args, kwargs)} cannot be sent: {_reason(error)}", phase="encode"
        ) from error


def encode_result(value: object) -> bytes | Chunks:
    """Return the body of a reply.

    Raises:
        EncodeError: the result is of a type that msgpack does not have.
    """
    try:
        try:
            if isinstance(value, _BIG_TYPES) and len(value) >= _CHUNK_BYTES:
                return _chunks((value,))
            return _encode(value)
        except BufferMetError:
            return Parcel(value)
    except _UNSENDABLE as error:
        raise EncodeError(f"the result cannot be sent: {_reason(error)}", phase="encode") from error


def decoder_for(result_type: Any) -> msgspec.msgpack.Decoder[Any]:
    """A decoder of results; None stands for builtin types."""
    return msgspec.msgpack.Decoder(
        Any if result_type is None else result_type, ext_hook=take_buffer
    )


class WireError(msgspec.Struct, frozen=True, array_like=True):
    """An error on its way from a worker to a caller."""

    code: str
    message: str
    type_name: str = ""
    remote_traceback: str = ""
    component: str | None = None
    version: str | None = None
    worker: int | None = None
    phase: str = "call"
    hint: str = ""


_decode_error: Final = msgspec.msgpack.Decoder(WireError).decode


def to_wire(error: HostError, remote_traceback: str = "") -> WireError:
    """An error of the host's own, ready to be sent."""
    # PluginError prints its place first; across the wire it is part of the text.
    where = getattr(error, "where", "")
    return WireError(
        error.code,
        _clip(f"{where}: {error.message}" if where else error.message),
        remote_traceback=_clip_traceback(remote_traceback),
        component=error.component,
        version=error.version,
        worker=error.worker,
        phase=error.phase,
        hint=_clip(error.hint),
    )


def encode_host_error(error: HostError) -> bytes:
    """Encode an error of the host's own."""
    return _encode(to_wire(error))


def encode_exception(error: BaseException, component: str, version: str, worker: int) -> bytes:
    """Encode what a component raised: type, message and traceback. Never raises."""
    try:
        return _encode(_exception_to_wire(error, component, version, worker))
    except Exception as broken:
        # The exception is the component's own code: whatever it does when it
        # is looked at, the caller has to be answered.
        message = f"<it cannot be shown: {type(broken).__name__}>"
        name = _clip(type(error).__name__)
        return _encode(WireError("CALL_0008", message, name, "", component, version, worker))


def _exception_to_wire(
    error: BaseException, component: str, version: str, worker: int
) -> WireError:
    # Made by the component, it may hold anything as its message.
    if isinstance(error, CallError) and error.code in WIRE_ERRORS and type(error.message) is str:
        return to_wire(error)
    trace = _clip_traceback("".join(traceback.format_exception(error)))
    if isinstance(error, RemoteError) and error.type_name:
        # A component lets through what another one raised: it stays what it was.
        bare = error.message.removeprefix(error.type_name).removeprefix(": ")
        facts = (error.component, error.version, error.worker)
        return WireError("CALL_0008", _clip(bare), _clip(error.type_name), trace, *facts)
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    return WireError(
        "CALL_0008", _clip(_text(error)), _clip(name), trace, component, version, worker
    )


def decode_error(body: bytes | memoryview, method: str = "") -> HostError:
    """The error to raise for a record of kind ERROR that answers a call of ``method``.

    Raises:
        CorruptError: the body is not an error; nothing of it is executed.
    """
    try:
        wire = _decode_error(body)
        if method and (wire.message, wire.code) == (
            NoSuchMethod.unnamed,
            NoSuchMethod.default_code,
        ):
            # The worker has seen a number: the name is known on this side.
            wire = msgspec.structs.replace(wire, message=f"there is no method {method}()")
        return from_wire(wire)
    except DECODE_ERRORS as error:
        raise CorruptError(f"not the body of an error: {error}") from error


def error_essence(body: bytes) -> bytes:
    """What two workers that raise the same have in common of an error's body."""
    wire = _decode_error(body)
    return _encode((wire.code, wire.type_name, wire.message))


def from_wire(wire: WireError, default: type[HostError] = CallError) -> HostError:
    """The error that a WireError stands for; ``default`` where the code has no class."""
    facts: dict[str, Any] = {
        "component": wire.component,
        "version": wire.version,
        "worker": wire.worker,
        "phase": wire.phase,
        "hint": wire.hint,
    }
    if wire.type_name:
        return remote_error(wire.type_name, wire.message, wire.remote_traceback, **facts)
    cls = WIRE_ERRORS.get(wire.code, default)
    error = cls(wire.message, code=wire.code, **facts)
    if wire.remote_traceback:
        error.add_note(f"Remote traceback:\n{wire.remote_traceback.rstrip()}")
    return error


def _array_header(count: int) -> bytes:
    return _encode([None] * count)[:-count] if count else _EMPTY


def _chunks(values: tuple[object, ...]) -> Chunks:
    chunks: Chunks = []
    for value in values:
        if isinstance(value, _BIG_TYPES) and len(value) >= _CHUNK_BYTES:
            view = memoryview(value).cast("B")
            if len(view) >= 1 << 32:
                raise ValueError("bytes of 4 GiB or more")
            # bin 32 of msgpack: the header, then the bytes as they are.
            chunks += [b"\xc6" + len(view).to_bytes(4, "big"), view]
        else:
            chunks.append(_encode(value))
    return chunks


def _guilty(args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    named = [(f"argument {i}", v) for i, v in enumerate(args, 1)]
    named += [(f"argument {name!r}", v) for name, v in kwargs.items()]
    for name, value in named:
        try:
            Parcel(value)
        except _UNSENDABLE:
            return name
    return "the arguments"


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or contains itself"
    if isinstance(error, OverflowError):
        return "an integer needs more than 64 bits"
    return str(error)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its __str__ raised {type(broken).__name__}>"


def _clip(text: str) -> str:
    """The beginning, and nothing that UTF-8 does not have: file names may."""
    return str.encode(text, "utf-8", "backslashreplace").decode()[:_TEXT_CHARS]


def _clip_traceback(text: str) -> str:
    """The end, where the error is."""
    return str.encode(text, "utf-8", "backslashreplace").decode()[-_TRACEBACK_CHARS:]
