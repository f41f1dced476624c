"""A TOML file as text, so that a message can name the line of a key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from noodle_host.errors import PluginError

_BARE_OR_QUOTED = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_BARE_OR_QUOTED}(?:\s*\.\s*{_BARE_OR_QUOTED})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
_FENCE = re.compile(r"\"\"\"|'''")


class TomlSource:
    """One TOML file, read once.

    Raises:
        PluginError: the file is missing, cannot be read or is not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise PluginError(
                "there is no such file",
                where=str(path),
                code="RTUP_0001",
                hint="every plugin has a component.toml in the folder of its version",
            ) from None
        except OSError as error:
            raise PluginError(
                f"cannot be read: {error.strerror}",
                where=str(path),
                code="RTUP_0002",
                hint="it must be a file that this user may read",
            ) from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise PluginError(
                "is not UTF-8",
                where=f"{path}:{line}",
                code="RTUP_0002",
                hint="save the file as UTF-8",
            ) from error

    def parse(self) -> dict[str, Any]:
        """Return the document.

        Raises:
            PluginError: it is not TOML; ``where`` names the line.
        """
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
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
        for number, line in enumerate(self.text.splitlines(), start=1):
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


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_BARE_OR_QUOTED, dotted))
