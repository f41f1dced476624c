"""Settling a seat that nobody will hold any more: its callers are told.

The host takes the seat itself: it is the one reader of its request lanes and the
one writer of its reply lanes from then on.
"""

from __future__ import annotations

from ..errors import HostError
from ..router import layout
from ..router.channel import ChannelEnd
from ..router.codec import encode_host_error


def settle_channel(end: ChannelEnd, error: HostError, limit: int) -> bool:
    """Answer one channel's open requests and tasks with ``error``.

    ``end`` is the seat's end, made after the holder's death; requests from
    position ``limit`` on were made later and are left alone. Returns False if
    the caller has no room for the answers yet: call again with the same
    ``end``.

    Raises:
        CorruptLaneError, CorruptError: the channel holds what the protocol does
            not allow; what comes after it cannot be answered.
    """
    outbox, inbox = end.outbox, end.inbox
    words = end.segment.words
    body = encode_host_error(error)
    for slot in end.task_slots():
        if outbox.send(layout.ERROR, 0, words[slot], 0, 0, 0, body) < 0:
            return False
        words[slot] = 0
    reader = inbox.reader
    while reader.position < limit:
        before = reader.position
        record = reader.read()
        if record is None:
            return True
        # What has a status was answered, and its payload given back.
        if not record[9]:
            if (
                record[1] in (layout.CALL, layout.STREAM)
                and outbox.send(layout.ERROR, 0, record[4], 0, 0, 0, body) < 0
            ):
                reader.position = before
                return False
            slab = inbox.slab(record)
            if slab is not None:
                inbox.arena.free(slab[0])
        inbox.retire(reader.position)
    return True


def free_held_slabs(end: ChannelEnd) -> None:
    """Give a caller back the slabs that the dead holder kept views of."""
    end.inbox.arena.free_held()
