"""A TOML file as text, so that a message can name the line of a key."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from noodle_host.errors import PluginError

_BARE_OR_QUOTED = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_BARE_OR_QUOTED}(?:\s*\.\s*{_BARE_OR_QUOTED})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
#: In bytes. A manifest has some hundred.
_LARGEST = 1 << 20

_FENCE = re.compile(r"\"\"\"|'''")


class TomlSource:
    """One TOML file, read once.

    Raises:
        PluginError: the file is missing, cannot be read, is too large to be
            meant, or is not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = _read(path).decode("utf-8-sig")
        except FileNotFoundError:
            raise PluginError(
                "there is no such file",
                where=str(path),
                code="RTUP_0001",
                hint="every plugin has a component.toml in the folder of its version",
            ) from None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise PluginError(
                "is not UTF-8",
                where=f"{path}:{line}",
                code="RTUP_0002",
                hint="save the file as UTF-8",
            ) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise PluginError(
                f"cannot be read: {reason}",
                where=str(path),
                code="RTUP_0002",
                hint="it must be a file that this user may read",
            ) from error

    def parse(self) -> dict[str, Any]:
        """Return the document.

        Raises:
            PluginError: it is not TOML; ``where`` names the line.
        """
        try:
            return tomllib.loads(self.text)
        except RecursionError:
            raise PluginError(
                "is nested too deeply",
                where=str(self.path),
                code="RTUP_0002",
                hint="a manifest has tables and plain values",
            ) from None
        except ValueError as error:
            # Mostly a TOMLDecodeError; a number of thousands of digits is another.
            message = str(error)
            where = str(self.path)
            if place := _PLACE.search(message):
                where += f":{place[1]}"
                message = message[: place.start()]
            raise PluginError(
                f"is not valid TOML: {message}",
                where=where,
                code="RTUP_0002",
                hint='a text is written in quotes, as in version = "1.0.0"',
            ) from error

    def where(self, *keys: str) -> str:
        """Return ``path:line`` of a key, of the table around it, or the path alone."""
        lines = self._lines()
        for length in range(len(keys), 0, -1):
            if line := lines.get(keys[:length]):
                return f"{self.path}:{line}"
        return str(self.path)

    def _lines(self) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        inside_text = False
        # Not splitlines(): that knows line ends that TOML does not.
        for number, line in enumerate(self.text.split("\n"), start=1):
            if not inside_text:
                keys: tuple[str, ...] = ()
                if header := _HEADER.match(line):
                    keys = table = _split(header[1])
                elif key := _KEY.match(line):
                    keys = table + _split(key[1])
                for length in range(1, len(keys) + 1):
                    found.setdefault(keys[:length], number)
            # Lines within a text of several lines may look like keys.
            inside_text ^= len(_FENCE.findall(line)) % 2 == 1
        return found


def _read(path: Path) -> bytes:
    # Without O_NONBLOCK, opening a pipe that nobody writes to takes for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, "Is a directory" if stat.S_ISDIR(mode) else "Is no regular file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(_LARGEST + 1)
    finally:
        os.close(fd)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, f"It has more than {_LARGEST} bytes")
    return data


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_BARE_OR_QUOTED, dotted))
