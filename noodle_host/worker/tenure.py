"""A tenure: what a worker is to its seat. It stands by, follows, leads, yields.

The worker's main loop drives it; orders from the host arrive as its methods, always
between two records.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..errors import HotSwapError, StateError
from ..router import codec, layout
from ..router.bell import Doorbell, fence
from ..router.buffer import Buffers
from ..router.channel import ChannelEnd
from ..router.corrupt import CorruptError
from ..router.journal import Journal, channel_of
from ..router.lane import CorruptLaneError, Record
from ..router.parcel import Parcel
from ..router.segment import Segment
from . import capture, messages, snapshot
from .context import WorkerContext
from .control import Control, attach_channel
from .effects import Numbers, Recorder
from .executor import Body, Executor
from .follower import Follower, LostTrackError
from .inlet import Inlet
from .keeper import Keeper
from .loading import LoadedComponent
from .moment import Moment
from .nested import NestedReplies
from .server import Server
from .steps import Step, Steps
from .task import send_unsent
from .tasks import Tasks

#: Nobody sleeps longer than this without looking again.
LONGEST_SLEEP_S: Final = 1.0


@dataclass(frozen=True)
class _Channel:
    """A channel of the seat, mapped; whoever leads makes an end of it."""

    caller: str
    caller_seat: int
    segment: Segment
    bell: Doorbell

    def inlet(self, number: int, buffers: Buffers) -> Inlet:
        end = ChannelEnd(self.segment, self.bell, caller=False)
        end.carry(buffers)
        return Inlet(number, self.caller, end, self.caller_seat)


class Tenure:
    """One worker and one seat."""

    def __init__(
        self,
        component: LoadedComponent,
        moment: Moment,
        control: Control,
        bell: Doorbell,
        seat_bell: Doorbell,
        steps: Steps,
        buffers: Buffers,
        on_lost_error: Callable[[BaseException], None],
    ) -> None:
        manifest = component.manifest
        self._component = component
        self._manifest = manifest
        self._moment = moment
        self._control = control
        self._page = bell.words
        self._seat_page = seat_bell.words
        self._steps = steps
        self._buffers = buffers
        self._executor = Executor(manifest.name, manifest.version, component.methods, buffers)
        self._nested = NestedReplies()
        has_state = manifest.state.model != "stateless"
        resume = component.hooks.resume if "resume" in component.hook_names else None
        self._tasks = Tasks(
            self._executor,
            moment,
            None if resume is None else functools.partial(_resume, resume),
            on_lost_error,
            has_state=has_state,
        )
        self.server = Server(
            self._executor,
            moment,
            self._nested,
            self._tasks,
            self._seat_page,
            has_state=has_state,
        )
        self.server.on_lost_error = on_lost_error  # type: ignore[method-assign,assignment]
        self.server.on_corrupt = self.report_corrupt  # type: ignore[method-assign]
        self._numbers = Numbers(moment)
        self._channels: dict[int, _Channel] = {}
        self._journal: Journal | None = None
        self._follower: Follower | None = None
        self._keeper: Keeper | None = None
        self._compares = False
        self._has_started = False
        self._has_caught_up = False
        # Who follows once this worker leads: number -> page and bell.
        self._awaited: dict[int, Doorbell] = {}
        self._children: dict[int, int] = {}
        self.leads = False
        self.baton_seen = 0

    # -- the main loop ------------------------------------------------------

    def has_work(self) -> bool:
        """Whether a turn would do something."""
        if self.leads:
            return self.server.has_work()
        return self._follower is not None and self._follower.has_work()

    def turn(self) -> bool:
        """Serve, or follow, a little; True if there was anything to do."""
        if self.leads:
            return self.server.turn()
        if self._follower is None:
            return False
        try:
            worked = self._follower.turn()
        except LostTrackError:
            self._follower = None
            return False
        if not worked and not self._has_caught_up:
            self._has_caught_up = True
            self._control.send(messages.CaughtUp())
        self._report_divergence()
        return worked

    @property
    def longest_sleep_s(self) -> float:
        """How long it may sleep if nothing happens."""
        due_ns = self.server.share.due_ns
        return max(0.0, (due_ns - time.monotonic_ns()) / 1e9) if due_ns else LONGEST_SLEEP_S

    @property
    def idle(self) -> bool:
        """Whether it may end."""
        return not self.leads or self.server.idle

    def rest(self) -> None:
        """Nothing is to be done for the moment."""
        if self._keeper is not None:
            self._keeper.nudge(self._moment.order)
            self._page[layout.BELL_ORDER] = self._moment.order
        if self._children:
            self._reap()

    # -- channels -----------------------------------------------------------

    def attach(self, number: int, caller: str, caller_seat: int, fds: list[int]) -> None:
        """A caller has a channel to the seat.

        Raises:
            ValueError, CorruptLaneError: it holds what the protocol does not allow.
        """
        segment_fd, page_fd, bell_fd = fds
        segment = Segment.attach(segment_fd)
        channel = _Channel(caller, caller_seat, segment, Doorbell.attach(page_fd, bell_fd))
        self._channels[number] = channel
        if self.leads:
            self.server.attach(channel.inlet(number, self._buffers))

    def detach(self, number: int) -> None:
        """The caller of a channel is gone."""
        channel = self._channels.pop(number, None)
        self.server.detach(number)
        if channel is not None:
            channel.segment.close()
            channel.bell.close()

    def report_corrupt(self, channel: int, what: str) -> None:
        """A channel holds what the protocol does not allow."""
        self._channels.pop(channel, None)
        self._control.send(messages.CorruptCaller(channel, what))

    # -- before it leads ----------------------------------------------------

    def prepare(self, order: messages.Prepare, fds: list[int], context: WorkerContext) -> None:
        """Start, take over a state, and follow the leader if there is a journal.

        Raises:
            Exception: what the component's hooks raise.
            StateError: the state cannot be taken over.
        """
        if order.journaled:
            self._journal = Journal(Segment.attach(fds.pop(0)))
        self._compares = order.compares
        if not self._has_started:
            self._component.hooks.start(context=context)
            self._has_started = True
            self._steps.reach(Step.STARTED)
        head = self._restore(fds) if fds else None
        self._steps.reach(Step.RESTORED)
        if self._journal is not None:
            self._follow_from(
                0 if head is None else head.order, None if head is None else head.position
            )
            if head is not None:
                self._resume_followed(head)
            self._steps.reach(Step.FOLLOWING)
        elif head is not None:
            self._moment.order = head.order

    def _follow_from(self, order: int, position: int | None) -> None:
        assert self._journal is not None
        if (position or 0) < self._journal.retired:
            raise self._state_error("what was executed after its state was written is forgotten")
        self._follower = Follower(
            self._journal,
            self._executor,
            self._moment,
            self._nested,
            self._page,
            order=order,
            compares=self._compares,
            position=position,
        )

    def _restore(self, fds: list[int]) -> capture.StateHead:
        manifest = self._manifest
        try:
            meta, state = snapshot.load(fds)
            head = capture.decode_head(meta)
        except (snapshot.SnapshotError, ValueError) as error:
            raise self._state_error(f"its state cannot be read: {error}") from error
        self._steps.reach(Step.RESTORING)
        hooks = self._component.hooks
        if head.schema != manifest.state.schema:
            way = f"from schema {head.schema} to {manifest.state.schema}"
            if "migrate" not in self._component.hook_names:
                raise self._state_error(f"it has no migrate() {way}")
            try:
                state = hooks.migrate(
                    state=state, from_schema=head.schema, to_schema=manifest.state.schema
                )
            except Exception as error:
                raise self._state_error(
                    f"migrate() {way} raised {type(error).__name__}: {error}"
                ) from error
        try:
            hooks.restore(state=state)
        except Exception as error:
            raise self._state_error(f"restore() raised {type(error).__name__}: {error}") from error
        self._nested.load(head.nested)
        return head

    def _resume_followed(self, head: capture.StateHead) -> None:
        """Follow the tasks too that were under way when the state was written."""
        assert self._follower is not None
        for channel, call_id, number, by_name, body, items_sent in head.tasks:
            method = self._executor.method(number)
            try:
                items = self._tasks.resumed(method, body, by_name, items_sent)
            except Exception as error:
                raise self._state_error(
                    f"the task {method.name}() cannot go on: {error}"
                ) from error
            self._follower.tasks[channel, call_id] = items

    def _state_error(self, what: str) -> StateError:
        return StateError(
            what,
            code="HS_0004",
            component=self._manifest.name,
            version=self._manifest.version,
            worker=os.getpid(),
            phase="restore",
        )

    def _report_divergence(self) -> None:
        follower = self._follower
        if follower is None or follower.divergence is None:
            return
        divergence = follower.divergence
        self._follower = None
        self._control.send(messages.Diverged(divergence.order, divergence.method, divergence.what))

    # -- leading ------------------------------------------------------------

    def lead(self, *, dead: messages.Lead | None) -> None:
        """Serve the seat; its last leader has yielded, or ``dead`` says how it died."""
        if self.leads:
            return
        after_death = dead is not None and bool(dead.how)
        self.server.mourn(dead)
        if self._journal is not None and self._follower is None:
            # Its state is not that of the seat.
            raise LostTrackError("it is to lead, but has lost track of the leader")
        self._steps.reach(Step.CATCHING_UP)
        order = max(self._seat_page[layout.BELL_ORDER], self._moment.order)
        follower = self._follower
        if follower is not None:
            follower.catch_up()
            found = follower.divergence
            if found is not None and not after_death:
                # Nothing is taken yet: the last leader leads on.
                raise HotSwapError(
                    f"the new version does not do what the old one does: command {found.order}, "
                    f"{found.method}(): {found.what}",
                    component=self._manifest.name,
                    version=self._manifest.version,
                    worker=os.getpid(),
                )
            keeper = self._keeper = self._make_keeper(follower)
            keeper.followers.update(self._awaited)
            self._awaited = {}
        self._steps.reach(Step.TAKING_LANES)
        for number in list(self._channels):
            self._take_lane(number, after_death)
        if follower is not None:
            recorder = Recorder(self._moment, keeper.writer)
            follower.finish(recorder, self._verdict, self._answer)
            order = follower.order
            self._tasks.inherited = follower.tasks
            self._follower = None
            self._moment.effects = recorder
        self._seat_page[layout.BELL_ORDER] = order
        if self._manifest.state.model == "stateless":
            self._moment.numbers = self._numbers
        self.server.begin(order, self._keeper)
        for inlet in self.server.inlets.values():
            self._tasks.take_up(inlet)
        self._tasks.inherited = {}
        self.leads = True
        self._steps.reach(Step.LEADING)
        self._control.send(messages.Leading(order, time.monotonic_ns()))

    def _take_lane(self, number: int, after_death: bool) -> None:
        channel = self._channels[number]
        done = 0 if self._keeper is None else self._keeper.writer.last_order
        try:
            inlet = channel.inlet(number, self._buffers)
            if self._keeper is not None:
                inlet.forget_stamp(done)
            if after_death:
                inlet.end.inbox.reclaim(lambda record: _is_done(record, done))
        except (ValueError, CorruptError, CorruptLaneError) as error:
            self.report_corrupt(number, str(error))
        else:
            self.server.attach(inlet)

    def _make_keeper(self, follower: Follower) -> Keeper:
        control = self._control
        return Keeper(
            follower.writer(),
            lambda: control.send(messages.WantCheckpoint()),
            lambda number: control.send(messages.Dropped(number)),
        )

    def _verdict(self, record: Record, deaths: int) -> tuple[int, Body] | None:
        was_executed = bool(record[9] & layout.STATUS_EXECUTED)
        error = self.server.verdict(record[5], deaths, is_journaled=True, was_executed=was_executed)
        return None if error is None else (layout.ERROR, codec.encode_host_error(error))

    def _answer(self, record: Record, kind: int, body: Body, note: Callable[[], None]) -> None:
        inlet = self.server.inlets.get(channel_of(record[6]))
        if record[1] == layout.STEP and inlet is not None:
            send_unsent(inlet, record[4], kind, body, record[7])
        answered = (layout.CALL, layout.QUERY)
        if record[1] not in answered or inlet is None or inlet.reply(kind, record[4], body):
            note()
        else:
            inlet.when_sent(note)

    # -- handing over -------------------------------------------------------

    def yield_seat(self, order: messages.Yield, fds: list[int]) -> None:
        """Stop serving, and hand the baton to a successor that waits, or the state to the host."""
        why = self._why_not_yield(order)
        if why:
            for fd in fds:
                os.close(fd)
            self._control.send(messages.Kept(why))
            return
        self._steps.reach(Step.YIELDING)
        report = socket.socket(fileno=fds.pop(0)) if order.copy else None
        successor = Doorbell.attach(*fds) if fds else None
        self.leads = False
        self.server.share.answer_all()
        last = self.server.order
        head = self._head(order.schema)
        tasks = self._tasks.suspend()
        self.server.end()
        self._seat_page[layout.BELL_ORDER] = last
        if self._keeper is not None:
            # From here on this worker follows.
            position = self._keeper.writer.tail
            self._keeper = None
            self._page[layout.BELL_DROPPED] = 0
            self._follow_from(last, position)
            assert self._follower is not None
            self._follower.tasks = tasks
        at_ns = time.monotonic_ns()
        self._steps.reach(Step.YIELDED)
        if successor is not None:
            fence()
            successor.words[layout.BELL_BATON] += 1
            successor.ring()
            successor.close()
            self._steps.reach(Step.BATON_PASSED)
        self._control.send(messages.Yielded(last, at_ns))
        if report is not None:
            capture.report(report, head, self._state_as(head.schema))
            report.close()

    def _why_not_yield(self, order: messages.Yield) -> str:
        if not self.leads:
            return "it does not lead"
        unread = self.server.unread_callers
        if unread:
            return f"{unread[0]} does not read its replies"
        if self._keeper is not None and order.successor not in self._keeper.followers:
            # It was dropped, and has not executed all that was answered.
            return "the successor does not follow"
        return ""

    # -- snapshots and followers --------------------------------------------

    def snapshot(self, order: messages.Snapshot, fds: list[int]) -> None:
        """Write the state as it is between two commands; whoever follows starts from it."""
        number, fork = order.number, order.fork
        report = socket.socket(fileno=fds.pop(0))
        head = self._head(order.schema)
        state = self._state_as(head.schema)
        if fds and self._keeper is not None:
            bell = Doorbell.attach(*fds)
            bell.words[layout.BELL_ORDER] = head.order
            self._keeper.followers[number] = bell
        with contextlib.closing(report):
            self._steps.reach(Step.FORKING)
            if fork:
                try:
                    pid = capture.fork_and_report(report, head, self._in_child(state))
                except OSError:
                    fork = False
                else:
                    self._children[number] = pid
                    self._steps.reach(Step.FORKED)
            if not fork:
                capture.report(report, head, state)

    def _in_child(self, state: Callable[[], object]) -> Callable[[], object]:
        def write() -> object:
            self._steps.reach(Step.WRITING)
            return state()

        return write

    def _state_as(self, schema: int) -> Callable[[], object]:
        hooks, own = self._component.hooks, self._manifest.state.schema

        def state() -> object:
            if self._journal is not None:
                self._tasks.check_can_move()
            effects, self._moment.effects = self._moment.effects, None
            try:
                state = hooks.snapshot()
                if schema != own:
                    state = hooks.migrate(state=state, from_schema=own, to_schema=schema)
                return state
            finally:
                self._moment.effects = effects

        return state

    def _head(self, schema: int) -> capture.StateHead:
        manifest = self._manifest
        own = manifest.state.schema
        return capture.StateHead(
            manifest.name,
            manifest.version,
            schema if 0 < schema < own and "migrate" in self._component.hook_names else own,
            self._moment.order,
            0 if self._keeper is None else self._keeper.writer.tail,
            self._nested.dump(),
            self._tasks.kept(),
        )

    def _reap(self) -> None:
        for number, pid in list(self._children.items()):
            # The component may have reaped it.
            with contextlib.suppress(ChildProcessError):
                if not os.waitpid(pid, os.WNOHANG)[0]:
                    continue
            del self._children[number]

    def follow(self, number: int, fds: list[int]) -> None:
        """Another worker, which has executed what this one has, follows from now on."""
        followers = self._awaited if self._keeper is None else self._keeper.followers
        followers[number] = Doorbell.attach(*fds)

    def unfollow(self, number: int) -> None:
        """A worker follows no more; the child that writes its snapshot is ended."""
        followers = self._awaited if self._keeper is None else self._keeper.followers
        bell = followers.pop(number, None)
        if bell is not None:
            bell.close()
        if self.server.share.follower == number:
            self.server.share.give(0, 0)
        pid = self._children.get(number)
        if pid is not None:
            # Not reaped yet, so the number is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def set_share(self, number: int, basis_points: int) -> None:
        """Let a follower supply the replies of a part of the calls."""
        if self._keeper is not None and (number in self._keeper.followers or not basis_points):
            self.server.share.give(number, basis_points)

    def relay(self, fds: list[int]) -> None:
        """Hand the replies of the share to the leader from now on."""
        if self._follower is None:
            for fd in fds:
                os.close(fd)
            return
        outbox = attach_channel(fds, caller=True).outbox

        def send(position: int, kind: int, body: Body) -> None:
            # No room: the leader answers by itself. So it does where there are buffers.
            if not isinstance(body, Parcel):
                outbox.send(layout.RELAY, 0, 0, kind, position, 0, body)

        self._follower.relay = send

    def checkpointed(self, order: int) -> None:
        """The host has the state after ``order``."""
        if self._keeper is not None:
            self._keeper.checkpointed(order)


def _resume(
    hook: Callable[..., object], method: str, arguments: list[object], items_sent: int
) -> object:
    return hook(method=method, arguments=arguments, items_sent=items_sent)


def _is_done(record: Record, journaled: int) -> bool:
    """Whether a request that still stands in its lane needs its payload no more."""
    return bool(record[9]) or 0 < record[8] & layout.ORDER_MASK <= journaled
