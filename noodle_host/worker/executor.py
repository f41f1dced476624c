"""The executor: runs one call of a component and encodes what came of it."""

from __future__ import annotations

import os
import zlib
from typing import NoReturn

from ..errors import ArgumentError, EncodeError, HostError, NoSuchMethod, PayloadTooLarge
from ..router import codec, layout
from ..router.buffer import Buffers
from ..router.channel import Chunks
from ..router.parcel import Parcel
from .methods import Method

Body = bytes | Chunks


class Executor:
    """Runs calls of one component in this process."""

    def __init__(
        self,
        component: str,
        version: str,
        methods: dict[int, Method],
        buffers: Buffers | None = None,
    ) -> None:
        self._buffers = buffers
        self.component = component
        self.version = version
        self.methods = methods
        self.pid = os.getpid()

    def method(self, number: int) -> Method:
        """The method of a record; raises NoSuchMethod."""
        return self.methods.get(number) or self._no_method()

    def run(self, number: int, by_name: bool, body: bytes | memoryview) -> tuple[int, Body]:
        """Execute a call; return the kind of the reply and its body. Never raises."""
        try:
            method = self.methods.get(number) or self._no_method()
            if method.is_stream:
                raise ArgumentError(
                    f"{method.name}() streams its items", hint="use stream() instead of call()"
                )
            arguments = method.decode_arguments(body, by_name)
            return layout.REPLY, self.encode(method.function(*arguments))
        except BaseException as error:
            return layout.ERROR, self.error(error)

    def encode(self, value: object) -> Body:
        """The body of a reply or an item.

        Raises:
            EncodeError: it cannot be sent.
            InvalidBuffer: it has a buffer that cannot be sent.
            PayloadTooLarge: it is larger than the largest slab.
        """
        body = codec.encode_result(value)
        if isinstance(body, Parcel):
            body.check(self._buffers)
        if type(body) is not bytes or len(body) > layout.INLINE_BYTES:
            size = sum(map(len, body)) if isinstance(body, list) else len(body)
            if size > layout.LARGEST_PAYLOAD_BYTES:
                raise PayloadTooLarge(
                    f"the result takes {size:,} bytes; "
                    f"the limit is {layout.LARGEST_PAYLOAD_BYTES:,}",
                    phase="encode",
                )
        return body

    def error(self, error: BaseException) -> bytes:
        """The body of an error that a call has raised."""
        if isinstance(error, NoSuchMethod | ArgumentError | EncodeError) and not error.component:
            error.component = self.component
            error.version = self.version
        if (
            isinstance(error, HostError)
            and error.worker is None
            and error.component == self.component
        ):
            error.worker = self.pid
        return codec.encode_exception(error, self.component, self.version, self.pid)

    @staticmethod
    def decode_error(body: bytes) -> HostError:
        """The error whose body that is."""
        return codec.decode_error(body)

    def _no_method(self) -> NoReturn:
        known = ", ".join(sorted(m.name for m in self.methods.values()))
        raise NoSuchMethod(
            NoSuchMethod.unnamed,
            component=self.component,
            version=self.version,
            hint=f"it has: {known or 'none'}",
        )


def digest(kind: int, body: Body) -> int:
    """A checksum of an outcome, the same in every worker that agrees on it."""
    if kind == layout.ERROR:
        assert isinstance(body, bytes)
        # Traceback, version and process id are each worker's own.
        return zlib.crc32(codec.error_essence(body))
    if isinstance(body, list):
        checksum = 0
        for chunk in body:
            checksum = zlib.crc32(chunk, checksum)
        return checksum
    return zlib.crc32(body)


def no_buffers() -> ArgumentError:
    """The refusal of a command that takes or returns buffers."""
    return ArgumentError(
        "commands of a replicated component neither take nor return buffers",
        hint="others that follow would not have them: pass bytes, or mark the method @query",
    )
