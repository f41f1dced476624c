"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class _Seconds(click.FloatRange):
    name = "seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return seconds


plugin_path_option: Callable[[Any], Any] = click.option(
    "--plugin-path",
    "plugin_path",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of plugins, <component>/<version>/; before the bundled ones. Repeatable.",
)
json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)
timeout_option: Callable[[Any], Any] = click.option(
    "--timeout",
    "timeout_s",
    type=_Seconds(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up after that many seconds.",
)


def plugin_folders(plugin_path: tuple[Path, ...]) -> list[Path] | None:
    """The folders asked for, then the bundled one; None: only that."""
    if not plugin_path:
        return None
    from noodle_host.registry.plugin_path import bundled_plugins

    return [*plugin_path, bundled_plugins()]


def parse_requirement(text: str) -> tuple[str, str | None]:
    """Split ``lexer==1.0.0`` or ``lexer>=1,<2`` into name and version."""
    for index, character in enumerate(text):
        if character in "=<>!~":
            name, version = text[:index].strip(), text[index:].strip()
            return name, version.removeprefix("==") if version.count("=") == 2 else version
    return text.strip(), None
