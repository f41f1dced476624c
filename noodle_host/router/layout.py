"""The memory layout of lanes, channels and doorbells; ``_lane.c`` repeats it.

A **record** is a header of eight words of 8 bytes, then the payload, padded to 8:

====  =========================================================================
word  meaning
====  =========================================================================
0     commit word: length in bytes (32 bits, a multiple of 8, header included),
      kind (8), flags (8), the producer's core + 1 or 0 (16). 0 = nothing here
1     call id
2     method id (32), payload length (32)
3     key hash, 0 = no key
4     deadline, CLOCK_MONOTONIC in ns, 0 = none
5     order: stamped by the leader before it executes
6     status: stamped by the leader when it has answered
7     mark: the caller's word; 1 = taken back
====  =========================================================================

Word 0 is written last, with one aligned store; the word after the record is
zeroed before that. So a record is there whole or not at all, and a reader that
polls the one word at its position never meets an old record.

A **pad** is word 0 alone: the rest of the ring is skipped.
"""

from __future__ import annotations

from typing import Final

HEADER_BYTES: Final = 64
HEADER_WORDS: Final = 8
WORD_ORDER: Final = 5
WORD_STATUS: Final = 6
WORD_MARK: Final = 7

# Kinds of records. Requests:
PAD: Final = 1
CALL: Final = 2  #: wants one reply
NOTIFY: Final = 3  #: wants none
STREAM: Final = 4  #: wants items, then an end
CREDIT: Final = 5  #: payload-less; the method word holds how many more items
CANCEL: Final = 6  #: takes back the stream with that call id
# A journal's own, beside CALL, NOTIFY and STREAM:
STEP: Final = 7  #: a task was stepped; the call id is the task's
CLOSE: Final = 8  #: a task was closed before its end
EFFECT: Final = 9  #: what a command took from outside
QUERY: Final = 10  #: a query that a follower is to answer, after the command of that order
#: In a lane from a follower to its leader: the reply to the command whose order is the
#: call id; the method word is the kind.
RELAY: Final = 11
# Replies:
REPLY: Final = 16
ERROR: Final = 17
ITEM: Final = 18
END: Final = 19

# Flags.
SLAB: Final = 1  #: the payload is (offset, length) of a slab in the arena
BY_NAME: Final = 2  #: the body is [[positional], {name: value}]
NESTED: Final = 4  #: the call id is (order << 16 | index) of the calling seat
SHARE: Final = 8  #: in a journal: the follower hands over the reply that goes out
BUFFERS: Final = 16  #: the slab begins with a table of buffers; see ``parcel.py``

# The order word of a request: the number, and how often its execution was cut
# short by a death.
ORDER_BITS: Final = 56
ORDER_MASK: Final = (1 << ORDER_BITS) - 1

# Stamps of the status word; in a journal the upper half is a digest of the reply.
STATUS_ANSWERED: Final = 1
STATUS_SKIPPED: Final = 2  #: answered with an error in place of being executed
STATUS_DIGEST: Final = 4  #: there is a digest
STATUS_EXECUTED: Final = 8  #: executed, and about to be answered
DIGEST_SHIFT: Final = 32
MARK_CANCELLED: Final = 1

# A journal: one page of words, one ring, one arena.
JOURNAL_MAGIC: Final = 0x314C524A44444F4E  # b"NODDJRL1"
JOURNAL_CONTROL: Final = 16  #: control words of its lane
JOURNAL_FIRST: Final = 8  #: the first order that still stands in it
JOURNAL_HEADER_BYTES: Final = 4096

# A channel: one page of words, two rings, two arenas.
CHANNEL_MAGIC: Final = 0x314C4E4843444F4E  # b"NODCHNL1"
CHANNEL_HEADER_BYTES: Final = 20480
CH_MAGIC: Final = 0
CH_LANE_BYTES: Final = 1
CH_ARENA_BYTES: Final = 2
CH_CLOSED: Final = 3  #: set by the host: the seat is gone for good
CH_LEFT: Final = 4  #: set by the caller: it reads no more
CH_REQUESTS: Final = 16  #: control words of the lane caller -> seat
CH_REPLIES: Final = 48  #: control words of the lane seat -> caller
#: Tasks under way, twelve words each. A task's request is retired when it begins, or
#: one long task would fill the lane; its arguments move into the seat's arena.
CH_TASKS: Final = 64
TASK_SLOTS: Final = 192
TASK_WORDS: Final = 12
TASK_CALL: Final = 0  #: call id, 0 = free
TASK_ITEMS: Final = 1  #: items sent
TASK_METHOD: Final = 2  #: method id (32), flags of the request (32)
TASK_BODY: Final = 3  #: offset of the arguments in the segment
TASK_BYTES: Final = 4  #: their length
TASK_DEADLINE: Final = 5
TASK_GRANTED: Final = 6  #: items that the caller has asked for so far
TASK_SENDING: Final = 7  #: where the item sent last stands in the reply lane, + 1
TASK_BEFORE: Final = 8  #: items sent before that one
TASK_ORDER: Final = 9  #: the order of the step that it came of
TASK_STEPPING: Final = 10  #: 1 while a step is under way
TASK_DEATHS: Final = 11  #: how many workers died in a step
# A lane's control words, a cache line apart, relative to the above.
LANE_RETIRED: Final = 0  #: written by the consumer: bytes that may be overwritten
LANE_WAITING: Final = 8  #: written by the producer: 1 = it waits for room
LANE_CONTROL_WORDS: Final = 16

# A doorbell: one page of words.
BELL_BYTES: Final = 4096
#: Not 0 while the owner blocks, or is about to: another number for every sleep,
#: so that one ring a sleep is enough, or ANY_SLEEP, for which all ring.
BELL_SLEEPING: Final = 0
ANY_SLEEP: Final = 1
#: The core on which the owner last waited or woke up, + 1; 0 = not known, or moving.
BELL_CORE: Final = 1
BELL_CONTROL: Final = 8  #: counts control messages that the owner has to fetch
BELL_BUSY_SINCE_NS: Final = 16  #: when the command under way began, 0 = idle
BELL_SERVED: Final = 24  #: calls answered
BELL_LIFE: Final = 32  #: 8 words: the robust mutex that the owner's main thread holds
#: The last order that the owner has executed, a worker's or, as stamped, a seat's.
BELL_ORDER: Final = 48
BELL_DROPPED: Final = 49  #: set by the leader before it overwrites what the owner has not read
BELL_BATON: Final = 50  #: counts how often the owner was made the leader of its seat
BELL_BUFFERS: Final = 56  #: counts how often others have dropped buffers that the owner holds too

# Payloads up to here travel in the lane, larger ones in slabs.
INLINE_BYTES: Final = 32 * 1024
# A seat takes a request only if its reply lane has room for one inline reply.
REPLY_ROOM_BYTES: Final = INLINE_BYTES + 2 * HEADER_BYTES

LANE_BYTES: Final = 1 << 20
# Sparse too, and given back where it is forgotten. What is executed while a large state is
# written and taken over has to find room, or callers wait for it.
JOURNAL_BYTES: Final = 1 << 28
# Sparse: address space, not memory. The largest message is a quarter of it.
ARENA_BYTES: Final = 1 << 32
LARGEST_PAYLOAD_BYTES: Final = ARENA_BYTES // 4
#: A worker's own call ids; below it are those of NESTED calls, which say whose they are.
FIRST_PLAIN_ID: Final = 1 << 63
NESTED_INDEX_BITS: Final = 16
