"""Tasks and their slots: what a channel remembers of a stream when its worker dies."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hookspecs import SAFE_POINT
from noodle_host.router import codec, layout
from noodle_host.router.bell import Doorbell
from noodle_host.router.channel import ChannelEnd, create_segment
from noodle_host.router.segment import Segment
from noodle_host.router.stream import WINDOW_ITEMS
from noodle_host.worker.executor import Executor
from noodle_host.worker.inlet import Inlet
from noodle_host.worker.methods import Method
from noodle_host.worker.moment import Moment
from noodle_host.worker.nested import NestedReplies
from noodle_host.worker.server import Server
from noodle_host.worker.signature import read_signature
from noodle_host.worker.task import send_unsent
from noodle_host.worker.task_slot import TaskSlot
from noodle_host.worker.tasks import Tasks

_CALL_ID = 41
_ORDER = 17


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = create_segment("test-channel")
    yield segment
    segment.close()


@pytest.fixture
def bell() -> Iterator[Doorbell]:
    bell = Doorbell.create("test-bell")
    yield bell
    bell.close()


@pytest.fixture
def new_end(segment: Segment, bell: Doorbell) -> Callable[..., ChannelEnd]:
    """``new_end(caller=False)``: an end as the next holder of the seat makes it."""

    def make(*, caller: bool = False) -> ChannelEnd:
        return ChannelEnd(segment, bell, caller=caller)

    return make


def take(end: ChannelEnd, call_id: int = _CALL_ID, body: bytes = b"arguments") -> TaskSlot | None:
    return TaskSlot.take(end, call_id, 0xFFFF_FFFF, layout.BY_NAME, 123, body)


def only_slot(end: ChannelEnd) -> TaskSlot:
    (first,) = end.task_slots()
    return TaskSlot(end, first)


# -- slots ------------------------------------------------------------------------------


def test_a_slot_is_there_for_the_next_holder(new_end: Callable[..., ChannelEnd]) -> None:
    slot = take(new_end())
    assert slot is not None
    slot.grant(3)
    slot.begin_item(_ORDER)
    slot.count_item()
    other = only_slot(new_end())
    assert (other.call_id, other.method, other.by_name) == (_CALL_ID, 0xFFFF_FFFF, True)
    assert (other.deadline_ns, other.body, other.items) == (123, b"arguments", 1)
    assert other.credit == WINDOW_ITEMS + 3 - 1


def test_arguments_survive_what_an_earlier_holder_left(new_end: Callable[..., ChannelEnd]) -> None:
    """The next holder frees what its arena has of payloads that nobody owns; not these."""
    first = new_end()
    bodies = {n: bytes([n]) * 100_000 for n in range(1, 6)}
    for call_id, body in bodies.items():
        assert take(first, call_id, body) is not None
    # Taken, and its sender died before it was sent.
    assert first.outbox.arena.allocate(100_000) > 0
    second = new_end()
    for _ in range(10):
        offset = second.outbox.arena.allocate(100_000)
        second.segment.view[offset : offset + 100_000] = b"\xff" * 100_000
    slots = [TaskSlot(second, at) for at in second.task_slots()]
    assert {slot.call_id: slot.body for slot in slots} == bodies


def test_a_slot_is_taken_up_again_for_the_same_task(new_end: Callable[..., ChannelEnd]) -> None:
    end = new_end()
    slot = take(end)
    assert slot is not None
    slot.begin_item(_ORDER)
    slot.count_item()
    again = take(new_end())
    assert again is not None
    assert again.items == 1
    assert len(list(end.task_slots())) == 1


def test_slots_run_out_and_are_given_back(new_end: Callable[..., ChannelEnd]) -> None:
    end = new_end()
    slots = [take(end, call_id) for call_id in range(1, layout.TASK_SLOTS + 1)]
    assert all(slots)
    used = end.outbox.arena.live_bytes
    assert take(end, 1000) is None
    # Nothing is taken for one that is refused.
    assert end.outbox.arena.live_bytes == used
    freed = slots[77]
    assert freed is not None
    freed.free()
    assert take(end, 1000) is not None
    assert 1000 in {TaskSlot(end, at).call_id for at in end.task_slots()}
    for at in list(end.task_slots()):
        TaskSlot(end, at).free()
    assert list(end.task_slots()) == []
    assert end.outbox.arena.live_bytes == 0


# -- a death between two stores ---------------------------------------------------------


def send_item(end: ChannelEnd, body: bytes = b"item", call_id: int = _CALL_ID) -> None:
    assert end.outbox.send(layout.ITEM, 0, call_id, 0, 0, 0, body) >= 0


#: What the dead holder had come to, and whether the item was sent by then.
_WINDOWS: list[tuple[str, bool]] = [
    ("before", False),
    ("begun", False),
    ("sent", True),
    ("counted", True),
]


def die_at(window: str, end: ChannelEnd, slot: TaskSlot, order: int, body: bytes) -> None:
    if window == "before":
        return
    slot.begin_item(order)
    if window == "begun":
        return
    send_item(end, body)
    if window == "sent":
        return
    slot.count_item()


@pytest.mark.parametrize("body", [b"item", b"i" * (layout.INLINE_BYTES + 1)])
@pytest.mark.parametrize("sent_before", [0, 1, 5])
@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize(("window", "is_sent"), _WINDOWS)
def test_whether_an_item_was_sent_can_be_told_after_a_death(
    new_end: Callable[..., ChannelEnd],
    window: str,
    is_sent: bool,
    is_read: bool,
    sent_before: int,
    body: bytes,
) -> None:
    end, caller = new_end(), new_end(caller=True)
    slot = take(end)
    assert slot is not None
    for n in range(sent_before):
        slot.begin_item(_ORDER - sent_before + n)
        send_item(end)
        slot.count_item()
    die_at(window, end, slot, _ORDER, body)
    if is_read:
        while caller.inbox.reader.read() is not None:
            pass
        caller.inbox.retire(caller.inbox.reader.position)
    for _ in range(2):
        # Asking again, by another successor, changes nothing.
        settled = only_slot(new_end())
        assert settled.settle_item(_ORDER) is is_sent
        settled.settle_item()
        assert settled.items == sent_before + is_sent


@pytest.mark.parametrize(("window", "is_sent"), _WINDOWS)
def test_an_item_of_another_step_is_another_one(
    new_end: Callable[..., ChannelEnd], window: str, is_sent: bool
) -> None:
    end = new_end()
    slot = take(end)
    assert slot is not None
    die_at(window, end, slot, _ORDER, b"item")
    assert only_slot(new_end()).settle_item(_ORDER + 1) is False
    assert only_slot(new_end()).settle_item(_ORDER - 1) is False


@pytest.mark.parametrize("kind", [layout.REPLY, layout.ITEM, layout.END])
def test_what_another_task_sent_after_it_is_not_its_item(
    new_end: Callable[..., ChannelEnd], kind: int
) -> None:
    """Its item was begun and not sent; a successor has sent something else there."""
    end = new_end()
    slot = take(end)
    assert slot is not None
    slot.begin_item(_ORDER)
    assert end.outbox.send(kind, 0, _CALL_ID + 1, 0, 0, 0, b"other") >= 0
    assert only_slot(new_end()).settle_item(_ORDER) is False
    assert only_slot(new_end()).items == 0


@pytest.mark.parametrize(("window", "is_sent"), _WINDOWS)
@pytest.mark.parametrize("kind", [layout.ITEM, layout.END, layout.ERROR])
def test_what_came_of_a_step_is_sent_once(
    new_end: Callable[..., ChannelEnd], window: str, is_sent: bool, kind: int
) -> None:
    """The step is executed again by the successor; whoever waits gets its outcome once."""
    end, caller = new_end(), new_end(caller=True)
    slot = take(end)
    assert slot is not None
    if kind == layout.ITEM:
        die_at(window, end, slot, _ORDER, b"outcome")
    elif is_sent:
        # An end is sent before the slot is given back.
        end.outbox.send(kind, 0, _CALL_ID, 0, 0, 0, b"outcome")
        slot.free()
    inlet = Inlet(1, "host", new_end())
    send_unsent(inlet, _CALL_ID, kind, b"outcome", _ORDER)
    records = []
    while (record := caller.inbox.reader.read()) is not None:
        records.append((record[1], record[4], record[11]))
    assert records == [(kind, _CALL_ID, b"outcome")]
    if kind == layout.ITEM:
        assert only_slot(new_end()).items == 1
    else:
        assert list(new_end().task_slots()) == []


# -- one holder after the other ---------------------------------------------------------


class Counting:
    """Streams numbers; remembers how often it was asked, and what was closed."""

    def __init__(self) -> None:
        self.begun = 0
        self.closed: list[int] = []

    def numbers(self, n: int, start: int = 0) -> Iterator[Any]:
        self.begun += 1
        i = start
        try:
            for i in range(start, n):
                yield SAFE_POINT
                yield i
        finally:
            self.closed.append(i)

    def read(self, n: int) -> Iterator[int]:
        yield from range(n)

    def once(self) -> int:
        return 1

    def fail(self, n: int) -> Iterator[int]:
        yield from range(n)
        raise KeyError("enough")


class Holder:
    """A worker's part in the tasks of one channel; without a journal."""

    def __init__(
        self, end: ChannelEnd, *, has_state: bool = False, resumes: bool = False, fault: str = ""
    ) -> None:
        self.component = Counting()
        self.fault = fault
        self.lost: list[BaseException] = []
        methods = {}
        for name in ("numbers", "read", "once", "fail"):
            function = getattr(self.component, name)
            method = Method(
                name,
                function,
                read_signature(function),
                is_query=name == "read",
                is_stream=name != "once",
            )
            methods[method.method_id] = method
        executor = Executor("counting", "1.0.0", methods)
        moment = Moment()
        self.resumed: list[tuple[str, list[object], int]] = []
        self.tasks = Tasks(
            executor,
            moment,
            self._resume if resumes else None,
            self.lost.append,
            has_state=has_state,
        )
        page = memoryview(bytearray(4096)).cast("Q")
        self.server = Server(
            executor, moment, NestedReplies(), self.tasks, page, has_state=has_state
        )
        self.inlet = Inlet(1, "host", end)
        self.server.attach(self.inlet)
        self.server.begin(0, None)
        self.tasks.take_up(self.inlet)

    def _resume(self, method: str, arguments: list[object], items_sent: int) -> object:
        if self.fault:
            raise LookupError(self.fault)
        self.resumed.append((method, arguments, items_sent))
        return self.component.numbers(*arguments, start=items_sent)  # type: ignore[arg-type]

    def turn(self, times: int = 10_000) -> None:
        for _ in range(times):
            if not self.server.turn():
                return


class Caller:
    """The other end: asks for streams, and takes what comes."""

    def __init__(self, end: ChannelEnd) -> None:
        self.end = end
        self.items: list[Any] = []
        self.ends: list[Any] = []

    def send(self, kind: int, call_id: int, method: int = 0, body: bytes = b"") -> None:
        assert self.end.outbox.send(kind, 0, call_id, method, 0, 0, body) >= 0

    def stream(self, name: str, *arguments: Any, call_id: int = _CALL_ID) -> None:
        body, _ = codec.encode_arguments(arguments, {})
        assert isinstance(body, bytes)
        self.send(layout.STREAM, call_id, zlib.crc32(name.encode()), body)

    def take(self) -> None:
        reader = self.end.inbox.reader
        while (record := reader.read()) is not None:
            assert record[4] == _CALL_ID
            if record[1] == layout.ITEM:
                assert not self.ends
                self.items.append(codec.decoder_for(None).decode(record[11]))
            else:
                error = codec.decode_error(record[11]) if record[1] == layout.ERROR else None
                self.ends.append(error)
            self.end.inbox.retire(reader.position)


@pytest.fixture
def caller(new_end: Callable[..., ChannelEnd]) -> Caller:
    return Caller(new_end(caller=True))


def test_a_task_stops_when_its_caller_has_what_it_asked_for(
    new_end: Callable[..., ChannelEnd], caller: Caller
) -> None:
    holder = Holder(new_end())
    caller.stream("numbers", 1000)
    holder.turn()
    caller.take()
    assert caller.items == list(range(WINDOW_ITEMS))
    assert not holder.server.has_work()
    caller.send(layout.CREDIT, _CALL_ID, method=10)
    holder.turn()
    caller.take()
    assert caller.items == list(range(WINDOW_ITEMS + 10))
    caller.send(layout.CANCEL, _CALL_ID)
    holder.turn()
    assert holder.component.closed == [WINDOW_ITEMS + 9]
    assert not holder.tasks
    assert list(new_end().task_slots()) == []
    caller.take()
    assert caller.ends == []


@pytest.mark.parametrize(("name", "end"), [("numbers", type(None)), ("fail", KeyError)])
def test_a_task_ends_once(
    new_end: Callable[..., ChannelEnd], caller: Caller, name: str, end: type
) -> None:
    holder = Holder(new_end())
    caller.stream(name, 7)
    holder.turn()
    caller.take()
    assert caller.items == list(range(7))
    assert [isinstance(one, end) for one in caller.ends] == [True]
    assert list(new_end().task_slots()) == []


def test_what_does_not_stream_is_refused(
    new_end: Callable[..., ChannelEnd], caller: Caller
) -> None:
    holder = Holder(new_end())
    caller.stream("once")
    holder.turn()
    caller.take()
    ((error),) = caller.ends
    assert "once() does not stream" in str(error)
    assert list(new_end().task_slots()) == []


@pytest.mark.parametrize("turns", [1, 2, 3, 20, 21, 128])
@pytest.mark.parametrize(
    ("name", "has_state", "resumes"),
    [
        ("numbers", False, False),
        ("numbers", False, True),
        ("numbers", True, True),
        ("read", True, False),
        ("read", False, False),
    ],
)
def test_the_next_holder_goes_on_with_a_task(
    new_end: Callable[..., ChannelEnd],
    caller: Caller,
    name: str,
    has_state: bool,
    resumes: bool,
    turns: int,
) -> None:
    """Whether the caller has taken some of it or not, whatever holder comes, and dies."""
    caller.stream(name, 300)
    for number in range(4):
        holder = Holder(new_end(), has_state=has_state, resumes=resumes)
        holder.turn(turns)
        if number % 2:
            caller.take()
            caller.send(layout.CREDIT, _CALL_ID, method=20)
    holder = Holder(new_end(), has_state=has_state, resumes=resumes)
    while not caller.ends:
        before = len(caller.items)
        holder.turn()
        caller.take()
        caller.send(layout.CREDIT, _CALL_ID, method=30)
        assert len(caller.items) > before or caller.ends
    assert caller.items == list(range(300))
    assert caller.ends == [None]
    assert holder.lost == []
    if resumes:
        assert all(call[:2] == (name, [300]) for call in holder.resumed)


def test_a_command_that_cannot_go_on_ends_with_an_error(
    new_end: Callable[..., ChannelEnd], caller: Caller
) -> None:
    caller.stream("numbers", 300)
    Holder(new_end(), has_state=True).turn(20)
    holder = Holder(new_end(), has_state=True)
    holder.turn()
    caller.take()
    assert caller.items == list(range(len(caller.items)))
    (error,) = caller.ends
    assert "numbers() cannot go on" in str(error)
    assert "implement resume()" in str(error)
    assert list(new_end().task_slots()) == []


def test_a_task_whose_request_is_unread_is_begun_by_the_next_holder(
    new_end: Callable[..., ChannelEnd], caller: Caller
) -> None:
    """The slot was taken; before the request was retired, its worker died."""
    end = new_end()
    caller.stream("numbers", 10)
    record = end.inbox.reader.read()
    assert record is not None
    assert TaskSlot.take(end, _CALL_ID, record[5], record[2], record[7], record[11]) is not None
    holder = Holder(new_end(), has_state=True)
    holder.turn()
    caller.take()
    assert caller.items == list(range(10))
    assert caller.ends == [None]
    assert holder.component.begun == 1
    assert list(new_end().task_slots()) == []


def test_a_resume_that_raises_is_told_to_the_caller(
    new_end: Callable[..., ChannelEnd], caller: Caller
) -> None:
    caller.stream("numbers", 300)
    Holder(new_end(), has_state=True, resumes=True).turn(20)
    Holder(new_end(), has_state=True, resumes=True, fault="not in the state").turn()
    caller.take()
    (error,) = caller.ends
    assert "not in the state" in str(error)
    assert list(new_end().task_slots()) == []


def test_the_tasks_of_a_caller_that_is_gone_are_closed(
    new_end: Callable[..., ChannelEnd], caller: Caller
) -> None:
    holder = Holder(new_end())
    caller.stream("numbers", 300)
    holder.turn(9)
    holder.tasks.detach(1)
    assert len(holder.component.closed) == 1
    assert not holder.tasks
