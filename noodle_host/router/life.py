"""The life word: a death is known at once, however much memory has to be torn down.

A killed process gives its memory back before it closes its descriptors, so
end-of-file and pidfd come late: by 40 ms at 512 MiB. The kernel marks a robust
futex before that. A worker's main thread, the only one that touches lanes,
holds one in its bell's page for as long as it lives; the host waits for the mark.

The futex is the one inside a robust process-shared mutex of the C library, because
the library owns the list of robust futexes that the kernel walks.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import threading
from collections.abc import Callable
from typing import Final, TypeAlias

from . import layout
from .segment import Segment

# From the kernel's headers, the same on all machines but for one number.
_TID_MASK: Final = 0x3FFFFFFF
_OWNER_DIED: Final = 0x40000000
_WAITERS: Final = 0x80000000
_FUTEX_32_BITS: Final = 2
_FUTEX_PRIVATE: Final = 128
_FUTEX_WAKE_PRIVATE: Final = 1 | _FUTEX_PRIVATE
_SYS_FUTEX_WAITV: Final = 449
_SYS_FUTEX: Final = {"x86_64": 202, "aarch64": 98}
_MOST_WATCHED: Final = 127  # 128 for futex_waitv, less the one that wakes the watcher
_PTHREAD_PROCESS_SHARED: Final = 1
_PTHREAD_MUTEX_ROBUST: Final = 1
_MUTEX_BYTES: Final = 64  # 40 on x86-64, 48 on arm64
_LIFE_BYTE: Final = 8 * layout.BELL_LIFE


class _Waitv(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def hold(page: Segment) -> None:
    """Hold the life word of a bell's page until the calling thread dies.

    The page belongs to one process at a time: whoever held it before is dead.
    It stays mapped for ever, because the C library's list leads through it.

    Raises:
        OSError: this C library has no such mutex.
    """
    libc = _libc()
    # Both structures are smaller, on every machine.
    attributes = (ctypes.c_char * _MUTEX_BYTES)()
    mutex = (ctypes.c_char * _MUTEX_BYTES).from_buffer(page.map, _LIFE_BYTE)
    try:
        for step, *arguments in (
            (libc.pthread_mutexattr_init, attributes),
            (libc.pthread_mutexattr_setpshared, attributes, _PTHREAD_PROCESS_SHARED),
            (libc.pthread_mutexattr_setrobust, attributes, _PTHREAD_MUTEX_ROBUST),
            (libc.pthread_mutex_init, mutex, attributes),
            (libc.pthread_mutex_lock, mutex),
        ):
            code = step(*arguments)
            if code:
                raise OSError(code, f"{step.__name__}: {os.strerror(code)}")
    except AttributeError as error:
        raise OSError(errno.ENOSYS, str(error)) from error
    word = _word(page)
    if word.value & _TID_MASK != threading.get_native_id():
        raise OSError(errno.ENOSYS, "the futex is elsewhere in this C library's mutex")
    # Nobody else writes it: so the kernel is told here that somebody waits.
    word.value |= _WAITERS
    # Never released: the view, and with it the mapping, outlives everything.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(mutex))


def _word(page: Segment) -> ctypes.c_uint32:
    return ctypes.c_uint32.from_buffer(page.map, _LIFE_BYTE)


def is_held(page: Segment) -> bool:
    """Whether a thread that lives holds the life word."""
    return bool(_word(page).value & _TID_MASK)


def is_dead(page: Segment) -> bool:
    """Whether the thread that held the life word has died; False if none ever did."""
    return bool(_word(page).value & _OWNER_DIED)


#: A life word, the value that it has in life, and what to call.
_Watch: TypeAlias = tuple[ctypes.c_uint32, int, Callable[[], None]]


class DeathWatch:
    """Calls back, on a thread of its own, as soon as a life word is given up.

    Only one watch per page in the whole system: the kernel wakes one.
    """

    def __init__(self) -> None:
        self._libc = _libc()
        self._lock = threading.Lock()
        self._watchers: list[_Watcher] = []
        self._closed = False

    def watch(self, page: Segment, on_death: Callable[[], None]) -> bool:
        """Call ``on_death`` once when the holder of the page's life word dies.

        Returns False if nobody holds it, or if this kernel cannot wait for several.
        """
        word = _word(page)
        value = word.value
        if not value & _WAITERS or value & _OWNER_DIED:
            return False
        if platform.machine() not in _SYS_FUTEX:
            return False
        with self._lock:
            if self._closed:
                return False
            self._watchers = [watcher for watcher in self._watchers if watcher.is_alive]
            for watcher in self._watchers:
                if watcher.add(word, value, on_death):
                    return True
            watcher = _Watcher(self._libc)
            self._watchers.append(watcher)
            return watcher.add(word, value, on_death)

    def forget(self, page: Segment) -> None:
        """Do not call back for that page any more; it may be held anew."""
        address = ctypes.addressof(_word(page))
        with self._lock:
            for watcher in self._watchers:
                watcher.remove(address)

    def close(self) -> None:
        """End the threads; nothing is called back any more."""
        with self._lock:
            self._closed = True
            watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.close()


class _Watcher:
    """One thread that waits for up to 127 life words."""

    def __init__(self, libc: ctypes.CDLL) -> None:
        self._libc = libc
        self._syscall = _SYS_FUTEX[platform.machine()]
        self._lock = threading.Lock()
        # By address.
        self._watched: dict[int, _Watch] = {}
        #: Counts changes to the above; the thread waits for it too.
        self._changes = ctypes.c_uint32(0)
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name="noodle-host death watch", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def add(self, word: ctypes.c_uint32, value: int, on_death: Callable[[], None]) -> bool:
        with self._lock:
            if len(self._watched) >= _MOST_WATCHED or not self._thread.is_alive():
                return False
            self._watched[ctypes.addressof(word)] = (word, value, on_death)
        self._nudge()
        return True

    def remove(self, address: int) -> None:
        with self._lock:
            known = self._watched.pop(address, None)
        if known is not None:
            self._nudge()

    def close(self) -> None:
        self._closed = True
        self._nudge()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _nudge(self) -> None:
        with self._lock:
            self._changes.value += 1
        self._libc.syscall(self._syscall, ctypes.byref(self._changes), _FUTEX_WAKE_PRIVATE, 1)

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                changes = self._changes.value
                watched = dict(self._watched)
            self._tell_of_deaths(watched)
            waits = (_Waitv * (len(watched) + 1))()
            own = _Waitv(
                changes, ctypes.addressof(self._changes), _FUTEX_32_BITS | _FUTEX_PRIVATE, 0
            )
            waits[0] = own
            for index, (address, (_, value, _)) in enumerate(watched.items(), 1):
                waits[index] = _Waitv(value, address, _FUTEX_32_BITS, 0)
            # Without the GIL, and at once where a value has changed already.
            result = self._libc.syscall(_SYS_FUTEX_WAITV, waits, len(waits), 0, None, 0)
            if result < 0 and ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
                # A kernel before 5.16, or a container that forbids it: the
                # pidfd has to do.
                return

    # Not in the loop above: the thread sleeps there, and would hold the last one that
    # died, and its memory, until another dies.
    def _tell_of_deaths(self, watched: dict[int, _Watch]) -> None:
        for address, (word, value, on_death) in watched.items():
            # The mark replaces the owner: any other value means the same.
            if word.value != value:
                with self._lock:
                    mine = self._watched.pop(address, None)
                if mine is not None:
                    on_death()
