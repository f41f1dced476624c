"""Any sequence of calls, swaps and deaths leaves what the calls alone would have left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness import register
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from noodle_host import Host, HotSwapError
from noodle_host.model import ComponentInfo
from noodle_host.supervise.seat_keeper import SeatKeeper
from noodle_host.supervise.swap import SwapEvent, SwapStep

_FULL = os.environ.get("NOODLE_HOST_FULL") == "1"
_LONG_S = 20.0
#: How long a worker is left stopped while others may go on.
_STOPPED_S = 0.05

_KEYS = st.sampled_from(["a", "b"])
_NAMES = st.sampled_from(["kv", "teller"])
_METHODS = st.sampled_from(["put", "add", "get", "delete"])
_VALUES = st.integers(-1000, 1000)
#: How a call is made.
_WAYS = st.sampled_from(["call", "acall", "submit"])
_SIGNALS = st.sampled_from([signal.SIGKILL, signal.SIGSTOP])


class Machine(RuleBasedStateMachine):
    """One host with kv and teller, and a dict that says what kv must hold.

    Everything is asked by one thread, so there is one order, and each answer is known
    when the call is made.
    """

    def __init__(self, new_host: Callable[[], Host]) -> None:
        super().__init__()
        self._new_host = new_host
        self.values: dict[str, int] = {}
        self.log: list[list[Any]] = []
        self.transfers: list[list[Any]] = []
        # Calls under way, and what they must give.
        self.pending: list[tuple[Any, object]] = []
        self.versions = {"kv": "1.0.0", "teller": "1.0.0"}

    @initialize()
    def start(self) -> None:
        self.host = self._new_host()

    def teardown(self) -> None:
        if not hasattr(self, "host"):
            return
        try:
            self.settle()
            state = self.host.call("kv", "dump", timeout=_LONG_S)
            assert state == {"values": self.values, "log": self.log}
            history = self.host.call("teller", "history", timeout=_LONG_S)
            assert [[*transfer[:4], transfer[4][:3]] for transfer in history] == self.transfers
        finally:
            self.host.close()

    # -- calls -------------------------------------------------------------

    @rule(method=_METHODS, key=_KEYS, value=_VALUES, way=_WAYS)
    def call(self, method: str, key: str, value: int, way: str) -> None:
        arguments, expected = self.execute(method, key, value)
        if way == "submit":
            call = self.host.submit("kv", method, *arguments, key=key, timeout=_LONG_S)
            self.pending.append((call, expected))
        elif way == "call":
            answer = self.host.call("kv", method, *arguments, key=key, timeout=_LONG_S)
            assert answer == expected
        else:
            work = self.host.acall("kv", method, *arguments, key=key, timeout=_LONG_S)
            assert asyncio.run(work) == expected  # type: ignore[arg-type]

    def execute(self, method: str, key: str, value: int) -> tuple[tuple[Any, ...], object]:
        """Do it to the dict; return the arguments of the call, and what it must give."""
        argument = value if method in ("put", "add") else None
        after, result = register.apply(method, argument, self.values.get(key))
        if method == "get":
            return (key,), result
        request_id = f"request{len(self.log)}"
        self.log.append([request_id, method, key, argument, result])
        self.values.pop(key, None)
        if after is not None:
            self.values[key] = after
        return (key, request_id) if argument is None else (key, argument, request_id), result

    @rule(amount=st.integers(1, 1000))
    def transfer(self, amount: int) -> None:
        # What the teller does to kv is ordered with nothing that is under way.
        self.settle()
        self.finish_transfer(*self.begin_transfer(amount))

    def begin_transfer(self, amount: int) -> tuple[Any, list[Any]]:
        number = len(self.transfers)
        request_id = f"transfer{number}"
        left = self.values["a"] = self.values.get("a", 0) - amount
        self.log.append([f"{request_id}/src", "add", "a", -amount, left])
        arrived = self.values["b"] = self.values.get("b", 0) + amount
        self.log.append([f"{request_id}/dst", "add", "b", amount, arrived])
        self.transfers.append([request_id, "a", "b", amount, [number, left, arrived]])
        call = self.host.submit("teller", "transfer", "a", "b", amount, request_id, timeout=_LONG_S)
        return call, [number, left, arrived]

    @staticmethod
    def finish_transfer(call: Any, expected: list[Any]) -> None:
        assert call.result()[:3] == expected

    @rule()
    def settle(self) -> None:
        while self.pending:
            call, expected = self.pending.pop(0)
            assert call.result() == expected

    # -- swaps -------------------------------------------------------------

    @rule(name=_NAMES, bakes=st.booleans())
    def swap(self, name: str, bakes: bool) -> None:
        version = self.other(name)
        self.host.swap(name, version, bake=bakes)
        self.versions[name] = version

    @rule(
        name=_NAMES,
        bakes=st.booleans(),
        step=st.sampled_from(list(SwapStep)),
        hits_old=st.booleans(),
        number=_SIGNALS,
    )
    def swap_and_hit(
        self, name: str, bakes: bool, step: str, hits_old: bool, number: signal.Signals
    ) -> None:
        """Swap, and kill one of the two workers at some step, or stop it for a moment."""
        timers: list[threading.Timer] = []

        def on_event(event: SwapEvent) -> None:
            pid = event.old_pid if hits_old else event.new_pid
            if event.step == step and pid is not None:
                os.kill(pid, number)
                timers.append(self.continue_later(pid))

        version = self.other(name)
        try:
            self.host.swap(name, version, bake=bakes, on_event=on_event)
        except HotSwapError:
            assert timers
        else:
            self.versions[name] = version
        for timer in timers:
            timer.join()
        self.learn_version(name)

    def other(self, name: str) -> str:
        return "1.0.0" if self.versions[name] == "2.0.0" else "2.0.0"

    # -- deaths and stops ----------------------------------------------------

    @rule(name=_NAMES)
    def kill_leader(self, name: str) -> None:
        os.kill(self.leader(name), signal.SIGKILL)
        self.learn_version(name)

    @rule(amount=st.integers(1, 1000), name=_NAMES)
    def kill_leader_while_it_works(self, amount: int, name: str) -> None:
        self.settle()
        transfer = self.begin_transfer(amount)
        os.kill(self.leader(name), signal.SIGKILL)
        self.finish_transfer(*transfer)
        self.learn_version(name)

    @rule(name=_NAMES)
    def stop_leader(self, name: str) -> None:
        pid = self.leader(name)
        os.kill(pid, signal.SIGSTOP)
        timer = self.continue_later(pid)
        self.call("add", "a", 1, "call")
        timer.join()

    @rule(number=_SIGNALS)
    def hit_followers(self, number: signal.Signals) -> None:
        timers = []
        for name in self.versions:
            for pid in self.followers(name):
                os.kill(pid, number)
                timers.append(self.continue_later(pid))
        for timer in timers:
            timer.join()

    @staticmethod
    def continue_later(pid: int) -> threading.Timer:
        def go_on() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        timer = threading.Timer(_STOPPED_S, go_on)
        timer.start()
        return timer

    def keeper(self, name: str) -> SeatKeeper:
        (keeper,) = self.host._supervisor._components[name].seats.values()
        return keeper

    def leader(self, name: str) -> int:
        holder = self.keeper(name).seat.holder
        assert holder is not None
        assert holder.pid is not None
        return holder.pid

    def followers(self, name: str) -> list[int]:
        return [f.pid for f in self.keeper(name).followers.values() if f.pid is not None]

    def learn_version(self, name: str) -> None:
        """A version that follows may have taken over; what is told of it must be true."""
        serving = self.host.call(name, "version", timeout=_LONG_S)
        # It answers before the host has heard that it leads.
        deadline = time.monotonic() + _LONG_S
        while (info := self.info(name)).state != "running":
            assert time.monotonic() < deadline, info
        assert info.version == serving
        self.versions[name] = serving

    def info(self, name: str) -> ComponentInfo:
        (info,) = (info for info in self.host.components() if info.name == name)
        return info

    # -- always ----------------------------------------------------------------

    @invariant()
    def runs(self) -> None:
        if hasattr(self, "host"):
            states = {info.name: info.version for info in self.host.components()}
            assert states == {**self.versions, "journal": "1.0.0"}


@pytest.fixture
def new_machine(new_promise_host: Callable[..., Host]) -> Callable[[], Machine]:
    """``new_machine()``: a machine whose host is in the environment of ``leftovers``."""
    return lambda: Machine(lambda: new_promise_host("kv", "teller"))


def test_no_sequence_of_calls_swaps_and_deaths_is_noticed(
    new_machine: Callable[[], Machine],
) -> None:
    run_state_machine_as_test(
        new_machine,
        settings=settings(
            max_examples=1000 if _FULL else 12,
            stateful_step_count=25,
            # A shorter sequence takes hundreds of hosts to find.
            phases=list(Phase) if _FULL else [Phase.explicit, Phase.reuse, Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
