from __future__ import annotations

import collections
import fcntl
import functools
import gc
import importlib
import os
import pickle
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noodle_host.state import SharedBytes
from noodle_host.worker import snapshot
from noodle_host.worker.snapshot import SnapshotError

MIB = 1 << 20


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Makes the package ``desk`` of a plugin anew, as another version would have it."""
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "desk"
    package.mkdir()
    versions = iter(range(100))

    def version(text: str) -> Any:
        # Of another size each time, so that no cached bytecode is taken for it.
        (package / "__init__.py").write_text(text + "\n" * next(versions))
        sys.modules.pop("desk", None)
        importlib.invalidate_caches()
        return importlib.import_module("desk")

    yield version
    sys.modules.pop("desk", None)


def copied(state: object) -> Any:
    return snapshot.load(snapshot.dump(state, b""))[1]


def refused(state: object) -> str:
    with pytest.raises(SnapshotError) as caught:
        snapshot.dump(state, b"")
    # A traceback keeps what the state holds alive.
    return str(caught.value)


def in_child(work: Callable[[], str]) -> str:
    """What ``work`` returns in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            try:
                said = work()
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(write, said.encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(pid, 0)
    return said


class Session:
    pass


class Slotted:
    __slots__ = ("lock", "name")


class Grumpy:
    def __getstate__(self) -> object:
        raise ValueError("not today")


# -- there and back -----------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary(max_size=200),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.binary(),
)
@settings(max_examples=50, deadline=None)
def test_state_and_meta_come_back(state: object, meta: bytes) -> None:
    fds = snapshot.dump(state, meta)
    assert len(fds) == 1
    assert snapshot.read_meta(fds[0]) == meta
    assert snapshot.size_bytes(fds[0]) > len(meta)
    assert snapshot.load(fds) == (meta, state)


@pytest.mark.parametrize("size_bytes", [1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3 * MIB + 5])
def test_buffers_of_all_sizes_come_back_writable_and_apart(size_bytes: int) -> None:
    first = np.arange(size_bytes, dtype=np.uint8)
    state = {
        "first": first,
        "small": np.arange(3),
        "again": first,
        "fortran": np.asfortranarray(np.arange(20000.0).reshape(100, 200)),
        "buffer": pickle.PickleBuffer(bytearray(first.tobytes())),
        "bytes": first.tobytes(),
        "objects": np.array([1, "a"], object),
    }
    back = copied(state)
    assert (back["first"] == first).all()
    assert back["again"] is back["first"]
    assert (back["small"] == state["small"]).all()
    assert (back["fortran"] == state["fortran"]).all()
    assert bytes(back["buffer"]) == first.tobytes() == back["bytes"]
    assert list(back["objects"]) == [1, "a"]
    back["first"][:] = 7
    back["buffer"][:] = bytes(size_bytes)
    assert (back["fortran"] == state["fortran"]).all()
    assert (first == np.arange(size_bytes, dtype=np.uint8)).all()


def test_a_read_only_array_stays_read_only() -> None:
    array = np.zeros(MIB)
    array.flags.writeable = False
    assert not copied(array).flags.writeable


def test_what_one_loads_and_changes_another_does_not_see() -> None:
    fds = snapshot.dump(np.zeros(MIB, np.uint8), b"")
    first = snapshot.load([os.dup(fds[0])])[1]
    first[:] = 1  # type: ignore[index]
    second = snapshot.load(fds)[1]
    assert not second.any()  # type: ignore[attr-defined]


def test_a_cycle_comes_back() -> None:
    session = Session()
    session.me = [session]  # type: ignore[attr-defined]
    back = copied(session)
    assert back.me[0] is back


def test_a_class_and_a_function_of_the_plugin_are_those_of_the_version_that_loads(
    plugin: Callable[[str], Any],
) -> None:
    old = plugin("class Session:\n    kind = 'old'\ndef work(): return 'old'\n")
    session = old.Session()
    session.name = "anna"
    fds = snapshot.dump([session, old.work, lambda: session.name], b"")
    plugin("class Session:\n    kind = 'new'\ndef work(): return 'new'\n")
    back: Any = snapshot.load(fds)[1]
    assert (back[0].kind, back[0].name, back[1](), back[2]()) == ("new", "anna", "new", "anna")


def test_the_snapshot_is_sealed() -> None:
    (fd,) = snapshot.dump("state", b"meta")
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_a_large_array_is_loaded_without_a_copy() -> None:
    size_bytes = 256 * MIB
    fds = snapshot.dump({"cells": np.ones(size_bytes, np.uint8)}, b"")
    gc.collect()

    def load_and_touch() -> str:
        # Page faults of this process alone: anonymous memory is what is copied.
        def anonymous_bytes() -> int:
            text = Path("/proc/self/smaps_rollup").read_text()
            line = next(line for line in text.splitlines() if line.startswith("Anonymous:"))
            return int(line.split()[1]) * 1024

        before = anonymous_bytes()
        cells: Any = snapshot.load(fds)[1]["cells"]  # type: ignore[index]
        loaded = anonymous_bytes() - before
        assert cells[::4096].sum() == size_bytes // 4096
        read = anonymous_bytes() - before
        cells[: 32 * MIB] = 2
        written = anonymous_bytes() - before
        return f"{loaded} {read} {written}"

    loaded, read, written = map(int, in_child(load_and_touch).split())
    os.close(fds[0])
    assert loaded < 8 * MIB
    assert read < 8 * MIB
    assert 30 * MIB < written < 48 * MIB


def test_a_large_state_is_not_held_in_memory_as_a_whole_while_it_is_written() -> None:
    state = {"texts": [bytes([n]) * MIB for n in range(64)], "cells": np.ones(64 * MIB, np.uint8)}
    copied(None)  # imports

    def write() -> str:
        def peak_bytes() -> int:
            text = Path("/proc/self/status").read_text()
            line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024

        Path("/proc/self/clear_refs").write_text("5")
        before = peak_bytes()
        (fd,) = snapshot.dump(state, b"")
        return f"{snapshot.size_bytes(fd)} {peak_bytes() - before}"

    size, more = map(int, in_child(write).split())
    assert size > 128 * MIB
    assert more < 32 * MIB


# -- what cannot be written ---------------------------------------------------


def test_the_path_of_what_cannot_be_pickled_is_named() -> None:
    with socket.socket() as sock:
        session = Session()
        session.socket = sock  # type: ignore[attr-defined]
        text = refused({"sessions": [1, 2, 3, session]})
    assert text == (
        "state['sessions'][3].socket: a socket cannot be pickled; "
        "leave it out in snapshot(), and make it anew in restore()"
    )


def _slotted() -> Slotted:
    slotted = Slotted()
    slotted.name, slotted.lock = "a", threading.Lock()
    return slotted


def _closure() -> Callable[[], object]:
    lock = threading.Lock()
    return lambda: lock


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: {"a": _slotted()}, "state['a'].lock: a lock cannot be pickled"),
        (lambda: [(n for n in ())], "state[0]: a generator cannot be pickled"),
        (lambda: {threading.Lock()}, "state (its element <lock>): a lock cannot be pickled"),
        (
            lambda: {("a", threading.Lock()): 1},
            "state (its key <tuple>)[1]: a lock cannot be pickled",
        ),
        (lambda: _closure(), "state.__closure__[0].cell_contents: a lock cannot be pickled"),
        (lambda: threading.Event(), "state._cond._lock: a lock cannot be pickled"),
        (lambda: threading.Lock().acquire, "state.__self__: a lock cannot be pickled"),
        (lambda: KeyError(1, threading.Lock()), "state.args[1]: a lock cannot be pickled"),
        (
            lambda: collections.deque([1, threading.Lock()]),
            "state[1]: a lock cannot be pickled",
        ),
        (
            lambda: collections.OrderedDict(a=[threading.Lock()]),
            "state['a'][0]: a lock cannot be pickled",
        ),
        (
            lambda: functools.partial(print, threading.Lock()),
            "state.__reduce_ex__(5)[2][1][0]: a lock cannot be pickled",
        ),
        (
            lambda: [[[np.zeros(5), np.zeros(MIB), SharedBytes(9)]], [[[[threading.Lock()]]]]],
            "state[1][0][0][0][0]: a lock cannot be pickled",
        ),
        (
            lambda: {"x": Grumpy()},
            "state['x']: pickling a Grumpy raised ValueError: not today",
        ),
        (
            lambda: [pickle.PickleBuffer(np.zeros(MIB)[::2])],
            (
                "state[0]: pickling a PickleBuffer raised PicklingError: "
                "PickleBuffer can not be pickled when pointing to a non-contiguous buffer"
            ),
        ),
    ],
)
def test_whatever_cannot_be_pickled_is_found(make: Callable[[], object], text: str) -> None:
    assert refused(make()) == f"{text}; leave it out in snapshot(), and make it anew in restore()"


def test_what_fails_for_a_reason_that_nothing_of_it_has_is_said_to_be_not_found() -> None:
    calls = []

    class Moody:
        def __reduce__(self) -> tuple[object, ...]:
            calls.append(1)
            if len(calls) == 1:
                raise ValueError("only once")
            return (int, ())

    assert refused([Moody()]) == (
        "pickling raised ValueError: only once; which object it is was not found among 2"
    )


def test_the_search_ends_where_a_state_has_no_end() -> None:
    class Endless:
        def __reduce__(self) -> tuple[object, ...]:
            return (list, (), None, iter(list, None), None)

    lock = [threading.Lock()]

    class First:
        """Pickled before the endless one, and found after it."""

        def __reduce__(self) -> tuple[object, ...]:
            return (list, ([[lock]],))

    text = refused([First(), Endless()])
    assert text.startswith("pickling raised TypeError: cannot pickle '_thread.lock' object; which")
    assert "was not found among" in text


def test_a_state_nested_too_deeply_is_refused_with_the_way_down() -> None:
    state: list[object] = []
    for _ in range(100_000):
        state = [state]
    assert refused({"tree": state}) == (
        "state['tree'][0][0][0][0][0][0][0] ... 99,985 steps ... [0][0][0][0][0][0][0][0]: "
        "it is nested too deeply to be pickled; "
        "keep what refers to each other in a list or dict, by number or name"
    )


def test_a_state_for_which_there_is_no_room_is_refused_with_how_far_it_got() -> None:
    state = {"a": np.zeros(MIB), "b": [os.urandom(1000) for _ in range(3000)]}

    def write(limit_bytes: int) -> str:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, most))
        snapshot.dump(state, b"")
        return "written"

    for limit_bytes in (MIB, 4 * MIB):
        assert in_child(lambda limit=limit_bytes: write(limit)) == (  # type: ignore[misc]
            "SnapshotError: there is no room for it: File too large after "
            f"{limit_bytes:,} bytes; raise the memory limit, or keep large data in "
            "noodle_host.state"
        )
    assert in_child(lambda: write(32 * MIB)) == "written"


def test_a_state_that_runs_out_of_memory_is_refused() -> None:
    class Hungry:
        def __getstate__(self) -> object:
            return bytearray(1 << 62)

    assert refused([bytes(MIB), Hungry()]).startswith(
        "there is no room for it: out of memory after 1,0"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_error_of_the_state(error: type[BaseException]) -> None:
    class Interrupted:
        def __getstate__(self) -> object:
            raise error

    with pytest.raises(error):
        snapshot.dump(Interrupted(), b"")


# -- what cannot be read ------------------------------------------------------

SESSION = "class Session:\n    def __init__(self): self.name = 'anna'\n"


def _unreadable(fds: list[int]) -> str:
    with pytest.raises(SnapshotError) as caught:
        snapshot.load(fds)
    text = str(caught.value)
    # The frames hold the mapping.
    caught.value.__cause__ = caught.value.__context__ = None
    return text


def test_a_class_that_is_gone_is_named(plugin: Callable[[str], Any]) -> None:
    fds = snapshot.dump([plugin(SESSION).Session()], b"")
    plugin("class Visit: ...\n")
    text = _unreadable(fds)
    assert text.startswith(
        "unpickling raised AttributeError: Can't get attribute 'Session' on <module 'desk'"
    )
    assert text.endswith("under its old name, until no version is left that writes it")


def test_a_module_that_is_gone_is_named(plugin: Callable[[str], Any], tmp_path: Path) -> None:
    fds = snapshot.dump([plugin(SESSION).Session()], b"")
    (tmp_path / "desk" / "__init__.py").rename(tmp_path / "desk" / "front.py")
    (tmp_path / "desk").rename(tmp_path / "hall")
    sys.modules.pop("desk")
    importlib.invalidate_caches()
    assert _unreadable(fds).startswith(
        "unpickling raised ModuleNotFoundError: No module named 'desk'; a class that"
    )


def test_a_setstate_that_raises_is_named_with_its_line(
    plugin: Callable[[str], Any], tmp_path: Path
) -> None:
    fds = snapshot.dump([np.zeros(MIB), plugin(SESSION).Session()], b"")
    plugin(f"{SESSION}    def __setstate__(self, state):\n        self.age = state['age']\n")
    assert _unreadable(fds) == (
        "unpickling raised KeyError: 'age' "
        f"(in Session.__setstate__, {tmp_path}/desk/__init__.py:4)"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_error_of_the_snapshot(
    plugin: Callable[[str], Any], error: type[BaseException]
) -> None:
    fds = snapshot.dump(plugin(SESSION).Session(), b"")
    plugin(f"{SESSION}    def __setstate__(self, state): raise {error.__name__}\n")
    with pytest.raises(error):
        snapshot.load(fds)


def _memfd(body: bytes, *, is_sealed: bool = True) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, body)
    if is_sealed:
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _body() -> bytes:
    (fd,) = snapshot.dump(["state", np.arange(MIB)], b"meta")
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()


def test_what_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    body = _body()
    (tmp_path / "file").write_bytes(body)
    read, write = os.pipe()
    os.close(write)
    closed = os.dup(read)
    os.close(closed)
    cases = {
        "it is no snapshot: there is no descriptor": [],
        "it is no snapshot, or was written by another release of the host": [
            _memfd(b"\x00" * len(body))
        ],
        "it is no snapshot: Invalid argument": [os.open(tmp_path / "file", os.O_RDONLY)],
        "it is no snapshot: it is not sealed": [_memfd(body, is_sealed=False)],
        f"it was cut off: 100 of {len(body):,} bytes are there": [_memfd(body[:100])],
        f"it was cut off: {len(body) + 1:,} of {len(body):,} bytes are there": [
            _memfd(body + b"\x00")
        ],
        "it has 0 shared blocks, but 1 descriptors of such came along": [
            _memfd(body),
            os.dup(read),
        ],
        "it is no snapshot: Bad file descriptor": [closed],
    }
    for text, fds in cases.items():
        assert _unreadable(fds) == text
    with pytest.raises(SnapshotError, match="no snapshot"):
        snapshot.read_meta(read)
    os.fstat(read)
    os.close(read)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_snapshot_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    (fd,) = snapshot.dump({"names": list(range(50))}, b"meta")
    with open(fd, "rb") as file:
        file.seek(0)
        body = file.read()
    length = data.draw(st.integers(0, len(body) - 1))
    text = _unreadable([_memfd(body[:length])])
    assert text.startswith(("it is no snapshot", "it was cut off"))


def test_a_stream_that_ends_too_early_is_refused() -> None:
    (fd,) = snapshot.dump([["a" * 200] * 3], b"")
    with open(fd, "rb") as file:
        file.seek(0)
        body = file.read()
    end = body.index(b"a" * 200) + 100
    text = _unreadable([_memfd(body[:end] + bytes(len(body) - end))])
    assert text.startswith("unpickling raised ")


# -- shared blocks ------------------------------------------------------------


def test_descriptors_of_the_shared_blocks_come_after_the_snapshot_in_order() -> None:
    first, second = SharedBytes(10), SharedBytes(20)
    fds = snapshot.dump([second, {"a": first, "b": second}], b"")
    assert [os.fstat(fd).st_size for fd in fds[1:]] == [20, 10]
    back: Any = snapshot.load(fds)[1]
    assert back[0] is back[1]["b"]
    back[0][0] = 5
    back[1]["a"][0] = 6
    assert (second[0], first[0]) == (5, 6)


def test_as_many_blocks_as_a_packet_can_carry_pass_and_no_more() -> None:
    blocks = [SharedBytes(n + 1) for n in range(15)]
    fds = snapshot.dump(blocks[:14], b"")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        socket.send_fds(ours, [b"x"], fds)
        received = socket.recv_fds(theirs, 1, 16)[1]
    assert [len(block) for block in snapshot.load(received)[1]] == list(range(1, 15))  # type: ignore[attr-defined]
    for fd in fds:
        os.close(fd)
    text = refused(blocks)
    assert text.startswith("it has more than 14 blocks of shared memory")
    assert "fewer, larger ones" in text


def test_blocks_that_do_not_fit_the_snapshot_are_refused() -> None:
    fds = snapshot.dump(SharedBytes(10), b"")
    os.close(fds[1])
    larger = SharedBytes(11)
    assert _unreadable([os.dup(fds[0]), os.dup(larger.fileno())]) == (
        "a shared block of 10 bytes has 11 now"
    )
    assert _unreadable([os.dup(fds[0])]).startswith("it has 1 shared blocks, but 0 descriptors")
    assert _unreadable([os.dup(fds[0]), _memfd(b"0123456789", is_sealed=False)]) == (
        "a shared block cannot be adopted: "
        "shared memory must be sealed against a change of its size"
    )
    read, write = os.pipe()
    os.close(write)
    assert _unreadable([fds[0], read]).startswith("a shared block cannot be adopted: [Errno 22]")


def test_a_closed_block_cannot_be_written() -> None:
    block = SharedBytes(10)
    block.close()
    assert refused({"a": block}).startswith(
        "state['a']: pickling a SharedBytes raised ValueError: mmap closed or invalid"
    )


def test_a_worker_that_writes_no_state_imports_nothing_for_it() -> None:
    code = (
        "import sys, noodle_host.worker.snapshot, noodle_host.state;"
        "print(sorted({'cloudpickle', 'numpy', 'pickle'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
