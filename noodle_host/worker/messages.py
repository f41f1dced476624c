"""The control plane: what host and worker say to each other over their socket.

One message a packet, msgpack, with the descriptors that belong to it. The
data plane never waits for any of it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..router.codec import WireError


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


# -- host to worker ---------------------------------------------------------


class Attach(Message, frozen=True, array_like=True, tag=True):
    """A caller has a channel to your seat. Descriptors: segment, bell page, bell."""

    channel: int
    caller: str


class Detach(Message, frozen=True, array_like=True, tag=True):
    """The caller of a channel is gone."""

    channel: int


class Connected(Message, frozen=True, array_like=True, tag=True):
    """Answer to Connect. Descriptors: segment, bell page, bell of the seat."""

    component: str
    seat: int


class Slot(Message, frozen=True, array_like=True, tag=True):
    """Answer to FindSlot; -1 comes with an error."""

    component: str
    slot: int
    error: WireError | None = None


class Lead(Message, frozen=True, array_like=True, tag=True):
    """Call ``start`` and serve the seat."""


class CheckHealth(Message, frozen=True, array_like=True, tag=True):
    """Call the ``health`` hook; answered by Health."""


class Stop(Message, frozen=True, array_like=True, tag=True):
    """Finish what is in the lanes, call ``stop``, exit."""


# -- worker to host ---------------------------------------------------------


class MethodInfo(msgspec.Struct, frozen=True, array_like=True):
    """A method as others see it."""

    name: str
    is_query: bool
    is_stream: bool
    at_most_once: bool


class Loaded(Message, frozen=True, array_like=True, tag=True):
    """The plugin is imported and fits its contract."""

    methods: list[MethodInfo]


class Leading(Message, frozen=True, array_like=True, tag=True):
    """``start`` has returned; the seat is served."""


class Failed(Message, frozen=True, array_like=True, tag=True):
    """Loading or starting failed; the worker exits."""

    error: WireError


class FindSlot(Message, frozen=True, array_like=True, tag=True):
    """Which slot of the route table is that component's?"""

    component: str


class Connect(Message, frozen=True, array_like=True, tag=True):
    """I want a channel to that seat."""

    component: str
    seat: int


class Health(Message, frozen=True, array_like=True, tag=True):
    """None: healthy."""

    problem: str | None


class Stopped(Message, frozen=True, array_like=True, tag=True):
    """The last call is answered, ``stop`` has returned; the worker exits."""


class Corrupt(Message, frozen=True, array_like=True, tag=True):
    """A seat that I call has written nonsense into its lane."""

    seat: int
    what: str


class CorruptCaller(Message, frozen=True, array_like=True, tag=True):
    """What stands in a channel of my seat is nonsense; I do not read it any more."""

    channel: int
    what: str


AnyMessage = (
    Attach
    | Detach
    | Connected
    | Slot
    | Lead
    | CheckHealth
    | Stop
    | Loaded
    | Leading
    | Failed
    | FindSlot
    | Connect
    | Health
    | Stopped
    | Corrupt
    | CorruptCaller
)

decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(AnyMessage)
