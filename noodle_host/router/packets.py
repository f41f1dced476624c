"""Packets: messages and descriptors over a Unix socket pair; the control plane.

One message a packet (SOCK_SEQPACKET), msgpack, with the descriptors that belong to it.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Any, Final

import msgspec

_MAX_BYTES: Final = 128 * 1024
_MAX_FDS: Final = 16

_encoder: Final = msgspec.msgpack.Encoder()


class PacketSocket:
    """One end of a socket pair that carries messages of one union of structs."""

    def __init__(self, sock: socket.socket, decoder: msgspec.msgpack.Decoder[Any]) -> None:
        self.socket = sock
        self._decoder = decoder

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Both ends, not inherited by what is executed."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: msgspec.Struct, fds: list[int] | None = None) -> None:
        """Send one message.

        Raises:
            OSError: the other end is gone.
            ValueError: it is larger than a packet may be.
        """
        body = _encoder.encode(message)
        if len(body) > _MAX_BYTES or len(fds or ()) > _MAX_FDS:
            raise ValueError(
                f"a control message has at most {_MAX_BYTES} bytes and {_MAX_FDS} descriptors; "
                f"{type(message).__name__} has {len(body)} and {len(fds or ())}"
            )
        if fds:
            socket.send_fds(self.socket, [body], fds, socket.MSG_NOSIGNAL)
        else:
            self.socket.send(body, socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[Any, list[int]] | None:
        """Receive one message and its descriptors; None at end-of-file.

        Raises:
            BlockingIOError: the socket does not block and nothing is there.
            ValueError: it is not a message of the protocol.
        """
        # MSG_CMSG_CLOEXEC: a descriptor must not leak into what plugins start.
        body, ancillary, flags, _ = self.socket.recvmsg(
            _MAX_BYTES, socket.CMSG_SPACE(4 * _MAX_FDS), socket.MSG_CMSG_CLOEXEC
        )
        fds = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ValueError("a control message was cut off")
            if not body and not fds:
                return None
            return self._decoder.decode(body), list(fds)
        except (ValueError, RecursionError) as error:
            for fd in fds:
                os.close(fd)
            raise ValueError(f"not a control message: {error}") from error

    def close(self) -> None:
        self.socket.close()
