"""Buffers, how they are held and given up, and the parcels that they travel in."""

from __future__ import annotations

import ctypes
import gc
import io
import mmap
import os
import struct
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noodle_host.errors import EncodeError, HostError, InvalidBuffer
from noodle_host.router import codec, layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.buffer import Buffer, Buffers, Departures, Hold, checked_size, memory_bytes
from noodle_host.router.channel import ChannelEnd, create_segment
from noodle_host.router.corrupt import CorruptError
from noodle_host.router.parcel import BUFFER_CODE, Parcel, open_parcel, take_buffer, taker_for
from noodle_host.router.segment import create_memory


class Store:
    """A source that keeps everything; ``holds`` are those that were not given up."""

    def __init__(self) -> None:
        self.fds: dict[int, int] = {}
        self.holds: list[tuple[int, int]] = []
        self.offered: set[int] = set()
        self.fetched = 0

    def create(self, buffer_id: int, hold: int, size_bytes: int) -> io.FileIO:
        self.fds[buffer_id] = create_memory("test-buffer", size_bytes)
        self.holds.append((buffer_id, hold))
        return io.FileIO(f"/proc/self/fd/{self.fds[buffer_id]}", "r+b")

    def fetch(self, buffer_id: int, hold: int, is_gift: bool) -> io.FileIO:
        if buffer_id not in self.fds:
            raise InvalidBuffer("the buffer is gone")
        self.fetched += 1
        self.holds.append((buffer_id, hold))
        path = f"/proc/self/fd/{self.fds[buffer_id]}"
        return io.FileIO(path, "r+b" if is_gift else "rb")

    def offer(self, buffer_id: int) -> None:
        self.offered.add(buffer_id)

    def drop(self, buffer_id: int, hold: int) -> None:
        self.holds.remove((buffer_id, hold))


class Lane:
    """A way on which ``here`` are the positions that are not read."""

    def __init__(self, *here: int) -> None:
        self.here = set(here)
        self.is_over = False

    def is_on_its_way(self, position: int) -> bool:
        return position in self.here


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    for fd in store.fds.values():
        os.close(fd)


@pytest.fixture
def sender(store: Store) -> Buffers:
    return Buffers(store)


@pytest.fixture
def receiver(store: Store) -> Buffers:
    return Buffers(store, remembered=2)


@pytest.fixture
def ends(sender: Buffers, receiver: Buffers) -> Iterator[tuple[ChannelEnd, ChannelEnd]]:
    """Both ends of a channel between the sender, who calls, and the receiver."""
    segment, bell = create_segment("test-channel"), Doorbell.create("test-bell")
    caller = ChannelEnd(segment, bell, caller=True)
    seat = ChannelEnd(segment, bell, caller=False)
    caller.carry(sender)
    seat.carry(receiver)
    yield caller, seat
    segment.close()
    bell.close()


def leased(data: bytes) -> memoryview:
    """Bytes as a lease of a slab shows them."""
    exporter = (ctypes.c_ubyte * len(data)).from_buffer_copy(data)
    return memoryview(exporter).cast("B").toreadonly()


def packed(parcel: Parcel) -> memoryview:
    return leased(b"".join(parcel))


def send(end: ChannelEnd, *arguments: object) -> int:
    body, flags = codec.encode_arguments(arguments, {})
    return end.outbox.send(layout.CALL, flags, 1, 7, 0, 0, body)


def take(end: ChannelEnd) -> list[object]:
    """The arguments of the next record, which is not retired yet."""
    record = end.inbox.reader.read()
    assert record is not None
    assert record[2] & layout.SLAB
    slab = end.inbox.slab(record)
    assert slab is not None
    body = end.inbox.unpack(record, end.inbox.arena.lease(*slab))
    decoded: list[object] = codec.decoder_for(None).decode(body)
    return decoded


def retire(end: ChannelEnd) -> None:
    end.inbox.retire(end.inbox.reader.position)


# -- holds ------------------------------------------------------------------------------


def test_a_new_one_is_zeros_and_can_be_written(sender: Buffers) -> None:
    made = sender.create(100)
    assert bytes(made) == bytes(100)
    made[3] = 7
    assert made[3] == 7
    assert isinstance(made, mmap.mmap)
    assert not memoryview(made).readonly


def test_a_hold_is_given_up_with_the_object(sender: Buffers, store: Store) -> None:
    nudged: list[int] = []
    buffers = Buffers(store, lambda: nudged.append(1))
    made = buffers.create(10)
    view = memoryview(made)
    del made
    gc.collect()
    assert not buffers.departures.waiting
    assert view[0] == 0
    del view
    gc.collect()
    assert nudged == [1]
    assert len(store.holds) == 1
    assert not buffers.departures.settle()
    assert store.holds == []


def test_what_was_received_is_one_object_while_it_is_there(
    sender: Buffers, receiver: Buffers, store: Store
) -> None:
    made = sender.create(10)
    one = receiver.receive(made.id, False)
    assert receiver.receive(made.id, False) is one
    assert store.fetched == 1
    assert memoryview(one).readonly
    made[0] = 5
    assert one[0] == 5
    one.close()
    two = receiver.receive(made.id, False)
    assert two is not one
    assert two[0] == 5


def test_the_last_ones_received_are_remembered(
    sender: Buffers, receiver: Buffers, store: Store
) -> None:
    made = [sender.create(10) for _ in range(3)]
    for buffer in made:
        receiver.receive(buffer.id, False)
    assert store.fetched == 3
    for buffer in made[1:]:
        receiver.receive(buffer.id, False)
    assert store.fetched == 3
    receiver.receive(made[0].id, False)
    assert store.fetched == 4
    receiver.forget_received()
    gc.collect()
    receiver.departures.settle()
    assert len(store.holds) == 3


def test_a_gift_is_not_what_was_there_before(
    sender: Buffers, receiver: Buffers, store: Store
) -> None:
    made = sender.create(10)
    before = receiver.receive(made.id, False)
    given = receiver.receive(made.id, True)
    assert given is not before
    given[0] = 3
    assert before[0] == 3
    assert receiver.receive(made.id, False) is given


def test_departures_wait_for_every_way() -> None:
    one, other, over = Lane(1), Lane(5), Lane()
    dropped: list[str] = []
    departures = Departures(lambda: None)
    departures.watch(Hold({one: 1, other: 5}), lambda: dropped.append("sent"))
    departures.watch(Hold({}), lambda: dropped.append("never sent"))
    departures.watch(Hold({over: 3}), lambda: dropped.append("read"))
    assert departures.settle()
    assert dropped == ["never sent", "read"]
    one.here.clear()
    assert departures.settle()
    other.here.clear()
    assert not departures.settle()
    assert dropped == ["never sent", "read", "sent"]
    assert not departures.waiting


def test_departures_take_their_turns() -> None:
    stuck = Lane(0)
    dropped: list[int] = []
    departures = Departures(lambda: None)
    for _ in range(20):
        departures.watch(Hold({stuck: 0}), lambda: dropped.append(-1))
    departures.watch(Hold({}), lambda: dropped.append(1))
    while not dropped:
        assert departures.settle(4)
    assert dropped == [1]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_each_is_dropped_once_and_not_before_it_is_read(steps: list[tuple[int, bool]]) -> None:
    lanes = [Lane(*range(40)) for _ in range(4)]
    departures = Departures(lambda: None)
    dropped: list[int] = []
    added: list[tuple[Lane, int]] = []
    for lane, is_added in steps:
        if is_added:
            at = len(added)
            departures.watch(Hold({lanes[lane]: at}), lambda at=at: dropped.append(at))  # type: ignore[misc]
            added.append((lanes[lane], at))
        elif lanes[lane].here:
            lanes[lane].here.discard(min(lanes[lane].here))
        departures.settle()
        assert all(at not in added[at][0].here for at in dropped)
    for each in lanes:
        each.here.clear()
    assert not departures.settle()
    assert sorted(dropped) == list(range(len(added)))


def test_a_forked_child_has_nothing_to_say(sender: Buffers, store: Store) -> None:
    made = sender.create(10)
    sender.disown(HostError("this is a forked child"))
    with pytest.raises(HostError, match="forked child"):
        sender.create(10)
    with pytest.raises(HostError, match="forked child"):
        sender.receive(1, False)
    del made
    gc.collect()
    sender.departures.settle()
    assert len(store.holds) == 1


# -- parcels ------------------------------------------------------------------------------


def test_there_and_back(
    ends: tuple[ChannelEnd, ChannelEnd], sender: Buffers, receiver: Buffers, store: Store
) -> None:
    caller, seat = ends
    made = sender.create(10)
    made[0] = 9
    send(caller, "text", {"a": [made, made]}, b"x" * 50_000)
    text, nested, blob = take(seat)
    assert (text, blob) == ("text", b"x" * 50_000)
    there = nested["a"][0]  # type: ignore[index]
    assert isinstance(there, Buffer)
    assert there is nested["a"][1]  # type: ignore[index]
    assert there[0] == 9
    retire(seat)
    body = codec.encode_result([there])
    assert isinstance(body, Parcel)
    seat.outbox.send(layout.REPLY, 0, 1, 0, 0, 0, body)
    (back,) = take(caller)
    assert back is made
    assert store.fetched == 1


def test_a_hold_stays_until_the_record_is_retired(
    ends: tuple[ChannelEnd, ChannelEnd], sender: Buffers, store: Store
) -> None:
    caller, seat = ends
    # One before and one behind it: only what it was sent in counts.
    send(caller, sender.create(10))
    send(caller, sender.create(10))
    gc.collect()
    assert sender.departures.settle()
    assert len(store.holds) == 2
    for left in (1, 0):
        (there,) = take(seat)
        sender.departures.settle()
        assert len(store.holds) == left + 2
        retire(seat)
        sender.departures.settle()
        assert len(store.holds) == left + 1
        assert bytes(there) == bytes(10)  # type: ignore[call-overload]
        del there
        seat.inbox.buffers.forget_received()  # type: ignore[union-attr]
        gc.collect()
        seat.inbox.buffers.departures.settle()  # type: ignore[union-attr]


@pytest.mark.parametrize("end_it", ["the seat is gone for good", "this end is closed"])
def test_a_hold_is_not_kept_for_a_record_that_nobody_will_read(
    ends: tuple[ChannelEnd, ChannelEnd], sender: Buffers, store: Store, end_it: str
) -> None:
    caller, _ = ends
    send(caller, sender.create(10))
    gc.collect()
    assert sender.departures.settle()
    if end_it == "this end is closed":
        caller.close()
    else:
        caller.segment.words[layout.CH_CLOSED] = 1
    assert not sender.departures.settle()
    assert store.holds == []


def test_a_reply_counts_while_its_caller_may_read_it(
    ends: tuple[ChannelEnd, ChannelEnd], receiver: Buffers, store: Store
) -> None:
    caller, seat = ends
    body = codec.encode_result(receiver.create(10))
    seat.outbox.send(layout.REPLY, 0, 1, 0, 0, 0, body)
    del body
    gc.collect()
    # The answers of a component that is stopped are still fetched.
    seat.segment.words[layout.CH_CLOSED] = 1
    assert receiver.departures.settle()
    caller.leave()
    assert not receiver.departures.settle()
    assert store.holds == []


def test_a_gift_is_offered_and_spent(
    ends: tuple[ChannelEnd, ChannelEnd], sender: Buffers, store: Store
) -> None:
    caller, seat = ends
    made = sender.create(10).give()
    send(caller, made)
    assert store.offered == {made.id}
    (there,) = take(seat)
    assert isinstance(there, Buffer)
    there[0] = 1
    with pytest.raises(InvalidBuffer, match="given away"):
        send(caller, made)


def test_a_gift_that_found_no_room_is_not_spent(
    ends: tuple[ChannelEnd, ChannelEnd], sender: Buffers
) -> None:
    caller, seat = ends
    made = sender.create(10).give()
    count = 0
    for blob in (bytes(30_000), b""):
        while send(caller, blob) >= 0:
            count += 1
    assert send(caller, made) < 0
    for _ in range(count):
        assert seat.inbox.reader.read() is not None
    retire(seat)
    assert send(caller, made) >= 0
    (there,) = take(seat)
    assert not memoryview(there).readonly  # type: ignore[arg-type]


def test_what_cannot_be_had_is_an_error_where_it_is_decoded(
    sender: Buffers, receiver: Buffers, store: Store
) -> None:
    made, other = sender.create(10), sender.create(10)
    view = packed(Parcel([made, other]))
    os.close(store.fds.pop(made.id))
    body = open_parcel(view, receiver)
    with pytest.raises(InvalidBuffer, match="gone"):
        codec.decoder_for(None).decode(body)


def test_opening_again_fetches_nothing(sender: Buffers, receiver: Buffers, store: Store) -> None:
    view = packed(Parcel([sender.create(10)]))
    one = codec.decoder_for(None).decode(open_parcel(view, receiver))
    two = codec.decoder_for(None).decode(open_parcel(view, receiver))
    assert one[0] is two[0]
    assert store.fetched == 1


@pytest.mark.parametrize(
    "table",
    [b"", b"\0" * 7, struct.pack("<Q", 1), struct.pack("<QQ", 1, 1), b"\xff" * 64],
)
def test_a_table_that_is_none(receiver: Buffers, table: bytes) -> None:
    with pytest.raises(CorruptError):
        open_parcel(leased(table or b"\0"), receiver)


def test_where_there_are_no_buffers(sender: Buffers) -> None:
    with pytest.raises(CorruptError):
        open_parcel(packed(Parcel([sender.create(1)])), None)


def test_parts_of_a_body(sender: Buffers, receiver: Buffers) -> None:
    made = sender.create(10)
    body = open_parcel(packed(Parcel([made, 5])), receiver)
    raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode(body)
    take_from = taker_for(body)
    assert take_from is not None
    found = msgspec.msgpack.Decoder(Buffer, ext_hook=take_from).decode(raw[0])
    assert bytes(found) == bytes(10)
    assert taker_for(b"") is None
    assert taker_for(memoryview(b"x")) is None


def test_an_extension_of_others() -> None:
    own = msgspec.msgpack.Ext(BUFFER_CODE, bytes(8))
    decode = msgspec.msgpack.Decoder(ext_hook=take_buffer).decode
    assert decode(msgspec.msgpack.encode(own)) == own


def test_what_is_no_buffer_is_refused_as_ever(sender: Buffers) -> None:
    with pytest.raises(EncodeError, match=r"argument 2 cannot be sent: .*object is unsupported"):
        codec.encode_arguments((sender.create(1), object()), {})
    with pytest.raises(EncodeError, match=r"argument 'b' cannot be sent: .*object is unsupported"):
        codec.encode_arguments((), {"a": sender.create(1), "b": object()})
    with pytest.raises(EncodeError, match="result cannot be sent"):
        codec.encode_result([sender.create(1), object()])


# -- sizes --------------------------------------------------------------------------------


@given(st.integers(1, memory_bytes()))
def test_sizes(size: int) -> None:
    assert checked_size(size) == size


@given(st.one_of(st.integers(max_value=0), st.integers(min_value=memory_bytes() + 1), st.floats()))
def test_no_sizes(size: object) -> None:
    with pytest.raises(InvalidBuffer):
        checked_size(size)


def test_memory_that_cannot_be_mapped(store: Store) -> None:
    class Bare(Store):
        def create(self, buffer_id: int, hold: int, size_bytes: int) -> io.FileIO:
            # What no host would send: nothing can be mapped of it.
            return io.FileIO(os.memfd_create("empty"), "r+b")

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidBuffer, match="cannot be mapped"):
        Buffers(Bare()).create(10)
    assert len(os.listdir("/proc/self/fd")) == before
