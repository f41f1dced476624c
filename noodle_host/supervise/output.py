"""What workers print, line by line into the host's log."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from typing import Final

_LONGEST_LINE_BYTES: Final = 16 * 1024
# A worker that floods waits for its pipe, and the host's loop does not wait for
# the worker: so much is read, and so many lines are logged, in a turn of the loop.
_READ_BYTES: Final = 64 * 1024
_LINES_A_TURN: Final = 100
_LEVEL_MARK: Final = b"\x1e"


class LineSplitter:
    """Makes lines of bytes as they come; cuts a line that is too long. Pure."""

    def __init__(self, longest_bytes: int = _LONGEST_LINE_BYTES) -> None:
        self._longest = longest_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete, without their ends."""
        *whole, rest = (self._rest + data).split(b"\n")
        lines: list[bytes] = []
        for line in whole:
            lines += self._cut(line)
        *pieces, self._rest = self._cut(rest)
        return lines + pieces

    def end(self) -> list[bytes]:
        """What is left, which has no end of line."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        pieces = []
        while len(line) > self._longest:
            at = self._longest
            # Not in the middle of a character of UTF-8, which has 4 bytes at most.
            while at > self._longest - 4 and line[at] & 0xC0 == 0x80:
                at -= 1
            pieces.append(line[:at])
            line = line[at:]
        return [*pieces, line]


def parse_line(line: bytes, level: int) -> tuple[int, str]:
    """The level and the text of a line; a marked one says its level itself. Pure."""
    if line.startswith(_LEVEL_MARK):
        number, mark, rest = line[1:].partition(_LEVEL_MARK)
        if mark and number.isdigit() and len(number) <= 3:
            level, line = int(number), rest
    return level, line.decode("utf-8", "replace").rstrip("\r")


class OutputReader:
    """Reads one pipe of one worker until its end."""

    def __init__(self, fd: int, level: int, component: str, version: str) -> None:
        self._fd = fd
        self._level = level
        self._log = logging.getLogger(f"noodle_host.component.{component}")
        self._facts = {"component": component, "version": version, "worker": 0}
        self._splitter = LineSplitter()
        self._lines: deque[bytes] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, pid: int) -> None:
        """Begin to read; ``pid`` stands in the log records."""
        self._facts["worker"] = pid
        os.set_blocking(self._fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._on_data)

    def _on_data(self) -> None:
        assert self._loop is not None
        if self._read() == b"":
            self._loop.remove_reader(self._fd)
        elif self._lines:
            self._loop.remove_reader(self._fd)
            self._log_on()

    def _read(self) -> bytes | None:
        """Read once; None if there is nothing now, empty at the end."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return None
        self._lines.extend(self._splitter.feed(data))
        return data

    def _log_on(self) -> None:
        assert self._loop is not None
        if self._fd < 0:
            return
        self._log_some()
        if self._lines:
            self._loop.call_soon(self._log_on)
        else:
            self._loop.add_reader(self._fd, self._on_data)

    def _log_some(self) -> None:
        for _ in range(min(_LINES_A_TURN, len(self._lines))):
            level, text = parse_line(self._lines.popleft(), self._level)
            self._log.log(level, "%s", text, extra=self._facts)

    def close(self) -> bool:
        """Read what is left, close the pipe and log; False: call :meth:`log_rest`."""
        if self._fd >= 0:
            if self._loop is not None:
                self._loop.remove_reader(self._fd)
                # A pipe holds 64 KiB; what a surviving grandchild writes is not
                # waited for.
                for _ in range(4):
                    if not self._read():
                        break
            os.close(self._fd)
            self._fd = -1
            self._lines.extend(self._splitter.end())
        self._log_some()
        return not self._lines

    async def log_rest(self) -> None:
        """Log what a closed reader has read, some lines in a turn of the loop."""
        try:
            while self._lines:
                self._log_some()
                await asyncio.sleep(0)
        finally:
            while self._lines:
                self._log_some()
