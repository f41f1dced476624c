"""The worker's end of the control plane: requests to the host, and its orders."""

from __future__ import annotations

import io
import os
import select
from collections import deque
from typing import TypeVar

from ..errors import HostClosedError, HostError, InvalidBuffer
from ..router.bell import Doorbell
from ..router.channel import ChannelEnd
from ..router.codec import from_wire
from ..router.packets import PacketSocket
from ..router.segment import Segment
from .messages import (
    Connect,
    Connected,
    Corrupt,
    DropBuffer,
    FetchBuffer,
    FindSlot,
    GotBuffer,
    Message,
    NewBuffer,
    OfferBuffer,
    Slot,
)

Received = tuple[Message, list[int]]
M = TypeVar("M", bound=Message)


class Control:
    """Receives orders; asks the host and waits for the answer.

    Orders that arrive while an answer is awaited are kept for :meth:`receive`.
    """

    def __init__(self, sock: PacketSocket) -> None:
        self.socket = sock
        self._kept: deque[Received] = deque()

    def receive(self) -> Received | None:
        """The next order, or None; never blocks. Ends the process at end-of-file."""
        if self._kept:
            return self._kept.popleft()
        try:
            received = self.socket.receive()
        except BlockingIOError:
            return None
        if received is None:
            # The host is gone. Nobody is left to answer to.
            os._exit(0)
        return received

    def send(self, message: Message) -> None:
        self._wait(select.POLLOUT)
        self.socket.send(message)

    def ask(self, question: Message, answer: type[M]) -> tuple[M, list[int]]:
        """Send a question and wait for its answer."""
        self.send(question)
        while True:
            self._wait(select.POLLIN)
            received = self.socket.receive()
            if received is None:
                os._exit(0)
            message, fds = received
            if isinstance(message, answer):
                return message, fds
            self._kept.append((message, fds))

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self.socket.fileno(), event)
        poll.poll()


class HostConnector:
    """Finds seats by asking the host; see ``router.endpoint.Connector``."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def slot(self, component: str) -> int:
        answer, _ = self._control.ask(FindSlot(component), Slot)
        if answer.error is not None:
            raise from_wire(answer.error)
        return answer.slot

    def connect(self, component: str, seat: int) -> ChannelEnd:
        answer, fds = self._control.ask(Connect(component, seat), Connected)
        if not fds:
            raise HostClosedError(
                "the component is not running",
                component=answer.component,
                hint="it was stopped while it was being called",
            )
        return attach_channel(fds, caller=True)

    def report_corrupt(self, seat: int, what: str) -> None:
        self._control.send(Corrupt(seat, what))


class HostBuffers:
    """Gets buffers from the host; see ``router.buffer.BufferSource``. Main thread only."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def create(self, buffer_id: int, hold: int, size_bytes: int) -> io.FileIO:
        (fd,) = self._ask(NewBuffer(buffer_id, hold, size_bytes))
        return io.FileIO(fd, "r+b")

    def fetch(self, buffer_id: int, hold: int, is_gift: bool) -> io.FileIO:
        (fd,) = self._ask(FetchBuffer(buffer_id, hold, is_gift))
        return io.FileIO(fd, "r+b" if is_gift else "rb")

    def offer(self, buffer_id: int) -> None:
        self._ask(OfferBuffer(buffer_id))

    def drop(self, buffer_id: int, hold: int) -> None:
        self._control.send(DropBuffer(buffer_id, hold))

    def _ask(self, question: Message) -> list[int]:
        try:
            answer, fds = self._control.ask(question, GotBuffer)
        except ValueError as error:
            raise InvalidBuffer(
                f"the buffer was lost on its way from the host: {error}",
                hint="the component has no descriptor left; drop buffers, or close files",
            ) from error
        if answer.error is not None:
            raise from_wire(answer.error)
        return fds


def attach_channel(fds: list[int], *, caller: bool) -> ChannelEnd:
    """Make a channel's end from the descriptors segment, bell page and bell."""
    if len(fds) != 3:
        raise HostError(f"a channel came with {len(fds)} descriptors instead of 3")
    segment_fd, page_fd, bell_fd = fds
    return ChannelEnd(Segment.attach(segment_fd), Doorbell.attach(page_fd, bell_fd), caller=caller)
