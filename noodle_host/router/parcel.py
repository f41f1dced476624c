"""A parcel: the body of a record that buffers travel with.

It is a slab: a table of the buffers, then msgpack, in which an extension with the id stands
for each. The receiver maps what is in the table before it retires the record, and keeps it
with the view of the body; so a decoder needs to know nothing of buffers but
:func:`take_buffer`.
"""

from __future__ import annotations

import copy
import functools
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from ..errors import HostError, InvalidBuffer
from .buffer import Buffer, Buffers
from .corrupt import CorruptError

if TYPE_CHECKING:
    from .channel import Outbox

#: A hook of decoders, called with the code and the bytes of an extension.
Taker: TypeAlias = Callable[[int, memoryview], Any]

#: The code of the extension in msgpack.
BUFFER_CODE: Final = 0x42

_COUNT: Final = struct.Struct("<Q")
# Id, and 1 for a gift.
_ENTRY: Final = struct.Struct("<QQ")
_ID: Final = struct.Struct("<Q")


class BufferMetError(Exception):
    """An encoder has met a buffer: the body is a parcel."""


def refuse_buffer(value: object) -> Any:
    """The hook of encoders that expect no buffer.

    Raises:
        BufferMetError: it is one.
        TypeError: it is something else that msgpack does not have.
    """
    if isinstance(value, Buffer):
        raise BufferMetError
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


class Parcel(list[bytes | bytearray | memoryview]):
    """The chunks of a body, and the buffers that go with it.

    Raises what the encoder raises.
    """

    def __init__(self, value: object) -> None:
        buffers: dict[int, Buffer] = {}

        def wrap(part: object) -> Any:
            if not isinstance(part, Buffer):
                return refuse_buffer(part)
            buffers[part.id] = part
            return msgspec.msgpack.Ext(BUFFER_CODE, _ID.pack(part.id))

        body = msgspec.msgpack.Encoder(enc_hook=wrap).encode(value)
        self.buffers = tuple(buffers.values())
        entries = [_ENTRY.pack(b.id, b.gift is not None) for b in self.buffers]
        super().__init__([_COUNT.pack(len(entries)) + b"".join(entries), body])

    def check(self, pool: Buffers | None) -> None:
        """Make ready to be sent to a process of the host that ``pool`` belongs to.

        Raises:
            InvalidBuffer: a buffer is of another host, closed, or given away before.
            HostError: the host is closed.
        """
        for buffer in self.buffers:
            if buffer.pool is not pool:
                raise InvalidBuffer(
                    "the buffer belongs to another host",
                    hint="copy it into one that this host has made",
                )
            if buffer.gift:
                raise InvalidBuffer("the buffer was given away, and is not here any more")
            if buffer.gift is None and buffer.closed:
                raise InvalidBuffer("the buffer is closed")
            if buffer.gift is not None:
                pool.offer(buffer)

    def note_way(self, outbox: Outbox, position: int) -> None:
        """It is about to be sent, as the record at that position."""
        for buffer in self.buffers:
            if buffer.hold is not None:
                sends = buffer.hold.sends
                for way in tuple(sends):
                    if way.is_over:
                        sends.pop(way, None)
                sends[outbox] = position

    def note_sent(self) -> None:
        """It was sent: what was a gift is spent, and not held here any more."""
        for buffer in self.buffers:
            if buffer.gift is not None:
                buffer.gift = True
                buffer.hold = None


def open_parcel(view: memoryview, pool: Buffers | None) -> memoryview:
    """The body behind the table; its buffers are mapped, and stay so as long as the view.

    ``view`` is the lease of a slab. A buffer that cannot be had is an error for whoever
    decodes the body. May be called again for the same view.

    Raises:
        CorruptError: the table is none.
    """
    if len(view) < _COUNT.size:
        raise CorruptError("a table of buffers is cut off")
    (count,) = _COUNT.unpack_from(view)
    size = _COUNT.size + count * _ENTRY.size
    if pool is None or size > len(view):
        raise CorruptError(f"a table of {count} buffers does not fit")
    lease: Any = view.obj
    if getattr(lease, "buffers", None) is None:
        lease.buffers = {
            buffer_id: _received(pool, buffer_id, bool(is_gift))
            for buffer_id, is_gift in _ENTRY.iter_unpack(view[_COUNT.size : size])
        }
    return view[size:]


def _received(pool: Buffers, buffer_id: int, is_gift: bool) -> Buffer | HostError:
    try:
        return pool.receive(buffer_id, is_gift)
    except HostError as error:
        return error


def take_buffer(code: int, data: memoryview) -> Any:
    """The hook of decoders: the buffer that an extension stands for.

    In a body that is no parcel an extension is the user's own.
    """
    return _take(getattr(data.obj, "buffers", None), code, data)


def taker_for(body: bytes | bytearray | memoryview) -> Taker | None:
    """Like :func:`take_buffer`, for parts of ``body`` that are decoded by themselves.

    None: no buffers came with it.
    """
    buffers = getattr(body.obj, "buffers", None) if isinstance(body, memoryview) else None
    return None if buffers is None else functools.partial(_take, buffers)


def _take(buffers: dict[int, Buffer | HostError] | None, code: int, data: memoryview) -> Any:
    found = None
    if buffers is not None and code == BUFFER_CODE and len(data) == _ID.size:
        found = buffers.get(*_ID.unpack(data))
    if isinstance(found, HostError):
        raise copy.copy(found)
    return msgspec.msgpack.Ext(code, bytes(data)) if found is None else found
