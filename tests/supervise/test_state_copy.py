"""Receiving a state that another process writes, or does not write."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import pytest

from noodle_host.errors import StateError
from noodle_host.router.packets import PacketSocket
from noodle_host.supervise.state_copy import StateCopy, receive_copy
from noodle_host.worker import capture, messages, snapshot

_HEAD = capture.StateHead("vault", "1.0.0", 3, 17, 64, {})


def receive(
    write: Callable[[socket.socket], object],
    died: Callable[[], bool] = lambda: False,
    timeout_s: float = 20.0,
) -> StateCopy:
    """What comes of it when ``write`` is given the other end, which is closed after it."""

    def send(fd: int) -> None:
        with socket.socket(fileno=os.dup(fd)) as sock:
            write(sock)

    async def death() -> None:
        if not died():
            await asyncio.Event().wait()

    async def run() -> StateCopy:
        return await receive_copy(send, death, timeout_s)

    return asyncio.run(run())


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def _leaves_no_descriptor() -> object:
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.mark.parametrize("state", [None, {"a": [1, "two"]}, b"x" * (1 << 20)])
def test_a_state_arrives_as_it_was_written(state: object) -> None:
    copy = receive(lambda sock: capture.report(sock, _HEAD, lambda: state))
    assert (copy.order, copy.schema, copy.has_blocks) == (17, 3, False)
    assert copy.size_bytes == snapshot.size_bytes(copy.fds[0])
    assert copy.size_bytes >= (len(state) if isinstance(state, bytes) else 1)
    meta, loaded = snapshot.load([os.dup(fd) for fd in copy.fds])
    assert loaded == state
    assert capture.decode_head(meta) == _HEAD
    copy.close()
    copy.close()


def test_shared_memory_in_a_state_is_passed_on() -> None:
    from noodle_host.state import SharedBytes

    shared = SharedBytes(8192)
    shared[:4] = b"here"
    copy = receive(lambda sock: capture.report(sock, _HEAD, lambda: {"cells": shared}))
    assert copy.has_blocks
    _, loaded = snapshot.load([os.dup(fd) for fd in copy.fds])
    shared[:5] = b"there"
    assert loaded["cells"][:5] == b"there"
    copy.close()
    for memory in (shared, loaded["cells"]):
        memory.close()


@pytest.mark.parametrize("forks", [False, True])
def test_a_state_that_cannot_be_taken_says_why(forks: bool) -> None:
    def state() -> object:
        raise OSError("the disk is full")

    children: list[int] = []

    def write(sock: socket.socket) -> None:
        if forks:
            children.append(capture.fork_and_report(sock, _HEAD, state))
        else:
            capture.report(sock, _HEAD, state)

    with pytest.raises(StateError, match="raised OSError: the disk is full") as caught:
        receive(write)
    assert (caught.value.component, caught.value.version) == ("vault", "1.0.0")
    assert caught.value.phase == "snapshot"
    for pid in children:
        os.waitpid(pid, 0)


def test_a_forked_copy_has_the_moment_of_the_fork() -> None:
    items = [1]
    children: list[int] = []

    def write(sock: socket.socket) -> None:
        children.append(capture.fork_and_report(sock, _HEAD, lambda: items))
        items.append(2)

    copy = receive(write)
    assert snapshot.load([os.dup(fd) for fd in copy.fds])[1] == [1]
    copy.close()
    os.waitpid(children[0], 0)


def test_a_writer_that_dies_is_no_state() -> None:
    with pytest.raises(StateError, match=r"the process that wrote it died.*memory"):
        receive(lambda sock: None)


def test_a_worker_that_dies_before_it_writes_is_no_state() -> None:
    keep: list[socket.socket] = []
    with pytest.raises(StateError, match="the process that wrote it died"):
        # Somebody else has a copy of the descriptor, so there is no end of file.
        receive(lambda sock: keep.append(sock.dup()), died=lambda: True)
    keep[0].close()


def test_a_writer_that_takes_too_long_is_no_state() -> None:
    keep: list[socket.socket] = []
    with pytest.raises(StateError, match=r"snapshot\(\) took more than 0\.05 s"):
        receive(lambda sock: keep.append(sock.dup()), timeout_s=0.05)
    keep[0].close()


def test_what_is_no_message_is_no_state() -> None:
    with pytest.raises(StateError, match="what was written is no state"):
        receive(lambda sock: sock.send(b"\xc1 nonsense"))


def test_another_message_is_no_state_and_its_descriptors_are_closed() -> None:
    def write(sock: socket.socket) -> None:
        fd = os.memfd_create("test")
        PacketSocket(sock, messages.decoder).send(messages.Stopped(), [fd])
        os.close(fd)

    with pytest.raises(StateError, match="Stopped is no state"):
        receive(write)


def test_a_state_without_memory_is_no_state() -> None:
    def write(sock: socket.socket) -> None:
        PacketSocket(sock, messages.decoder).send(messages.Snapshotted(1, 1), [])

    with pytest.raises(StateError, match="is no state"):
        receive(write)
