"""Both implementations of lanes and bells, for tests that run with either or with a mix."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from noodle_host.router import bell, codec, lane, layout
from noodle_host.router.aio import LoopWatch
from noodle_host.router.bell import Doorbell
from noodle_host.router.call import Call
from noodle_host.router.channel import ChannelEnd
from noodle_host.router.endpoint import Endpoint
from noodle_host.router.lane import Record
from noodle_host.router.native import Sleeper
from noodle_host.router.route import RouteTable, even_shares
from noodle_host.router.segment import Segment
from noodle_host.router.stream import WINDOW_ITEMS, Stream

#: Path of an extension to test instead of the one that was built.
EXTENSION = os.environ.get("NOODLE_HOST_TEST_EXTENSION")

PYTHON = SimpleNamespace(
    __name__="python",
    LaneMemory=lane.LaneMemory,
    LaneReader=lane.LaneReader,
    LaneWriter=lane.LaneWriter,
    Sleeper=bell.Sleeper,
    fence=bell.fence,
)


def load_native() -> Any:
    """The native lanes, or why there are none."""
    name = "noodle_host.router._lane"
    try:
        if EXTENSION:
            loader = importlib.machinery.ExtensionFileLoader(name, EXTENSION)
            spec = importlib.util.spec_from_loader(name, loader)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
        return importlib.import_module(name)
    except ImportError as error:
        return f"no native lanes: {error}"


NATIVE = load_native()


def implementation(name: str) -> Any:
    if name == "python":
        return PYTHON
    if isinstance(NATIVE, str):
        pytest.skip(NATIVE)
    return NATIVE


@pytest.fixture
def python() -> Any:
    return PYTHON


@pytest.fixture
def native() -> Any:
    return implementation("native")


@pytest.fixture(params=["python", "native"])
def lanes(request: pytest.FixtureRequest) -> Any:
    """One implementation."""
    return implementation(request.param)


@pytest.fixture(params=["python-python", "python-native", "native-python", "native-native"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The producer's implementation and the consumer's."""
    producer, consumer = request.param.split("-")
    return implementation(producer), implementation(consumer)


@pytest.fixture
def memory_in() -> Iterator[Callable[[Any, int], Any]]:
    """``memory_in(lanes, ring_bytes)``: a LaneMemory; the same ring for each implementation."""
    segments: dict[int, Segment] = {}

    def make(lanes: Any, ring_bytes: int) -> Any:
        segment = segments.get(ring_bytes)
        if segment is None:
            size = layout.CHANNEL_HEADER_BYTES + ring_bytes
            segment = segments[ring_bytes] = Segment.create("test-lane", size)
        ring = segment.view[layout.CHANNEL_HEADER_BYTES :]
        return lanes.LaneMemory(segment.words, ring, layout.CH_REQUESTS)

    yield make
    for segment in segments.values():
        segment.close()


# -- an endpoint and the seats that it calls ------------------------------------------

DECODE = codec.decoder_for(None).decode
ARENA_BYTES = 16 << 20

METHODS: dict[str, Callable[..., Any]] = {}


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    METHODS[function.__name__] = function
    return function


@method
def echo(value: Any = None) -> Any:
    return value


@method
def boom(text: str) -> None:
    raise KeyError(text)


@method
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@method
def count(items: int) -> Iterator[int]:
    yield from range(items)


@method
def blocks(items: int, size: int) -> Iterator[bytes]:
    for i in range(items):
        yield bytes([i % 256]) * size


@method
def fail_after(items: int) -> Iterator[int]:
    yield from range(items)
    raise KeyError("enough")


NAMES = {codec.method_id(name): name for name in METHODS}


class SeatEnd:
    """The seat's end of one channel: answered by hand, or served by a loop."""

    def __init__(self, end: ChannelEnd) -> None:
        self.end = end
        #: call id -> (generator, items that may be sent)
        self.tasks: dict[int, list[Any]] = {}
        self.cancelled: list[int] = []
        self.notified: list[Any] = []
        self._unsent: deque[tuple[int, int, Any]] = deque()

    # by hand

    def take(self) -> Record:
        """The next request; it has to be there."""
        record = self.end.inbox.reader.read()
        assert record is not None, "there is no request"
        return record

    def retire(self) -> None:
        self.end.inbox.retire(self.end.inbox.reader.position)

    def send(self, kind: int, call_id: int, value: Any = None, *, raw: Any = None) -> None:
        body = codec.encode_result(value) if raw is None else raw
        if self._unsent or self.end.outbox.send(kind, 0, call_id, 0, 0, 0, body) < 0:
            self._unsent.append((kind, call_id, body))
            self.end.outbox.writer.set_waiting(True)

    def reply(self, record: Record, value: Any = None) -> None:
        self.send(layout.REPLY, record[4], value)
        self.retire()

    def arguments(self, record: Record) -> list[Any]:
        slab = self.end.inbox.slab(record)
        if slab is None:
            return list(DECODE(record[11]))
        arguments = DECODE(bytes(self.end.inbox.arena.view(*slab)))
        self.end.inbox.arena.free(slab[0])
        return list(arguments)

    # by a loop

    def has_work(self) -> bool:
        if not self.can_take():
            return False
        return self.end.inbox.reader.has_record() or any(t[1] > 0 for t in self.tasks.values())

    def can_take(self) -> bool:
        outbox = self.end.outbox
        while self._unsent:
            kind, call_id, body = self._unsent[0]
            if outbox.send(kind, 0, call_id, 0, 0, 0, body) < 0:
                return False
            self._unsent.popleft()
            outbox.writer.set_waiting(False)
        return outbox.has_room(layout.INLINE_BYTES)

    def turn(self) -> bool:
        if not self.can_take():
            return False
        worked = False
        record = self.end.inbox.reader.read()
        if record is not None:
            worked = True
            self.serve(record)
            self.retire()
        for call_id, task in list(self.tasks.items()):
            if task[1] > 0 and self.can_take():
                worked = True
                self.step(call_id, task)
        return worked

    def serve(self, record: Record) -> None:
        kind, call_id = record[1], record[4]
        if kind == layout.CREDIT:
            if call_id in self.tasks:
                self.tasks[call_id][1] += record[5]
        elif kind == layout.CANCEL:
            self.cancelled.append(call_id)
            task = self.tasks.pop(call_id, None)
            if task is not None:
                task[0].close()
        elif record[10]:
            # Taken back.
            slab = self.end.inbox.slab(record)
            if slab is not None:
                self.end.inbox.arena.free(slab[0])
        elif kind == layout.NOTIFY:
            self.notified.append(self.arguments(record))
        else:
            function = METHODS[NAMES[record[5]]]
            try:
                value = function(*self.arguments(record))
            except Exception as error:
                body = codec.encode_exception(error, "shop", "1.0.0", 1)
                self.send(layout.ERROR, call_id, raw=body)
                return
            if kind == layout.STREAM:
                self.tasks[call_id] = [value, WINDOW_ITEMS]
            else:
                self.send(layout.REPLY, call_id, value)

    def step(self, call_id: int, task: list[Any]) -> None:
        try:
            item = next(task[0])
        except StopIteration:
            del self.tasks[call_id]
            self.send(layout.END, call_id)
        except Exception as error:
            del self.tasks[call_id]
            body = codec.encode_exception(error, "shop", "1.0.0", 1)
            self.send(layout.ERROR, call_id, raw=body)
        else:
            task[1] -= 1
            self.send(layout.ITEM, call_id, item)


class Rig:
    """An endpoint, its route table, and seats that are made when they are called."""

    def __init__(self) -> None:
        self.bell = Doorbell.create("test-caller")
        self.seat_bell = Doorbell.create("test-seats")
        self.table = RouteTable.create()
        self.slots: dict[str, int] = {}
        self.seats: dict[int, SeatEnd] = {}
        self.corrupt: list[tuple[int, str]] = []
        self.arena_bytes = ARENA_BYTES
        self.endpoint = Endpoint(self.bell, self.table, self, salt=7)
        self.watch = LoopWatch(self.endpoint, self.bell)
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._children: list[int] = []
        self._is_closed = False

    # what Connector asks for

    def slot(self, component: str) -> int:
        return self.slots[component]

    def connect(self, component: str, seat: int) -> ChannelEnd:
        lane_bytes = layout.LANE_BYTES
        size = layout.CHANNEL_HEADER_BYTES + 2 * lane_bytes + 2 * self.arena_bytes
        segment = Segment.create("test-channel", size)
        segment.words[layout.CH_LANE_BYTES] = lane_bytes
        segment.words[layout.CH_ARENA_BYTES] = self.arena_bytes
        segment.words[layout.CH_MAGIC] = layout.CHANNEL_MAGIC
        end = ChannelEnd(segment, self.seat_bell, caller=True)
        self.seats[seat] = SeatEnd(ChannelEnd(segment, self.bell, caller=False))
        return end

    def report_corrupt(self, seat: int, what: str) -> None:
        self.corrupt.append((seat, what))

    # for tests

    def start(self, component: str = "shop", seats: int = 1) -> list[SeatEnd]:
        """Route a component to new seats, connected but served by nobody."""
        numbers = [next(self._numbers) for _ in range(seats)]
        slot = self.slots.setdefault(component, len(self.slots))
        self.table.write(slot, even_shares(numbers))
        self.endpoint._resolve(component)
        return [self.seats[number] for number in numbers]

    def serve(self) -> None:
        """Serve the seats that there are on a thread."""
        thread = threading.Thread(target=self._serve, args=(self._stop.is_set,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def serve_in_child(self) -> int:
        """Serve the seats that there are in another process; return its id."""
        parent = os.getpid()
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                self._serve(lambda: os.getppid() != parent)
            os._exit(0)
        self._children.append(child)
        return child

    def _serve(self, stop: Callable[[], bool]) -> None:
        seats = list(self.seats.values())
        sleeper = Sleeper(self.seat_bell)
        while not stop():
            if not sum(seat.turn() for seat in seats):
                sleeper.sleep(lambda: any(seat.has_work() for seat in seats), 0.2)

    def submit(self, method: str, *args: Any, timeout_s: float | None = 20, **options: Any) -> Call:
        component = options.pop("component", "shop")
        deadline_ns = 0 if timeout_s is None else time.monotonic_ns() + int(timeout_s * 1e9)
        return self.endpoint.submit(
            component, method, args, {}, deadline_ns=deadline_ns, decode=DECODE, **options
        )

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        return self.submit(method, *args, **options).result()

    def stream(self, method: str, *args: Any, timeout_s: float | None = 20) -> Stream:
        deadline_ns = 0 if timeout_s is None else time.monotonic_ns() + int(timeout_s * 1e9)
        return self.endpoint.stream(
            "shop", method, args, {}, deadline_ns=deadline_ns, decode=DECODE
        )

    def notify(self, *args: Any) -> None:
        self.endpoint.notify("shop", "echo", args, {})

    async def acall(self, method: str, *args: Any, **options: Any) -> Any:
        key = options.get("key")
        return await self.watch.call("shop", key, lambda: self.submit(method, *args, **options))

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self._stop.set()
        self.seat_bell.ring()
        for thread in self._threads:
            thread.join()
        self.endpoint.close()
        for seat in self.seats.values():
            seat.end.segment.close()
        self.table.segment.close()
        self.bell.close()
        self.seat_bell.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A caller and a component ``shop`` with one seat, served by hand."""
    rig = Rig()
    rig.start()
    yield rig
    rig.close()


@pytest.fixture
def served(rig: Rig) -> Rig:
    """The same, served in another process: echo, boom, count, blocks, fail_after."""
    rig.serve_in_child()
    return rig


@pytest.fixture
def new_rig() -> Iterator[Callable[[], Rig]]:
    """Makes further callers in this process."""
    rigs: list[Rig] = []

    def make() -> Rig:
        rigs.append(Rig())
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


class Alarm(Exception):
    """Raised by a signal handler."""


@pytest.fixture
def alarms() -> Iterator[Callable[[float], contextlib.AbstractContextManager[None]]]:
    """``with alarms(every_s):`` the main thread is interrupted by ``Alarm`` again and again."""

    armed = False

    def on_alarm(*_: object) -> None:
        if armed:
            raise Alarm

    @contextlib.contextmanager
    def armed_while(every_s: float) -> Iterator[None]:
        nonlocal armed
        armed = True
        signal.setitimer(signal.ITIMER_REAL, every_s, every_s)
        try:
            yield
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    old = signal.signal(signal.SIGALRM, on_alarm)
    armed_while.error = Alarm  # type: ignore[attr-defined]
    yield armed_while
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
