"""``noodle-host run``: a program through isolated components."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from noodle_host.errors import CallTimeout, SourceError

from .options import (
    json_option,
    parse_requirement,
    plugin_folders,
    plugin_path_option,
    timeout_option,
)

if TYPE_CHECKING:
    from hookspecs.contracts.vm import Program
    from noodle_host.programs import Programs


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--use",
    "use",
    multiple=True,
    metavar="COMPONENT==VERSION",
    help="Take that version of a component (or a range, >=1,<2). Repeatable.",
)
@click.option("--versions", is_flag=True, help="Say which versions ran, on standard error.")
@timeout_option
@plugin_path_option
@json_option
def run(
    file: Path,
    use: tuple[str, ...],
    versions: bool,
    timeout_s: float | None,
    plugin_path: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Compile and run the Noodle program FILE.

    The exit status is 0, or 1 if the program does not compile or ends with an
    error.
    """
    # A file that is not there should not cost the start of five processes.
    from noodle_host.source import read_source

    read_source(file)
    from noodle_host.host import Host
    from noodle_host.programs import PIPELINE, Programs

    wanted = dict(parse_requirement(text) for text in use)
    for name in wanted:
        if name not in PIPELINE:
            raise click.UsageError(f"--use {name}: a program runs through {', '.join(PIPELINE)}")
    with Host(plugin_folders(plugin_path)) as host:
        programs = Programs(host)
        used = programs.start({name: v for name, v in wanted.items() if v is not None})
        compilation = programs.compile(file)
        report: dict[str, Any] = {
            "file": str(file),
            "versions": used,
            "compilation_time_s": compilation.compilation_time_s,
            "statistics": compilation.statistics,
            "optimizations": compilation.optimizations,
            "diagnostics": compilation.diagnostics,
        }
        if not as_json:
            _print_diagnostics(compilation.diagnostics, compilation.sources)
        if compilation.program is None:
            report["status"] = 1
        else:
            try:
                report |= _run(programs, compilation.program, timeout_s, as_json)
            except CallTimeout:
                if timeout_s is None:
                    raise
                raise SourceError(
                    f"it did not end within {timeout_s:g} s and was stopped", where=str(file)
                ) from None
            if not as_json and report.get("error"):
                lines = [report["error"], *report["stack"]]
                click.echo("\n".join(lines), err=True)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
    if versions:
        shown = ", ".join(f"{name} {version}" for name, version in used.items())
        click.echo(f"versions: {shown}", err=True)
    status: int = report["status"]
    return status


def _run(
    programs: Programs, program: Program, timeout_s: float | None, as_json: bool
) -> dict[str, Any]:
    """Run to the end, print as it comes unless that goes into the report."""
    from hookspecs.contracts.vm import Output

    printed: list[str] = []
    ending: dict[str, Any] = {}
    for event in programs.run(program, timeout_s):
        if not isinstance(event, Output):
            ending = {
                "status": event.status,
                "error": event.error,
                "stack": event.stack,
                "instructions": event.instructions,
            }
        elif as_json:
            printed.append(event.text)
        else:
            sys.stdout.write(event.text)
            sys.stdout.flush()
    return {**ending, "output": "".join(printed)}


def _print_diagnostics(diagnostics: list[Any], sources: dict[str, str]) -> None:
    from noodle_host.diagnostics import render

    for diagnostic in diagnostics:
        click.echo(render(diagnostic, sources.get(diagnostic.file, "")), err=True)
