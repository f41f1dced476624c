"""What a host may leave behind: processes, descriptors, mappings, threads and files."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import psutil

#: Nothing takes so long to be gone on a machine that is not wedged.
_LONG_S = 20.0
_MARK = "PROMISES_MARK"


class Leftovers:
    """Compares what there is with what there was when it was made.

    A process belongs to a host if it was started with ``environment``, or forked from
    one that was, whoever its parent is by now. What memfds a process has go with it; so
    those that count are open, or mapped, in this one.

    Args:
        temporary: an empty folder, which is TMPDIR of the host and its workers.
        watched: folders whose files must be the same afterwards.
    """

    def __init__(self, temporary: Path, watched: Iterable[Path]) -> None:
        #: For the process that a host is in, on top of its own.
        self.environment = {_MARK: uuid.uuid4().hex, "TMPDIR": str(temporary)}
        self._folders = [Path("/dev/shm"), temporary, *watched]
        self._files = self._present_files()
        self._own = self._present_own()

    def processes(self) -> list[psutil.Process]:
        """The processes that live and belong to the host."""
        mark = f"{_MARK}={self.environment[_MARK]}".encode()
        found = []
        for process in psutil.process_iter():
            # A process that is gone, or of somebody else, is none of them.
            with contextlib.suppress(OSError, psutil.Error):
                marked = mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def check(self, within_s: float = _LONG_S) -> None:
        """Wait until everything is gone.

        Raises:
            AssertionError: what is still there ``within_s`` seconds later.
        """
        deadline = time.monotonic() + within_s
        while left := self.found():
            remaining_s = deadline - time.monotonic()
            assert remaining_s > 0, "\n".join(left)
            # Processes that were killed take a moment; so does what waits for them.
            gone, alive = psutil.wait_procs(self.processes(), timeout=min(0.2, remaining_s))
            if not alive and not gone:
                for thread in threading.enumerate():
                    if thread is not threading.current_thread():
                        thread.join(min(0.01, remaining_s))

    def found(self) -> list[str]:
        """What there is now and was not at first, one sentence for each."""
        left = [f"process {process.pid} is left: {_shown(process)}" for process in self.processes()]
        files = self._present_files()
        left += [f"{path} is left" for path in sorted(files - self._files)]
        left += [f"{path} is gone" for path in sorted(self._files - files)]
        for kind, things in self._present_own().items():
            more = len(things) - len(self._own[kind])
            if more > 0:
                left.append(f"{more} {kind} are left: {sorted(set(things) - set(self._own[kind]))}")
        return left

    def _present_files(self) -> set[str]:
        paths = [path for folder in self._folders for path in folder.rglob("*")]
        # What the interpreter has compiled is its own.
        return {str(path) for path in paths if "__pycache__" not in path.parts}

    def _present_own(self) -> dict[str, list[str]]:
        """What this process has."""
        gc.collect()
        descriptors = []
        for name in os.listdir("/proc/self/fd"):
            # The listing's own is closed by now.
            with contextlib.suppress(OSError):
                descriptors.append(f"{name} -> {os.readlink(f'/proc/self/fd/{name}')}")
        mapped = Path("/proc/self/maps").read_text().splitlines()
        children = psutil.Process().children(recursive=True)
        return {
            "descriptors": descriptors,
            "mappings of memfds": [line for line in mapped if "/memfd:" in line],
            "threads": [thread.name for thread in threading.enumerate()],
            "children": [str(child.pid) for child in children],
        }


def _shown(process: psutil.Process) -> str:
    try:
        return f"{process.status()} {process.cmdline()}"
    except psutil.Error as error:
        return str(error)
