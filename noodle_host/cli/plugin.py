"""``noodle-host plugin``: list, check and start plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from hookspecs.contracts import KINDS
from noodle_host.registry.manifest import MANIFEST_NAME, Manifest
from noodle_host.registry.plugin_path import Discovery, bundled_plugins, discover

from .inspection import DEFAULT_TIMEOUT_S, PluginReport, inspect_plugin
from .scaffold import create_plugin, name_problem

_PIPE_COLUMNS = 10_000

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def plugin() -> None:
    """List, check and create plugins."""


@plugin.command("list")
@click.option(
    "--plugin-path",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Look here instead of at the bundled plugins; may be repeated, the first one wins.",
)
@_as_json
def list_plugins(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the components on the plugin path, and what is wrong there."""
    found = discover(folders or [bundled_plugins()])
    if as_json:
        click.echo(_json(_as_data(found)))
        return
    from packaging.version import Version

    rows = sorted(found.manifests, key=lambda m: Version(m.version), reverse=True)
    _print_table(
        ("component", "version", "kind", "state", "folder"),
        [
            (m.name, m.version, m.kind, m.state.model, str(m.root))
            for m in sorted(rows, key=lambda m: m.name)
        ],
    )
    for error in found.errors:
        click.echo(f"warning: {error}", err=True)


@plugin.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help=f"Time to load in. [default: that of the manifest, or {DEFAULT_TIMEOUT_S:g}]",
)
@_as_json
def check_plugin(folder: Path, timeout_s: float | None, as_json: bool) -> None:
    """Load the plugin in DIR in a process of its own and show what is in it."""
    if folder.name == MANIFEST_NAME:
        folder = folder.parent
    report = inspect_plugin(folder, timeout_s)
    place = folder.resolve()
    if (place.parent.name, place.name) != (report.component, report.version):
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
def new_plugin(name: str, kind: str, directory: Path) -> None:
    """Create the plugin NAME, version 0.1.0, with a test."""
    problem = name_problem(name)
    if problem:
        raise click.BadParameter(problem, param_hint="NAME")
    folder = create_plugin(name, kind, directory)
    click.echo(str(folder))


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
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()


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
    console = Console()
    if not console.is_terminal:
        # A program reads one row a line.
        console.width = _PIPE_COLUMNS
    console.print(table)
