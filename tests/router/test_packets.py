"""Packets: messages arrive whole with their descriptors, and none of those leaks."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Iterator

import msgspec
import pytest

from noodle_host.router.packets import PacketSocket


class Hello(msgspec.Struct, tag="hello", array_like=True):
    name: str


class Bye(msgspec.Struct, tag="bye", array_like=True):
    code: int


DECODER = msgspec.msgpack.Decoder(Hello | Bye)


@pytest.fixture
def ends() -> Iterator[tuple[PacketSocket, PacketSocket]]:
    left, right = PacketSocket.pair()
    right.setblocking(False)
    ends = PacketSocket(left, DECODER), PacketSocket(right, DECODER)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def open_files() -> Callable[[], int]:
    gc.collect()
    return lambda: len(os.listdir("/proc/self/fd"))


def test_messages_arrive_one_by_one(ends: tuple[PacketSocket, PacketSocket]) -> None:
    left, right = ends
    left.send(Hello("a"))
    left.send(Bye(3))
    assert right.receive() == (Hello("a"), [])
    assert right.receive() == (Bye(3), [])
    with pytest.raises(BlockingIOError):
        right.receive()


def test_a_file_arrives_open_and_is_not_inherited(
    ends: tuple[PacketSocket, PacketSocket],
) -> None:
    left, right = ends
    read_end, write_end = os.pipe()
    left.send(Hello("a"), [write_end, read_end])
    os.close(write_end)
    os.close(read_end)
    received = right.receive()
    assert received is not None
    message, fds = received
    assert message == Hello("a")
    assert not any(os.get_inheritable(fd) for fd in fds)
    os.write(fds[0], b"x")
    assert os.read(fds[1], 1) == b"x"
    for fd in fds:
        os.close(fd)


def test_the_end_is_seen_after_what_was_sent(ends: tuple[PacketSocket, PacketSocket]) -> None:
    left, right = ends
    left.send(Hello("a"))
    left.close()
    assert right.receive() == (Hello("a"), [])
    assert right.receive() is None
    with pytest.raises(OSError, match="Broken pipe"):
        right.send(Hello("b"))


@pytest.mark.parametrize(
    "packet",
    [
        b"nonsense",
        b"\xc1",
        msgspec.msgpack.encode(["unknown", 1]),
        msgspec.msgpack.encode(["hello", 1]),
        b"\x92\xa5hello\xa1\xff",
        b"\x91" * 10_000,
        b"",
        b"x" * (200 * 1024),
    ],
    ids=["text", "never", "tag", "type", "utf8", "deep", "empty", "long"],
)
def test_what_is_no_message_is_refused_and_its_files_are_closed(
    ends: tuple[PacketSocket, PacketSocket], open_files: Callable[[], int], packet: bytes
) -> None:
    left, right = ends
    left.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    before = open_files()
    socket.send_fds(left.socket, [packet], [left.fileno(), right.fileno()])
    with pytest.raises(ValueError, match="not a control message"):
        right.receive()
    assert open_files() == before
    left.send(Hello("still there"))
    assert right.receive() == (Hello("still there"), [])


def test_more_files_than_agreed_are_refused_and_closed(
    ends: tuple[PacketSocket, PacketSocket], open_files: Callable[[], int]
) -> None:
    left, right = ends
    before = open_files()
    body = msgspec.msgpack.encode(Hello("a"))
    socket.send_fds(left.socket, [body], [left.fileno()] * 30)
    with pytest.raises(ValueError, match="cut off"):
        right.receive()
    assert open_files() == before


def test_what_would_not_arrive_is_not_sent(ends: tuple[PacketSocket, PacketSocket]) -> None:
    left, right = ends
    with pytest.raises(ValueError, match="Hello has 200"):
        left.send(Hello("x" * 200_000))
    with pytest.raises(ValueError, match="and 17"):
        left.send(Hello("x"), [left.fileno()] * 17)
    with pytest.raises(BlockingIOError):
        right.receive()
