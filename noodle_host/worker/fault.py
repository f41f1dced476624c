"""Errors about a plugin: whose it is, which file and line, what to do."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from functools import partial
from types import CodeType, TracebackType
from typing import Any

from noodle_host.errors import PluginError
from noodle_host.registry.manifest import MANIFEST_NAME, Manifest
from noodle_host.registry.toml_source import TomlSource


class FaultReporter:
    """Makes the errors about one plugin; every one has phase ``load``."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def error(self, message: str, *, where: str = "", hint: str = "") -> PluginError:
        return PluginError(
            message,
            where=where,
            component=self.manifest.name,
            version=self.manifest.version,
            phase="load",
            hint=hint,
        )

    def in_manifest(self, *keys: str) -> str:
        """Return ``path:line`` of a key of the manifest."""
        path = self.manifest.root / MANIFEST_NAME
        try:
            return TomlSource(path).where(*keys)
        except PluginError:
            return str(path)

    def in_traceback(self, traceback: TracebackType | None) -> str:
        """Return ``path:line`` of the innermost frame of the plugin's own code."""
        found = ""
        root = f"{self.manifest.root}/"
        while traceback is not None:
            file = traceback.tb_frame.f_code.co_filename
            if file.startswith(root):
                found = f"{file}:{traceback.tb_lineno}"
            traceback = traceback.tb_next
        return found


def line_of_function(function: Callable[..., Any]) -> str:
    """Return ``path:line`` of a function's ``def``, or an empty text."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    line = first = code.co_firstlineno
    if linecache.getline(code.co_filename, first).lstrip().startswith("@"):
        # The first line of a decorated function is that of a decorator.
        for number in range(first, first + 50):
            text = linecache.getline(code.co_filename, number).lstrip()
            if text.startswith(("def ", "async def ")):
                line = number
                break
    return f"{code.co_filename}:{line}"


def line_of_class(cls: type) -> str:
    """Return ``path:line`` of a class, or an empty text."""
    try:
        file = inspect.getsourcefile(cls)
        return f"{file}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError, SyntaxError):
        return ""
