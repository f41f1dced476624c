from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from noodle_host import state
from noodle_host.state import SharedArray, SharedBytes
from noodle_host.worker import snapshot


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) <= before


def handed_over(value: object) -> Any:
    return snapshot.load(snapshot.dump(value, b""))[1]


@contextlib.contextmanager
def child(work: Callable[[socket.socket], None]) -> Iterator[tuple[socket.socket, int]]:
    """A forked process that does ``work`` with the other end of the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            ours.close()
            work(theirs)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    with ours:
        ours.settimeout(20)
        try:
            yield ours, pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            os.waitpid(pid, 0)


def shared_memory_bytes() -> int:
    """What shared memory the whole system uses."""
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Shmem:"))


def test_bytes_are_a_buffer_of_zeros() -> None:
    block = SharedBytes(1000)
    assert len(block) == 1000
    assert not any(block)
    block[3:6] = b"abc"
    with memoryview(block) as view:
        assert bytes(view[3:6]) == b"abc"
        view[3] = 0
    assert block[3] == 0


def test_bytes_without_a_size_are_refused() -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"takes 1 byte or more, not {size}"):
            SharedBytes(size)
    with pytest.raises(OSError, match="Cannot allocate"):
        SharedBytes(1 << 62)


def test_its_size_cannot_change() -> None:
    block = SharedBytes(10)
    with pytest.raises(PermissionError):
        os.ftruncate(block.fileno(), 0)


def test_closed_bytes_give_their_descriptors_back_at_once() -> None:
    before = len(os.listdir("/proc/self/fd"))
    block = SharedBytes(10)
    assert len(os.listdir("/proc/self/fd")) > before
    block.close()
    block.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert block.fileno() == -1


@pytest.mark.parametrize("dtype", ["f8", "i2", "?", "S7", "M8[s]", [("x", "f4"), ("y", "u1")]])
@pytest.mark.parametrize("shape", [7, (), (3, 4), (0, 3), [2, 2, 2]])
def test_an_array_is_zero_at_first_and_the_same_memory_after(shape: Any, dtype: Any) -> None:
    array = SharedArray(shape, dtype)
    assert (array == np.zeros(shape, dtype)).all()
    back = handed_over(array)
    assert isinstance(back, SharedArray)
    assert (back.shape, back.dtype, back.strides) == (array.shape, array.dtype, array.strides)
    array[...] = np.ones(shape, "u1").astype(array.dtype if array.dtype.names is None else "u1")
    assert (back == array).all()


def test_an_array_that_cannot_be_shared_is_refused() -> None:
    for dtype in (object, [("x", object)]):
        with pytest.raises(TypeError, match="holds Python objects, which cannot be shared"):
            SharedArray(3, dtype)
    for shape in (-1, (3, -1), (-1, -1)):
        with pytest.raises(ValueError, match=r"shape|negative"):
            SharedArray(shape)


def test_an_array_is_an_array() -> None:
    array = SharedArray((2, 3), "i4")
    same = array
    array += 1
    assert array is same
    assert array.sum() == 6
    for computed in (array + 1, array @ np.ones(3), array.sum(0), -array, np.sqrt(array)):
        assert type(computed) is np.ndarray
    for scalar in (array[1, 1], array.max(), array.mean()):
        assert isinstance(scalar, np.generic)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[3],
        lambda a: a[2:5, ::2],
        lambda a: a[::-1, ::-3],
        lambda a: a.T,
        lambda a: a.reshape(-1)[5:50],
        lambda a: a.view("u1"),
        lambda a: np.broadcast_to(a[1], (3, 10), subok=True),
    ],
)
def test_a_view_is_a_view_of_the_same_memory_after(view: Callable[[Any], Any]) -> None:
    array = SharedArray((8, 10), "i4")
    array[...] = np.arange(80).reshape(8, 10)
    fds = snapshot.dump({"view": view(array), "array": array}, b"")
    assert len(fds) == 2
    back: Any = snapshot.load(fds)[1]
    assert back["view"].flags.writeable == view(array).flags.writeable
    assert (back["view"] == view(array)).all()
    back["array"][...] += 100
    assert (back["view"] == view(back["array"])).all()
    assert (back["view"] == view(array)).all()


def test_what_is_not_the_memory_is_copied_as_an_ordinary_array() -> None:
    array = SharedArray((8, 10), "i4")
    for made in (array.copy(), array[[1, 2]], array.astype("f8"), np.asarray(array), array + 1):
        (fd,) = snapshot.dump(made, b"")
        back: Any = snapshot.load([fd])[1]
        assert type(back) is np.ndarray
        assert (back == made).all()
        assert pickle.loads(pickle.dumps(made)).shape == made.shape
    other = copy.deepcopy(array)
    other[...] = 1
    assert not array.any()


def test_the_same_block_twice_is_one_after() -> None:
    block, array = SharedBytes(10), SharedArray(10)
    fds = snapshot.dump([block, array, {"again": block, "array": array}], b"")
    assert len(fds) == 3
    back: Any = snapshot.load(fds)[1]
    assert back[0] is back[2]["again"]
    assert back[1] is back[2]["array"]


def test_what_was_adopted_is_handed_over_again() -> None:
    array = SharedArray(5)
    first = handed_over(array)
    del array
    first[2] = 3.5
    second = handed_over(first)
    del first
    gc.collect()
    assert list(second) == [0, 0, 3.5, 0, 0]


@pytest.mark.parametrize("make", [lambda: SharedBytes(5), lambda: SharedArray(5)])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_only_the_host_pickles_them(make: Callable[[], object], protocol: int) -> None:
    with pytest.raises(TypeError, match="pickled by the host only, as part of a component's state"):
        pickle.dumps({"a": make()}, protocol)


def test_another_process_adopts_the_very_memory() -> None:
    def adopt(sock: socket.socket) -> None:
        _, fds, _, _ = socket.recv_fds(sock, 1, 16)
        adopted: Any = snapshot.load(fds)[1]
        assert adopted["block"][:2] == b"hi"
        assert adopted["cells"][7, 7] == 1
        adopted["cells"][0] = 9
        adopted["block"][0:5] = b"there"
        sock.send(b"done")
        sock.recv(1)
        sock.send(adopted["block"][:5])

    with child(adopt) as (sock, _):
        cells, block = SharedArray((1000, 1000), "u1"), SharedBytes(10)
        cells[7, 7] = 1
        block[:2] = b"hi"
        fds = snapshot.dump({"cells": cells, "block": block}, b"")
        socket.send_fds(sock, [b"x"], fds)
        for fd in fds:
            os.close(fd)
        assert sock.recv(10) == b"done"
        assert (cells[0] == 9).all()
        assert block[:5] == b"there"
        block[:5] = b"again"
        sock.send(b"x")
        assert sock.recv(10) == b"again"


def test_the_memory_goes_when_its_last_holder_is_killed() -> None:
    size_bytes = 256 << 20
    slack_bytes = size_bytes // 2  # what else the system does meanwhile

    def hold(sock: socket.socket) -> None:
        _, fds, _, _ = socket.recv_fds(sock, 1, 16)
        adopted = snapshot.load(fds)[1]
        sock.send(b"mine")
        sock.recv(1)
        assert adopted is not None

    before = shared_memory_bytes()
    with child(hold) as (sock, _):
        cells = SharedArray(size_bytes, "u1")
        cells[:] = 1
        fds = snapshot.dump(cells, b"")
        socket.send_fds(sock, [b"x"], fds)
        for fd in fds:
            os.close(fd)
        assert sock.recv(10) == b"mine"
        del cells
        gc.collect()
        assert shared_memory_bytes() > before + slack_bytes
    assert shared_memory_bytes() < before + slack_bytes


def test_whoever_asks_for_no_array_imports_no_numpy_and_nothing_of_the_worker() -> None:
    code = (
        "import sys; from noodle_host.state import SharedBytes; SharedBytes(1);"
        "print(sorted(name for name in sys.modules if name.startswith(('numpy', 'noodle_host'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['noodle_host', 'noodle_host.state']\n"


def test_the_module_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'SharedList'"):
        _ = state.SharedList
    assert state.SharedArray is SharedArray
