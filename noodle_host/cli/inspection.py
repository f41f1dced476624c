"""Loading a plugin in a process of its own, to see what it is.

The plugin may crash, hang or leave; what comes back is a report or one error.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import msgspec

from noodle_host.errors import HostError, PluginError
from noodle_host.registry.manifest import MANIFEST_NAME, Manifest, read_manifest

DEFAULT_TIMEOUT_S = 10.0


class MethodReport(msgspec.Struct, frozen=True):
    """One callable method: the names of its parameters, and its markers."""

    name: str
    parameters: list[str]
    query: bool
    at_most_once: bool
    stream: bool


class PluginReport(msgspec.Struct, frozen=True):
    """What was found in a plugin that loads; ``hooks`` are the component hooks."""

    component: str
    version: str
    kind: str
    state_model: str
    state_schema: int
    fork: bool
    hooks: list[str]
    methods: list[MethodReport]


class _Failure(msgspec.Struct, frozen=True):
    message: str
    where: str
    hint: str
    code: str
    phase: str
    traceback: str


class _Answer(msgspec.Struct, frozen=True):
    report: PluginReport | None = None
    failure: _Failure | None = None


def inspect_plugin(folder: Path, timeout_s: float | None = None) -> PluginReport:
    """Load the plugin in a folder, in a child process, and say what is in it.

    What the plugin prints arrives on standard error. ``timeout_s`` is by
    default the manifest's start-up time, or 10 seconds.

    Raises:
        PluginError: the manifest is wrong, the plugin does not load or does
            not fit its contract, or its process died or took too long.
    """
    manifest = read_manifest(folder / MANIFEST_NAME)
    limit = timeout_s or manifest.budget.startup_timeout_s or DEFAULT_TIMEOUT_S
    read_fd, write_fd = os.pipe()
    # Where this very package was imported from, wherever that is; at the end,
    # so that it shadows nothing.
    package_folder = str(Path(__file__).resolve().parents[2])
    code = (
        "import sys; sys.path.append(sys.argv[1]); "
        "from noodle_host.cli.inspection import answer; answer(sys.argv[2], int(sys.argv[3]))"
    )
    with open(read_fd, "rb", buffering=0) as pipe:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-c", code, package_folder, str(folder), str(write_fd)],
                stdin=subprocess.DEVNULL,
                # Standard output is for the answer of the command alone.
                stdout=2,
                pass_fds=[write_fd],
                start_new_session=True,
            )
        finally:
            os.close(write_fd)
        data = None
        try:
            data = _read_line(pipe.fileno(), time.monotonic() + limit)
        finally:
            status = _end(child, grace_s=0.0 if data is None else 1.0)
    if data is None:
        raise _error(
            manifest,
            f"was not loaded within {limit:g} s",
            "does it wait or loop at import or in its constructor? "
            "long work belongs into the hook start",
        )
    if not data.endswith(b"\n"):
        raise _died(manifest, status)
    found = msgspec.json.decode(data, type=_Answer)
    if found.report is not None:
        return found.report
    failure = found.failure
    assert failure is not None, "the child answers with a report or a failure"
    error = _error(manifest, failure.message, failure.hint)
    error.where, error.code, error.phase = failure.where, failure.code, failure.phase
    error.add_note(failure.traceback)
    raise error


def answer(folder: str, fd: int) -> None:
    """Load the plugin and write the answer, one line of JSON; runs in the child."""
    try:
        found = _Answer(report=_report(Path(folder)))
    except HostError as error:
        found = _Answer(
            failure=_Failure(
                message=error.message,
                where=getattr(error, "where", ""),
                hint=error.hint,
                code=error.code,
                phase=error.phase,
                traceback="".join(traceback.format_exception(error)),
            )
        )
    with open(fd, "wb") as pipe:
        pipe.write(msgspec.json.encode(found) + b"\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the plugin left behind must not keep the process.
    os._exit(0)


def _report(folder: Path) -> PluginReport:
    from noodle_host.worker.loading import load_component

    manifest = read_manifest(folder / MANIFEST_NAME)
    loaded = load_component(manifest)
    return PluginReport(
        component=manifest.name,
        version=manifest.version,
        kind=manifest.kind,
        state_model=manifest.state.model,
        state_schema=manifest.state.schema,
        fork=manifest.state.fork,
        hooks=sorted(loaded.hook_names),
        methods=[
            MethodReport(
                name=method.name,
                parameters=list(method.parameters),
                query=method.is_query,
                at_most_once=method.at_most_once,
                stream=method.is_stream,
            )
            for method in loaded.methods.values()
        ],
    )


def _read_line(fd: int, deadline: float) -> bytes | None:
    """Read to the end of a line or of the file; None when the time is up.

    Not to the end of the file alone: a process that the plugin started may
    hold the other end open.
    """
    data = bytearray()
    while not data.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _end(child: subprocess.Popen[bytes], *, grace_s: float) -> int:
    """Return the child's exit status; after the grace, kill all that is left of its group."""
    pidfd = os.pidfd_open(child.pid)
    try:
        select.select([pidfd], [], [], grace_s)
        # The child is not reaped yet, so its number means its group and no other.
        os.killpg(child.pid, signal.SIGKILL)
    finally:
        os.close(pidfd)
    return child.wait()


def _died(manifest: Manifest, status: int) -> PluginError:
    if status < 0:
        return _error(
            manifest,
            f"its process was killed by {signal.Signals(-status).name} while it was loaded",
            "native code that crashes at import? run it with python -X faulthandler",
        )
    return _error(
        manifest,
        f"its process ended with status {status} while it was loaded",
        "does it call os._exit at import or in its constructor?",
    )


def _error(manifest: Manifest, message: str, hint: str) -> PluginError:
    return PluginError(
        message,
        where=str(manifest.root / MANIFEST_NAME),
        component=manifest.name,
        version=manifest.version,
        phase="load",
        hint=hint,
    )
