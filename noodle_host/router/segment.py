"""A segment: shared memory behind a memfd, mapped here and known by descriptor.

A memfd has no name: nothing is left in the file system, whoever is killed.
"""

from __future__ import annotations

import fcntl
import mmap
import os


def create_memory(name: str, size_bytes: int) -> int:
    """Make a memfd of zeros that keeps its size; memory is used where it is touched."""
    made: list[int] = []
    try:
        # In one call, so that no signal handler comes between making and noting it.
        made.extend(map(os.memfd_create, [name], [os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING]))
        os.ftruncate(made[0], size_bytes)
        # Whoever could shrink the file could kill its peers by SIGBUS.
        fcntl.fcntl(made[0], fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except BaseException:
        for fd in made:
            os.close(fd)
        raise
    return made[0]


class Segment:
    """``view`` is the memory as bytes, ``words`` the same memory as 8-byte words.

    Only an assignment to ``words`` is one store of the machine; struct.pack_into
    clears the bytes first, which another process can see.
    """

    __slots__ = ("fd", "is_attached", "map", "size_bytes", "view", "words")

    def __init__(self, fd: int, size_bytes: int, *, writable: bool = True) -> None:
        self.fd = fd
        #: Whether it was made by another process, or another part of this one.
        self.is_attached = False
        self.size_bytes = size_bytes
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self.map = mmap.mmap(fd, size_bytes, flags=mmap.MAP_SHARED, prot=access)
        # A core dump or a fork snapshot must not drag gigabytes of slabs along.
        self.map.madvise(mmap.MADV_DONTDUMP)
        self.view = memoryview(self.map)
        self.words = self.view.cast("Q")

    @classmethod
    def create(cls, name: str, size_bytes: int) -> Segment:
        """Make a segment of zeros; memory is used where it is touched."""
        fd = create_memory(name, size_bytes)
        try:
            return cls(fd, size_bytes)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, fd: int, *, writable: bool = True) -> Segment:
        """Map a segment received as a descriptor, which it owns from now on.

        Raises:
            ValueError: its owner could still shrink it, or it is not words of 8 bytes.
            OSError: it is not a memfd, or cannot be mapped.
        """
        try:
            if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
                raise ValueError("a segment must be sealed against shrinking")
            size_bytes = os.fstat(fd).st_size
            if not size_bytes or size_bytes % 8:
                raise ValueError(f"a segment of {size_bytes} bytes is not made of words")
            segment = cls(fd, size_bytes, writable=writable)
        except BaseException:
            os.close(fd)
            raise
        segment.is_attached = True
        return segment

    def read_only_fd(self) -> int:
        """A new descriptor that can only be mapped for reading."""
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the descriptor; the memory goes when its last view goes.

        Unmapping by force would pull it from under another thread's feet.
        """
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
