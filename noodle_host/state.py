"""Memory for large state that the next version of a component adopts in place.

What ``snapshot()`` returns is copied, except for what is kept here: its descriptor goes
to the next version, which maps the very same memory. However large it is, handing it
over costs nothing::

    from noodle_host.state import SharedArray

    self.cells = SharedArray((8192, 8192), "uint8")
    ...
    def snapshot(self):
        return {"cells": self.cells, "generation": self.generation}

The memory is zero at first, is used where it is written, and goes when the last process
that holds it drops it or dies. A write without room for it ends the process, as with any
shared memory. Two processes that hold it see each other's writes at once, without any
order: until the old version is gone, only one of the two may write.

A state can hold 14 of them; few large ones serve better than many small ones.
"""

from __future__ import annotations

import fcntl
import functools
import mmap
import os
from typing import Any, Final, NoReturn, Self, final

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


@final
class SharedBytes(mmap.mmap):
    """``size_bytes`` bytes: a buffer to index, to slice, and to take a ``memoryview`` of.

    Only the object itself is handed over in place: slices are bytes, and a memoryview
    of it in a state is written as bytes too.

    Raises:
        ValueError: there is no memory of that size.
        OSError: the system gives no more memory or descriptors; it takes two of them.
    """

    _fd: int = -1

    def __new__(cls, size_bytes: int) -> Self:
        if size_bytes < 1:
            raise ValueError(f"SharedBytes takes 1 byte or more, not {size_bytes}")
        fd = os.memfd_create("noodle-state", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size_bytes)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(fd)
            raise
        return cls.adopt(fd)

    @classmethod
    def adopt(cls, fd: int) -> Self:
        """Map memory received as a descriptor, which it owns from now on.

        Raises:
            ValueError: another process could shrink it, and so kill this one.
            OSError: it is not shared memory, or cannot be mapped.
        """
        try:
            if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
                raise ValueError("shared memory must be sealed against a change of its size")
            self = super().__new__(cls, fd, os.fstat(fd).st_size)
            # A core dump must not drag gigabytes along.
            self.madvise(mmap.MADV_DONTDUMP)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self

    def fileno(self) -> int:
        """The descriptor of the memory; -1 when it is closed."""
        return self._fd

    def close(self) -> None:
        """Let go of it before the last reference does.

        Raises:
            BufferError: an array or a memoryview of it is still in use.
        """
        super().close()
        self.__del__()

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "SharedBytes and SharedArray are pickled by the host only, as part of a component's "
            "state; elsewhere use bytes(...) or numpy.array(...), which copy"
        )


def __getattr__(name: str) -> Any:
    # numpy is imported by those who ask for an array.
    if name == "SharedArray":
        return _shared_array()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _shared_array() -> Any:
    import numpy as np

    class SharedArray(np.ndarray[Any, np.dtype[Any]]):
        """``SharedArray(shape, dtype=float)``: a numpy array of zeros in :class:`SharedBytes`.

        Its views (slices, transposes, reshaped ones) are views of it again after a
        hand-over, of the same memory. What is computed from it is an array of its own,
        and is copied; so is ``numpy.asarray(shared)``, which no longer knows of it.

        Raises:
            TypeError: the dtype holds Python objects, which cannot be shared.
            ValueError, OSError: see :class:`SharedBytes`.
        """

        _memory: SharedBytes | None

        def __new__(cls, shape: Any, dtype: Any = float) -> SharedArray:
            dtype = np.dtype(dtype)
            shape = tuple(shape) if np.iterable(shape) else (shape,)
            size_bytes = dtype.itemsize
            for length in shape:
                size_bytes *= int(length)
            if size_bytes < 0:
                raise ValueError(f"an array cannot have the shape {shape}")
            return cls._at(SharedBytes(max(size_bytes, 1)), 0, shape, None, dtype, True)

        @classmethod
        def _at(
            cls,
            memory: SharedBytes,
            offset_bytes: int,
            shape: tuple[int, ...],
            strides: tuple[int, ...] | None,
            dtype: np.dtype[Any],
            is_writable: bool,
        ) -> SharedArray:
            if dtype.hasobject:
                raise TypeError(f"dtype {dtype} holds Python objects, which cannot be shared")
            self = super().__new__(cls, shape, dtype, memory, offset_bytes, strides)
            self._memory = memory
            self.flags.writeable = is_writable
            return self

        def __array_finalize__(self, source: Any) -> None:
            # numpy makes a view and a copy by the same way; only a view is of the memory.
            memory = getattr(source, "_memory", None)
            is_view = memory is not None and np.may_share_memory(self, source)
            self._memory = memory if is_view else None

        def __array_wrap__(
            self, array: Any, context: Any = None, return_scalar: bool = False
        ) -> Any:
            if array is self or (isinstance(array, SharedArray) and array._memory is not None):
                return array
            return array[()] if return_scalar else array.view(np.ndarray)

        def __reduce_ex__(self, protocol: Any) -> Any:
            memory = self._memory
            if memory is None:
                return self.view(np.ndarray).__reduce_ex__(protocol)
            start = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
            offset_bytes = self.__array_interface__["data"][0] - start
            place = (memory, offset_bytes, self.shape, self.strides, self.dtype)
            return array_at, (*place, self.flags.writeable)

    # Where everybody else finds it.
    SharedArray.__qualname__ = "SharedArray"
    return SharedArray


def array_at(*place: Any) -> Any:
    """The SharedArray at a place in SharedBytes; how a state says which it holds."""
    return _shared_array()._at(*place)
