"""Settling a seat: answering for a holder that is proved dead.

The host takes the seat itself for a moment: it is the one reader of its request
lanes and the one writer of its reply lanes until the next worker leads. The
dead one's stamps say what it had begun.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import HostError
from ..router import layout
from ..router.channel import ChannelEnd
from ..router.codec import encode_host_error
from ..router.lane import Record

#: Decides what becomes of a request that has not been answered: the error to
#: answer with, or None to leave it, and all after it, to the next holder.
Verdict = Callable[[Record], HostError | None]


def settle_channel(end: ChannelEnd, verdict: Verdict, tasks: HostError, limit: int) -> bool:
    """Answer one channel's open requests and tasks as the seat's holder.

    ``end`` is the seat's end, made after the holder's death; requests from
    position ``limit`` on were made later and are left alone. Returns False if
    the caller has no room for the answers yet: call again with the same
    ``end``. What is left to the next holder stays unretired.

    Raises:
        CorruptLaneError, CorruptError: the channel holds what the protocol does
            not allow; what comes after it cannot be answered.
    """
    outbox, inbox = end.outbox, end.inbox
    words = end.segment.words
    error = encode_host_error(tasks)
    for word in range(layout.CH_TASKS, layout.CH_TASKS + 2 * layout.TASK_SLOTS, 2):
        call_id = words[word]
        if call_id:
            if outbox.send(layout.ERROR, 0, call_id, 0, 0, 0, error) < 0:
                return False
            words[word] = 0
    reader = inbox.reader
    while reader.position < limit:
        before = reader.position
        record = reader.read()
        if record is None:
            return True
        if record[1] in (layout.CALL, layout.STREAM) and not record[9]:
            answer = verdict(record)
            if answer is None:
                reader.position = before
                return True
            body = encode_host_error(answer)
            if outbox.send(layout.ERROR, 0, record[4], 0, 0, 0, body) < 0:
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
