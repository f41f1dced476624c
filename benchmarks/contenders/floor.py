"""What the machine itself takes: two eventfds, and two words in shared memory."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .protocol import Echo

_SPIN_SOURCE = r"""
#include <stdatomic.h>
#include <stdint.h>
void serve(_Atomic uint64_t *words) {
    uint64_t seen = 0, now;
    for (;;) {
        while ((now = atomic_load_explicit(&words[0], memory_order_acquire)) == seen) ;
        if (now == UINT64_MAX) return;
        atomic_store_explicit(&words[8], seen = now, memory_order_release);
    }
}
void echo(_Atomic uint64_t *words, uint64_t rounds) {
    uint64_t value = atomic_load_explicit(&words[0], memory_order_relaxed);
    while (rounds--) {
        atomic_store_explicit(&words[0], ++value, memory_order_release);
        while (atomic_load_explicit(&words[8], memory_order_acquire) != value) ;
    }
}
"""
#: Round trips an echo, so that calling C costs nothing beside them.
SPIN_ROUNDS = 1000


class EventfdEcho(Echo):
    """The data stays where it is: only the waking is measured."""

    def __init__(self) -> None:
        self._there = os.eventfd(0)
        self._back = os.eventfd(0)
        self._process = multiprocessing.get_context("fork").Process(target=self._serve, daemon=True)
        self._process.start()

    def _serve(self) -> None:
        there, back = self._there, self._back
        while os.eventfd_read(there) == 1:
            os.eventfd_write(back, 1)

    def echo(self, data: bytes) -> bytes:
        os.eventfd_write(self._there, 1)
        os.eventfd_read(self._back)
        return data

    def close(self) -> None:
        os.eventfd_write(self._there, 2)
        self._process.join()


class SpinEcho(Echo):
    """A cache line that goes there and back between two loops in C."""

    def __init__(self) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise ImportError("no C compiler")
        folder = Path(tempfile.mkdtemp())
        try:
            source = folder / "spin.c"
            source.write_text(_SPIN_SOURCE)
            library = folder / "spin.so"
            subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
            self._c = ctypes.CDLL(str(library))
        finally:
            shutil.rmtree(folder)
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._words: Any = (ctypes.c_uint64 * 16).from_buffer(self._memory)
        self._process = multiprocessing.get_context("fork").Process(
            target=lambda: self._c.serve(ctypes.byref(self._words)), daemon=True
        )
        self._process.start()

    def echo(self, data: bytes) -> bytes:
        self._c.echo(ctypes.byref(self._words), ctypes.c_uint64(SPIN_ROUNDS))
        return data

    def close(self) -> None:
        self._words[0] = 2**64 - 1
        self._process.join()
