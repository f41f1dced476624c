"""A seat as the host sees it: what calls are addressed to, and who holds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ..router import channel as channel_layout
from ..router import layout
from ..router.bell import Doorbell
from ..router.channel import ChannelEnd
from ..router.journal import Journal
from ..router.segment import Segment
from .worker_process import WorkerProcess


@dataclass(eq=False)
class Channel:
    """A channel of a seat; the host keeps the segment that it made."""

    number: int
    caller: WorkerProcess | None  #: None: the host itself
    caller_bell: Doorbell
    segment: Segment
    #: How many settlings of it are under way or wait for their turn: while there
    #: are any, the host is the holder.
    settlings: int = 0
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Whether nobody waits for answers any more.
    is_dropped: bool = False

    @property
    def is_settled(self) -> bool:
        return not self.settlings

    @property
    def caller_name(self) -> str:
        return "host" if self.caller is None else self.caller.label


class Seat:
    """A component and a number; outlives the workers that hold it."""

    def __init__(self, number: int, component: str) -> None:
        self.number = number
        self.component = component
        self.bell = Doorbell.create(f"noodle-seat-{component}")
        self.channels: dict[int, Channel] = {}
        #: Who leads, or None; then who could, among others.
        self.holder: WorkerProcess | None = None
        self.members: list[WorkerProcess] = []
        #: The commands of a component that is replicated.
        self.journal: Journal | None = None

    def admit(self, worker: WorkerProcess) -> None:
        """Give a worker the seat's end of every channel, for when it leads."""
        self.members.append(worker)
        for channel in self.channels.values():
            if channel.is_settled:
                worker.attach(channel)

    def dismiss(self, worker: WorkerProcess) -> None:
        """The worker will not lead any more."""
        if worker in self.members:
            self.members.remove(worker)
        if self.holder is worker:
            self.holder = None

    def open_channel(
        self, number: int, caller: WorkerProcess | None, caller_bell: Doorbell
    ) -> Channel:
        """Make a channel and hand its seat's end to whoever may lead."""
        segment = channel_layout.create_segment(f"noodle-{self.component}-{number}")
        channel = Channel(number, caller, caller_bell, segment)
        self.channels[number] = channel
        for member in self.members:
            member.attach(channel)
        return channel

    def end_for_settling(self, channel: Channel) -> ChannelEnd:
        """The seat's end of a channel, for the host as its interim holder."""
        return ChannelEnd(channel.segment, channel.caller_bell, caller=False)

    def close_channels(self) -> None:
        """Say in every channel that the seat is gone for good."""
        for channel in self.channels.values():
            channel.segment.words[layout.CH_CLOSED] = 1

    def drop_channel(self, number: int) -> None:
        """Forget a channel whose caller is gone."""
        channel = self.channels.pop(number, None)
        if channel is not None:
            channel.is_dropped = True
            channel.segment.close()

    def close(self) -> None:
        """Let go of the seat; answers that wait for room are still given."""
        for channel in self.channels.values():
            # The mapping, which is what settling uses, stays.
            channel.segment.close()
        self.channels.clear()
        if self.journal is not None:
            self.journal.close()
        self.bell.close()
