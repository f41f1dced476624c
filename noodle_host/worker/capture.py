"""Capturing the state of a component: by a forked child, or while nothing is served."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from ..errors import CallError, StateError
from ..router import codec
from ..router.packets import PacketSocket
from . import messages, snapshot
from .nested import Kept

_NICENESS: Final = 10


class StateHead(msgspec.Struct, frozen=True, array_like=True):
    """What goes with a state: where in the history of its seat it stands.

    ``position`` is where the command after ``order`` will stand in the journal,
    ``nested`` what :class:`NestedReplies` keeps, ``tasks`` the commands under way that
    stream: channel, call id, method id, whether by name, arguments, items sent.
    """

    component: str
    version: str
    schema: int
    order: int
    position: int
    nested: Kept
    tasks: list[tuple[int, int, int, bool, bytes, int]] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StateHead).decode


def encode_head(head: StateHead) -> bytes:
    return _encode(head)


def decode_head(body: bytes) -> StateHead:
    """Raises msgspec.DecodeError."""
    return _decode(body)


def report(sock: socket.socket, head: StateHead, state: Callable[[], object]) -> None:
    """Take the state and send it, or why there is none, to the host. Never raises."""
    packets = PacketSocket(sock, messages.decoder)
    fds: list[int] = []
    try:
        try:
            fds = snapshot.dump(state(), encode_head(head))
        except snapshot.SnapshotError as error:
            raise StateError(
                f"its state cannot be written: {error}",
                component=head.component,
                version=head.version,
                phase="snapshot",
            ) from error
        except CallError as error:
            raise StateError(
                error.message,
                component=head.component,
                version=head.version,
                phase="snapshot",
                hint=error.hint,
            ) from error
        except Exception as error:
            raise StateError(
                f"snapshot() or migrate() raised {type(error).__name__}: {error}",
                component=head.component,
                version=head.version,
                phase="snapshot",
            ) from error
        packets.send(messages.Snapshotted(head.order, head.schema), fds)
    except StateError as error:
        # The host may be gone.
        with contextlib.suppress(OSError):
            packets.send(messages.Failed(codec.to_wire(error)))
    except OSError:
        return
    finally:
        for fd in fds:
            os.close(fd)


def fork_and_report(sock: socket.socket, head: StateHead, state: Callable[[], object]) -> int:
    """Like :func:`report`, from a child that has this moment's memory; return its pid.

    Raises:
        OSError: there is no child.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        # Ctrl-C is for the host; a signal handler of the component's is not for the copy.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # Whoever serves, and whoever calls, comes first.
        os.nice(_NICENESS)
        report(sock, head, state)
    finally:
        os._exit(0)
