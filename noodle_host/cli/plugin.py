"""``noodle-host plugin``: list, check and start plugins."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from hookspecs.contracts import KINDS
from noodle_host.errors import PluginError
from noodle_host.registry.manifest import MANIFEST_NAME, Manifest
from noodle_host.registry.plugin_path import Discovery, bundled_plugins, discover

from .inspection import DEFAULT_TIMEOUT_S, PluginReport, inspect_plugin, is_in_place
from .options import json_option, plugin_folders, plugin_path_option
from .scaffold import create_plugin, name_problem


@click.group()
def plugin() -> None:
    """List, check and create plugins."""


@plugin.command("list")
@plugin_path_option
@json_option
def list_plugins(plugin_path: tuple[Path, ...], as_json: bool) -> None:
    """List the components on the plugin path, and what is wrong there."""
    folders = plugin_folders(plugin_path) or [bundled_plugins()]
    found = discover(folders)
    if as_json:
        click.echo(_json(_as_data(found)))
        return
    from packaging.version import Version

    rows = sorted(found.manifests, key=lambda m: Version(m.version), reverse=True)
    if rows:
        _print_table(
            ("component", "version", "kind", "state", "folder"),
            [
                (m.name, m.version, m.kind, m.state.model, str(m.root))
                for m in sorted(rows, key=lambda m: m.name)
            ],
        )
    else:
        click.echo(f"no plugins in {', '.join(map(str, folders))}", err=True)
    for error in found.errors:
        click.echo(f"warning: {_line(error)}", err=True)


def _finite(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds")
    return value


@plugin.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@plugin_path_option
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=1e9),
    callback=_finite,
    help=f"Time to load in. [default: that of the manifest, or {DEFAULT_TIMEOUT_S:g}]",
)
@json_option
def check_plugin(
    folder: Path, plugin_path: tuple[Path, ...], timeout_s: float | None, as_json: bool
) -> None:
    """Load the plugin in DIR in a process of its own and show what is in it.

    What it requires is looked for beside it on its own plugin path, in each
    --plugin-path, and among the bundled plugins.
    """
    if folder.name == MANIFEST_NAME:
        folder = folder.parent
    report = inspect_plugin(folder, timeout_s, plugin_path)
    # As it is called, not as what a symbolic link leads to: so it is found.
    place = Path(os.path.abspath(folder))
    if not is_in_place(report.component, report.version, place):
        click.echo(
            f"warning: on a plugin path this folder must be named "
            f"{report.component}/{report.version}, here it is {place.parent.name}/{place.name}",
            err=True,
        )
    if as_json:
        click.echo(_json(report))
    else:
        _print_report(report)


@plugin.command("new")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(list(KINDS)), default="service", show_default=True, help="Contract."
)
@click.option(
    "--dir",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The plugin path to create it in. [default: the current folder]",
)
@json_option
def new_plugin(name: str, kind: str, directory: Path, as_json: bool) -> None:
    """Create the plugin NAME, version 0.1.0, with a test."""
    problem = name_problem(name)
    if problem:
        raise click.BadParameter(problem, param_hint="NAME")
    folder = create_plugin(name, kind, directory)
    if as_json:
        files = sorted(path.name for path in folder.iterdir())
        click.echo(_json({"folder": str(folder), "files": files}))
        return
    # As bytes: a file name need not be UTF-8.
    click.echo(os.fsencode(folder))
    if sys.stdout.isatty():
        click.echo(f"check it: noodle-host plugin check {folder}", err=True)
        click.echo(f"test it:  python -m pytest {folder}", err=True)


def _as_data(found: Discovery) -> dict[str, Any]:
    return {
        "components": [_component_data(manifest) for manifest in found.manifests],
        "errors": [
            {
                "component": error.component,
                "version": error.version,
                "where": error.where,
                "message": error.message,
                "hint": error.hint,
                "code": error.code,
            }
            for error in found.errors
        ],
    }


def _component_data(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "version": manifest.version,
        "kind": manifest.kind,
        "description": manifest.description,
        "requires": manifest.requires,
        "state_model": manifest.state.model,
        "state_schema": manifest.state.schema,
        "entry_point": manifest.entry_point,
        "folder": str(manifest.root),
    }


def _json(data: Any) -> str:
    # Not msgspec's own JSON: that fails at a file name that is not UTF-8.
    return json.dumps(msgspec.to_builtins(data), indent=2)


def _line(error: PluginError) -> str:
    return " ".join(str(error).split())


def _print_report(report: PluginReport) -> None:
    fork = "" if report.fork else ", cannot fork"
    click.echo(f"{report.component} {report.version} is good")
    click.echo(f"  kind     {report.kind}")
    click.echo(f"  state    {report.state_model}, schema {report.state_schema}{fork}")
    click.echo(f"  hooks    {', '.join(report.hooks) or 'none'}")
    for label, method in zip(
        ["methods", *[""] * len(report.methods)], report.methods, strict=False
    ):
        marks = [
            mark
            for mark, has in (
                ("query", method.query),
                ("at most once", method.at_most_once),
                ("stream", method.stream),
            )
            if has
        ]
        line = f"  {label:<8} {method.name}({', '.join(method.parameters)})"
        click.echo(f"{line}  {', '.join(marks)}".rstrip())
    if not report.methods:
        click.echo("  methods  none")


def _print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not sys.stdout.isatty():
        _print_columns(header, rows)
        return
    # Imported here, so that --help does not wait for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in header:
        # A version or a path that is cut short is of no use; it goes on in
        # the next line.
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _print_columns(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print one row a line, however long: what reads a pipe wants it so."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
