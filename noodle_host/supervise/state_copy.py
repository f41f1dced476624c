"""A copy of a component's state in the host's hands: descriptors, passed on unread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from ..errors import StateError
from ..registry.manifest import Manifest
from ..router.codec import from_wire
from ..router.packets import PacketSocket
from ..worker import messages
from ..worker.snapshot import size_bytes
from .waiting import first_of


class StateCopy:
    """The state of a seat after ``order``, in the form of ``schema``.

    ``has_blocks``: part of it is shared memory that the component goes on using.
    """

    def __init__(self, fds: list[int], order: int, schema: int) -> None:
        self.fds = fds
        self.order = order
        self.schema = schema
        #: The version that has written it.
        self.manifest: Manifest | None = None
        self.size_bytes = size_bytes(fds[0])

    @property
    def has_blocks(self) -> bool:
        return len(self.fds) > 1

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = []


async def receive_copy(
    send: Callable[[int], object], died: Callable[[], Awaitable[object]], timeout_s: float
) -> StateCopy:
    """Have a state written and return it.

    ``send`` is given the descriptor to report on, and passes it to the worker;
    ``died`` returns when that worker is dead.

    Raises:
        StateError: there is none, with the reason.
    """
    ours, theirs = PacketSocket.pair()
    try:
        with theirs:
            send(theirs.fileno())
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()

        def on_readable() -> None:
            if not readable.done():
                readable.set_result(None)

        loop.add_reader(ours.fileno(), on_readable)
        try:
            async with asyncio.timeout(timeout_s):
                await first_of(readable, died())
        except TimeoutError:
            raise StateError(
                f"snapshot() took more than {timeout_s:g} s",
                hint="allow more time, or write less",
            ) from None
        finally:
            loop.remove_reader(ours.fileno())
        return _read(PacketSocket(ours, messages.decoder))
    finally:
        ours.close()


def _read(sock: PacketSocket) -> StateCopy:
    try:
        received = sock.receive()
    except BlockingIOError:
        received = None
    except (ValueError, OSError) as error:
        raise StateError(f"what was written is no state: {error}") from error
    if received is None:
        raise StateError(
            "the process that wrote it died",
            hint="there may not be memory enough for a copy of the state",
        )
    message, fds = received
    match message:
        case messages.Snapshotted(order, schema) if fds:
            return StateCopy(fds, order, schema)
        case messages.Failed(wire):
            raise from_wire(wire, StateError)
    for fd in fds:
        os.close(fd)
    raise StateError(f"{type(message).__name__} is no state")
