"""The command line: one error is one line, and an exit status says how it went.

0: it went well. 1: it did not; for ``run`` also: the program ended with an
error. 2: the command was not understood. 130: interrupted.
"""

from __future__ import annotations

import logging
import sys
import traceback

import click

from noodle_host.errors import HostError

from .call import call
from .doctor import doctor
from .plugin import plugin
from .run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and what workers print.")
@click.version_option(package_name="noodle-host", prog_name="noodle-host")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Run Noodle programs and their components, each in a process of its own."""
    context.obj = debug
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR,
        stream=sys.stderr,
        format="%(levelname)s %(name)s: %(message)s",
    )
    if not debug:
        # An error is told once, by the command that it stopped.
        logging.getLogger("noodle_host").setLevel(logging.CRITICAL)
        logging.getLogger("noodle_host.component").setLevel(logging.WARNING)


cli.add_command(run)
cli.add_command(call)
cli.add_command(plugin)
cli.add_command(doctor)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        status = cli.main(arguments, prog_name="noodle-host", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.Abort:
        return _fail("interrupted", 130, debug)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = f" (see {context.command_path} --help)" if context is not None else ""
        return _fail(error.format_message().rstrip(".") + where, error.exit_code, debug)
    except KeyboardInterrupt:
        return _fail("interrupted", 130, debug)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        return 1
    except HostError as error:
        return _fail(str(error), 1, debug)
    except Exception as error:
        return _fail(
            f"a defect in noodle-host: {type(error).__name__}: {error} (--debug shows where)",
            1,
            debug,
        )


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"noodle-host: {' '.join(message.split())}", err=True)
    return status
