"""The switchboard: seats, slots and channels, and settling them for the dead."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Callable

from ..errors import CallError, ComponentNotFoundError, HostError
from ..router import layout
from ..router.bell import Doorbell
from ..router.codec import to_wire
from ..router.lane import CorruptLaneError
from ..router.route import RouteTable
from ..worker import messages
from .buffers import BufferRegistry
from .seat import Channel, Seat
from .settlement import free_held_slabs, settle_channel
from .worker_process import WorkerProcess

# A caller that is stopped leaves no room for its answers; look again so often.
_RETRY_S = 0.005
_LOG = logging.getLogger("noodle_host.supervise")


class Switchboard:
    """Knows every seat and every channel; used on the supervisor's event loop."""

    def __init__(
        self,
        host_bell: Doorbell,
        exists: Callable[[str], bool],
        on_seat_lost: Callable[[int, HostError], None],
    ) -> None:
        self.table = RouteTable.create()
        self.routes_fd = self.table.segment.read_only_fd()
        self.host_bell = host_bell
        self.buffers = BufferRegistry()
        self._exists = exists
        # Tells the host's own endpoint to let go of its channel to a seat.
        self._on_seat_lost = on_seat_lost
        self._slots: dict[str, int] = {}
        self._seats: dict[int, Seat] = {}
        self._seat_numbers = itertools.count(1)
        self._channel_numbers = itertools.count(1)
        self._settling: dict[asyncio.Task[None], Channel] = {}

    def slot(self, component: str) -> int:
        """The component's slot in the route table; raises ComponentNotFoundError."""
        slot = self._slots.get(component)
        if slot is None:
            if not self._exists(component):
                raise ComponentNotFoundError(
                    f"Component {component!r} not found in registry", component=component
                )
            slot = self._slots[component] = len(self._slots)
        return slot

    def add_seat(self, component: str) -> Seat:
        seat = Seat(next(self._seat_numbers), component)
        self._seats[seat.number] = seat
        return seat

    def holder(self, seat_number: int) -> WorkerProcess | None:
        """Who holds a seat now."""
        seat = self._seats.get(seat_number)
        return None if seat is None else seat.holder

    def open_channel(
        self, seat_number: int, caller: WorkerProcess | None
    ) -> tuple[Seat, Channel] | None:
        """Join a caller and a seat; None if there is no such seat any more."""
        seat = self._seats.get(seat_number)
        if seat is None:
            return None
        bell = self.host_bell if caller is None else caller.bell
        return seat, seat.open_channel(next(self._channel_numbers), caller, bell)

    def answer(self, worker: WorkerProcess, message: messages.Message) -> None:
        """Answer what a worker asks about routes and channels."""
        match message:
            case messages.FindSlot(component):
                try:
                    worker.send(messages.Slot(component, self.slot(component)))
                except HostError as error:
                    worker.send(messages.Slot(component, -1, to_wire(error)))
            case messages.Connect(component, number):
                opened = self.open_channel(number, worker)
                if opened is None:
                    worker.send(messages.Connected(component, number))
                    return
                seat, channel = opened
                fds = [channel.segment.fd, *seat.bell.fds()]
                worker.send(messages.Connected(component, number), fds)
            case _:
                self.buffers.answer(worker, message)

    # -- after a death -----------------------------------------------------

    def forget_caller(self, worker: WorkerProcess) -> None:
        """A caller is dead: its channels end, and bells it owed are rung."""
        for channel in self._settling.values():
            if channel.caller is worker:
                channel.is_dropped = True
        for seat in self._seats.values():
            for number, channel in list(seat.channels.items()):
                if channel.caller is worker:
                    for member in seat.members:
                        member.send(messages.Detach(number))
                    # The dead one may have owed it.
                    seat.bell.ring()
                    seat.drop_channel(number)
        held = (seat for seat in self._seats.values() if seat is worker.seat)
        self.buffers.forget(worker, (c for seat in held for c in seat.channels.values()))

    async def settle(self, seat: Seat, error: HostError) -> None:
        """Answer ``error`` in every channel of a seat that nobody will hold any more.

        Returns when all callers that run have their answers. A caller that
        is stopped gets them when it runs again.
        """
        waiting: list[asyncio.Task[None]] = []
        for channel in seat.channels.values():
            channel.settlings += 1
            work = self._settle_channel(seat, channel, error)
            task = asyncio.get_running_loop().create_task(work)
            self._settling[task] = channel
            task.add_done_callback(self._settling.pop)
            waiting.append(task)
        if waiting:
            await asyncio.wait(waiting, timeout=10 * _RETRY_S)

    async def _settle_channel(self, seat: Seat, channel: Channel, answer: HostError) -> None:
        # One at a time: a holder may die before its predecessor's calls are answered.
        async with channel.settling:
            if channel.is_dropped:
                return
            try:
                end = seat.end_for_settling(channel)
                limit = end.inbox.committed_end()
                while not settle_channel(end, answer, limit):
                    await asyncio.sleep(_RETRY_S)
                    if channel.is_dropped:
                        return
                free_held_slabs(end)
            except (ValueError, CorruptLaneError) as error:
                # Written by the dead holder or by the caller: no successor may read it.
                self.distrust(seat, channel, str(error))
                return
            # A caller may sleep for room that the dead one owed it a ring for.
            channel.caller_bell.ring()
            channel.settlings -= 1
        if channel.is_settled and not channel.is_dropped:
            for member in seat.members:
                member.attach(channel)

    def distrust(self, seat: Seat, channel: Channel, what: str) -> None:
        """A channel holds what the protocol does not allow: end it, and who waits on it."""
        _LOG.error(
            "the channel from %s to %s is corrupt and is closed: %s",
            channel.caller_name,
            seat.component,
            what,
        )
        channel.segment.words[layout.CH_CLOSED] = 1
        if channel.caller is not None:
            # It may wait for answers that nobody can give, and may have written
            # the nonsense itself.
            if channel.caller.child is not None:
                channel.caller.child.kill()
            return
        error = CallError(
            f"the channel to it is corrupt: {what}",
            component=seat.component,
            hint="native code may write over memory that it does not own",
        )
        seat.drop_channel(channel.number)
        self._on_seat_lost(seat.number, error)

    def distrust_number(self, holder: WorkerProcess, number: int, what: str) -> None:
        """A holder finds one of its channels corrupt."""
        for seat in self._seats.values():
            channel = seat.channels.get(number)
            if channel is not None and holder in seat.members:
                self.distrust(seat, channel, what)
                return

    def remove_seat(self, seat: Seat) -> None:
        """The seat is gone for good; its channels are closed."""
        self._seats.pop(seat.number, None)
        seat.close()

    def close(self) -> None:
        for task in self._settling:
            task.cancel()
        for seat in list(self._seats.values()):
            self.remove_seat(seat)
        self.buffers.close()
        os.close(self.routes_fd)
        self.table.segment.close()
