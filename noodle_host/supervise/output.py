"""What workers print, line by line into the host's log."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Final

_LONGEST_LINE_BYTES: Final = 16 * 1024
# One read a turn of the event loop: a worker that floods waits for its pipe,
# and the host's loop does not wait for the worker.
_READ_BYTES: Final = 64 * 1024
_LEVEL_MARK: Final = b"\x1e"


class OutputReader:
    """Reads one pipe of one worker until its end."""

    def __init__(self, fd: int, level: int, component: str, version: str) -> None:
        self._fd = fd
        self._level = level
        self._log = logging.getLogger(f"noodle_host.component.{component}")
        self._facts = {"component": component, "version": version, "worker": 0}
        self._rest = b""

    def start(self, pid: int) -> None:
        """Begin to read; ``pid`` stands in the log records."""
        self._facts["worker"] = pid
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._on_data)

    def _on_data(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._emit(line)
        if len(self._rest) > _LONGEST_LINE_BYTES:
            self._emit(self._rest)
            self._rest = b""

    def _emit(self, line: bytes) -> None:
        level = self._level
        if line.startswith(_LEVEL_MARK):
            number, mark, rest = line[1:].partition(_LEVEL_MARK)
            if mark and number.isdigit():
                level, line = int(number), rest
        text = line.decode("utf-8", "replace").rstrip("\r")
        self._log.log(level, "%s", text, extra=self._facts)

    def close(self) -> None:
        """Log what is left, also without an end of line, and close the pipe."""
        if self._fd < 0:
            return
        asyncio.get_running_loop().remove_reader(self._fd)
        # A pipe holds 64 KiB; what a surviving grandchild writes is not waited for.
        for _ in range(4):
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._emit(line)
        if self._rest:
            self._emit(self._rest)
            self._rest = b""
        os.close(self._fd)
        self._fd = -1
