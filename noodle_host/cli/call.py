"""``noodle-host call``: one method of one component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    json_option,
    parse_requirement,
    plugin_folders,
    plugin_path_option,
    timeout_option,
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("component")
@click.argument("method")
@click.argument("arguments", nargs=-1)
@timeout_option
@plugin_path_option
@json_option
def call(
    component: str,
    method: str,
    arguments: tuple[str, ...],
    timeout_s: float | None,
    plugin_path: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Start COMPONENT (or COMPONENT==VERSION), call METHOD, print the result.

    ARGUMENTS are JSON, as in: noodle-host call greeter greet '"Ann"'. An
    argument NAME=JSON is passed by name. A method that streams prints one line
    an item.
    """
    args, kwargs = _parse(arguments)
    name, version = parse_requirement(component)
    from noodle_host.host import Host

    with Host(plugin_folders(plugin_path)) as host:
        info = host.start(name, version)
        known = {m.name: m for m in info.methods}
        if method in known and known[method].is_stream:
            for item in host.stream(name, method, *args, timeout=timeout_s, **kwargs):
                _show(item, as_json)
        else:
            _show(host.call(name, method, *args, timeout=timeout_s, **kwargs), as_json)
    return 0


def _parse(arguments: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    import msgspec

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in arguments:
        name, equals, value = text.partition("=")
        by_name = bool(equals) and name.isidentifier()
        source = value if by_name else text
        try:
            decoded = msgspec.json.decode(source)
        except msgspec.DecodeError as error:
            raise click.UsageError(
                f"the argument {text} is not JSON: {error} "
                f"(text needs quotes of its own: '\"{source}\"')"
            ) from None
        if by_name:
            kwargs[name] = decoded
        elif kwargs:
            raise click.UsageError(f"the argument {text} stands behind one that has a name")
        else:
            args.append(decoded)
    return args, kwargs


def _show(value: Any, as_json: bool) -> None:
    import sys

    import msgspec

    encoded = msgspec.json.encode(value).decode()
    if as_json or not sys.stdout.isatty():
        click.echo(encoded)
    else:
        from rich.console import Console

        Console().print_json(encoded)
