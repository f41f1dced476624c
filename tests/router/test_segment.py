"""Segments: shared, sized once and for all, and gone when nobody looks any more."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os

import pytest

from noodle_host.router.segment import Segment


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_bytes_and_words_are_one_memory() -> None:
    segment = Segment.create("test", 4096)
    segment.words[1] = 0x0807060504030201
    assert bytes(segment.view[8:16]) == bytes(range(1, 9))
    assert bytes(segment.view[:8]) == bytes(8)
    segment.close()


def test_two_processes_see_one_memory() -> None:
    segment = Segment.create("test", 4096)
    child = os.fork()
    if not child:
        segment.words[0] = 42
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert segment.words[0] == 42
    segment.close()


def test_an_attached_segment_is_the_same_memory() -> None:
    segment = Segment.create("test", 4096)
    other = Segment.attach(os.dup(segment.fd))
    other.words[3] = 7
    assert segment.words[3] == 7
    assert other.size_bytes == 4096
    assert (segment.is_attached, other.is_attached) == (False, True)
    other.close()
    segment.close()


def test_a_reader_cannot_write() -> None:
    segment = Segment.create("test", 4096)
    fd = segment.read_only_fd()
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 4096)
    reader = Segment.attach(fd, writable=False)
    segment.words[0] = 5
    assert reader.words[0] == 5
    with pytest.raises(TypeError, match="read-only"):
        reader.words[0] = 6
    reader.close()
    segment.close()


def test_nobody_can_resize_it() -> None:
    segment = Segment.create("test", 4096)
    for size in (0, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(segment.fd, size)
    segment.close()


def test_memory_is_used_where_it_is_touched() -> None:
    segment = Segment.create("test", 1 << 32)
    segment.view[1 << 31] = 1
    assert os.fstat(segment.fd).st_blocks * 512 <= 2 * mmap.PAGESIZE
    segment.close()


def test_closing_twice_closes_once() -> None:
    segment = Segment.create("test", 4096)
    segment.close()
    reused = os.open("/dev/null", os.O_RDONLY)
    segment.close()
    os.fstat(reused)
    os.close(reused)


def test_memory_stays_as_long_as_it_is_looked_at() -> None:
    segment = Segment.create("test", 4096)
    view = segment.view[:5]
    view[:] = b"hello"
    segment.close()
    del segment
    assert bytes(view) == b"hello"


def test_nothing_stays_open_when_all_is_dropped() -> None:
    before = open_files()
    for _ in range(10):
        segment = Segment.create("test", 4096)
        other = Segment.attach(os.dup(segment.fd))
        segment.close()
        other.close()
    del segment, other
    assert open_files() == before


def test_what_could_shrink_under_our_feet_is_refused_and_closed() -> None:
    before = open_files()
    with pytest.raises(ValueError, match="sealed"):
        Segment.attach(os.memfd_create("test", os.MFD_ALLOW_SEALING))
    with pytest.raises(OSError, match="Invalid argument"):
        Segment.attach(os.open("/dev/zero", os.O_RDWR))
    assert open_files() == before


@pytest.mark.parametrize("size", [0, 4097])
def test_what_is_not_made_of_words_is_refused(size: int) -> None:
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    with pytest.raises(ValueError, match="words"):
        Segment.attach(fd)
