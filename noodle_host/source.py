"""Source files of Noodle programs: reading them, and where imports lead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from .errors import SourceError

SUFFIX: Final = ".noodle"


def read_source(path: Path) -> str:
    """Read a source file; raises SourceError that says why it cannot be."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SourceError("there is no such file", where=str(path)) from None
    except IsADirectoryError:
        raise SourceError("it is a directory, not a program", where=str(path)) from None
    except ValueError as error:
        raise SourceError(f"it cannot be read: {error}", where=repr(str(path))) from None
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        before = data[data.rfind(b"\n", 0, error.start) + 1 : error.start]
        column = len(before.decode("utf-8", errors="replace")) + 1
        raise SourceError(
            f"it is not UTF-8: byte 0x{data[error.start]:02x} cannot stand here",
            where=f"{path}:{line}:{column}",
            hint="save the file as UTF-8",
        ) from None


def imported_file(importer: str, written: str) -> str:
    """The file that ``import "written"`` in ``importer`` means: relative to it, normalized."""
    joined = os.path.normpath(os.path.join(os.path.dirname(importer), written))
    return joined if joined.endswith(SUFFIX) else joined + SUFFIX
