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
    """A caller has a channel to your seat. Descriptors: segment, bell page, bell.

    ``caller_seat`` is the seat that the caller holds, 0 for the host.
    """

    channel: int
    caller: str
    caller_seat: int = 0


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


class Prepare(Message, frozen=True, array_like=True, tag=True):
    """Call ``start``, take over a state if there is one, and stand by; answered by Ready.

    Descriptors: the journal of the seat if ``journaled``, then those of the
    snapshot, if there are more. A second one brings the state to a worker that
    has started.
    """

    journaled: bool = False
    #: Whether replies are compared with the leader's.
    compares: bool = False


class Lead(Message, frozen=True, array_like=True, tag=True):
    """Serve the seat from now on: its last leader has yielded, or is proved dead.

    ``how`` says how it died, and is empty if it did not; the others say who it was.
    """

    how: str = ""
    version: str = ""
    pid: int = 0


class Yield(Message, frozen=True, array_like=True, tag=True):
    """Stop between two records. Descriptors: page and bell of the successor, if it waits.

    Answered by Yielded, or by Kept if it cannot. With ``copy`` the state is
    written once nothing is served any more; then the first descriptor is the
    socket to report it on.
    """

    copy: bool = False
    schema: int = 0
    #: The number of the successor, which follows if there is a journal.
    successor: int = 0


class Snapshot(Message, frozen=True, array_like=True, tag=True):
    """Write your state. Descriptors: a socket to report on, page and bell of who follows.

    The report, Snapshotted or Failed, comes from a forked child if ``fork``. It is
    converted down to ``schema`` if that is older than the component's own, because
    an older version cannot; 0: it stays as it is.
    """

    number: int
    fork: bool
    schema: int = 0


class Follow(Message, frozen=True, array_like=True, tag=True):
    """That worker follows you. Descriptors: its page and bell."""

    number: int


class Unfollow(Message, frozen=True, array_like=True, tag=True):
    """That worker does not follow you any more."""

    number: int


class Checkpointed(Message, frozen=True, array_like=True, tag=True):
    """A snapshot is in the host's hands: what came up to that order may be forgotten."""

    order: int


class Share(Message, frozen=True, array_like=True, tag=True):
    """That follower supplies the replies of so many calls, in basis points."""

    number: int
    basis_points: int


class Relay(Message, frozen=True, array_like=True, tag=True):
    """Hand the replies of your share to the leader. Descriptors: segment, page, bell."""


class CheckHealth(Message, frozen=True, array_like=True, tag=True):
    """Call the ``health`` hook; answered by Health."""


class Stop(Message, frozen=True, array_like=True, tag=True):
    """Finish what is in the lanes, call ``stop``, exit."""


class GotBuffer(Message, frozen=True, array_like=True, tag=True):
    """Answer to NewBuffer, FetchBuffer (descriptor: the memory) and OfferBuffer."""

    error: WireError | None = None


# -- worker to host ---------------------------------------------------------


class NewBuffer(Message, frozen=True, array_like=True, tag=True):
    """I want a buffer of that many bytes."""

    buffer_id: int
    hold: int
    size_bytes: int


class FetchBuffer(Message, frozen=True, array_like=True, tag=True):
    """I have received that buffer; a gift if it was given away."""

    buffer_id: int
    hold: int
    is_gift: bool


class OfferBuffer(Message, frozen=True, array_like=True, tag=True):
    """I am about to send that buffer as a gift."""

    buffer_id: int


class DropBuffer(Message, frozen=True, array_like=True, tag=True):
    """I have that buffer no more, by that hold."""

    buffer_id: int
    hold: int


class MethodInfo(msgspec.Struct, frozen=True, array_like=True):
    """A method as others see it."""

    name: str
    is_query: bool
    is_stream: bool
    at_most_once: bool


class Loaded(Message, frozen=True, array_like=True, tag=True):
    """The plugin is imported and fits its contract."""

    methods: list[MethodInfo]


class Ready(Message, frozen=True, array_like=True, tag=True):
    """``start`` has returned, the state is taken over; it stands by."""


class Leading(Message, frozen=True, array_like=True, tag=True):
    """The seat is served. ``at_ns`` is when that began, CLOCK_MONOTONIC."""

    order: int
    at_ns: int


class Yielded(Message, frozen=True, array_like=True, tag=True):
    """The seat is served no more; ``order`` was the last, ``at_ns`` as in Leading."""

    order: int
    at_ns: int


class Kept(Message, frozen=True, array_like=True, tag=True):
    """The seat is not yielded, because of that."""

    why: str


class CaughtUp(Message, frozen=True, array_like=True, tag=True):
    """Following, it has come to the end of the journal for the first time."""


class Snapshotted(Message, frozen=True, array_like=True, tag=True):
    """The state after ``order``. Descriptors: those of the snapshot."""

    order: int
    schema: int


class WantCheckpoint(Message, frozen=True, array_like=True, tag=True):
    """The journal is filling up."""


class Dropped(Message, frozen=True, array_like=True, tag=True):
    """That follower lags too far behind; it is not waited for any more."""

    number: int


class Diverged(Message, frozen=True, array_like=True, tag=True):
    """Following, the same command had another outcome here than at the leader."""

    order: int
    method: str
    what: str


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
    | Prepare
    | Lead
    | Yield
    | Snapshot
    | Follow
    | Unfollow
    | Checkpointed
    | Share
    | Relay
    | CheckHealth
    | Stop
    | Loaded
    | Ready
    | Leading
    | Yielded
    | Kept
    | CaughtUp
    | Snapshotted
    | WantCheckpoint
    | Dropped
    | Diverged
    | Failed
    | FindSlot
    | Connect
    | Health
    | Stopped
    | Corrupt
    | CorruptCaller
    | GotBuffer
    | NewBuffer
    | FetchBuffer
    | OfferBuffer
    | DropBuffer
)

decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(AnyMessage)
