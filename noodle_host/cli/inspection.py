"""Loading a plugin in a process of its own, to see what it is.

The plugin may crash, hang or leave; what comes back is a report or one error.
"""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from noodle_host.errors import HostError, PluginError, RequirementError
from noodle_host.registry.manifest import MANIFEST_NAME, Manifest, read_manifest
from noodle_host.registry.plugin_path import bundled_plugins
from noodle_host.registry.registry import RuntimeComponentRegistry
from noodle_host.registry.suggestion import hints
from noodle_host.registry.toml_source import TomlSource

DEFAULT_TIMEOUT_S = 10.0

# What faulthandler has to write is written at once; a process that is too
# stuck for that is killed after this time.
_DUMP_GRACE_S = 1.0

# From faulthandler: the thread that was running, innermost frame first.
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in ', re.MULTILINE)
_LONGEST_DUMP = 1 << 20

_CHILD = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from noodle_host.cli.inspection import answer; "
    "answer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
)


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


class _Outcome(msgspec.Struct, frozen=True):
    """How the child ended; ``data`` is None if it had not answered in time."""

    data: bytes | None
    status: int
    dump: str


def inspect_plugin(
    folder: Path, timeout_s: float | None = None, plugin_path: Sequence[Path] = ()
) -> PluginReport:
    """Load the plugin in a folder, in a child process, and say what is in it.

    What the plugin prints arrives on standard error. ``timeout_s`` is by
    default the manifest's start-up time, or 10 seconds. What it requires is
    looked for on ``plugin_path``, on the plugin path that the folder lies on,
    and among the bundled plugins.

    Raises:
        PluginError: the manifest is wrong, the plugin does not load or does
            not fit its contract, its process died or took too long, or what
            it requires is not there.
    """
    manifest = _read(folder)
    limit_s = timeout_s or manifest.budget.startup_timeout_s or DEFAULT_TIMEOUT_S
    outcome = _load_in_child(folder, limit_s)
    if outcome.data is None:
        raise _error(
            manifest,
            f"was not loaded within {limit_s:g} s",
            "does it wait or loop at import or in its constructor? "
            "long work belongs into the hook start",
            outcome.dump,
        )
    if not outcome.data.endswith(b"\n"):
        raise _died(manifest, outcome)
    found = msgspec.json.decode(outcome.data, type=_Answer)
    if found.failure is not None:
        raise _told(manifest, found.failure)
    assert found.report is not None, "the child answers with a report or a failure"
    _check_requirements(manifest, folder, plugin_path)
    return found.report


def answer(folder: str, answer_fd: int, dump_fd: int) -> None:
    """Load the plugin and write the answer, one line of JSON; runs in the child."""
    faulthandler.enable(dump_fd)
    # What a crash has to tell, faulthandler tells.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = _Answer(report=_report(Path(folder)))
    except HostError as error:
        found = _Answer(
            failure=_Failure(
                message=_plain(error.message),
                where=_plain(getattr(error, "where", "")),
                hint=_plain(error.hint),
                code=error.code,
                phase=error.phase,
                traceback=_plain("".join(traceback.format_exception(error))),
            )
        )
    except BaseException as error:
        found = _Answer(
            failure=_Failure(
                message=f"loading it raised {type(error).__name__}: {_plain(str(error))}",
                where=str(Path(folder).resolve() / MANIFEST_NAME),
                hint="--debug shows where",
                code=PluginError.default_code,
                phase="load",
                traceback=_plain("".join(traceback.format_exception(error))),
            )
        )
    with open(answer_fd, "wb") as pipe:
        pipe.write(msgspec.json.encode(found) + b"\n")
    for stream in (sys.stdout, sys.stderr):
        # The plugin may have closed or replaced them.
        with suppress(Exception):
            stream.flush()
    # Threads that the plugin left behind must not keep the process.
    os._exit(0)


def _read(folder: Path) -> Manifest:
    if not folder.is_dir():
        raise PluginError(
            "is not a folder" if os.path.lexists(folder) else "there is no such folder",
            where=str(folder),
            code="RTUP_0001",
            hint=f"give the folder that holds {MANIFEST_NAME}",
        )
    try:
        return read_manifest(folder / MANIFEST_NAME)
    except PluginError as error:
        versions = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_NAME}"))
        if error.code == "RTUP_0001" and versions:
            error.hint = f"give the folder of a version: {', '.join(versions)}"
        raise


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


def _check_requirements(manifest: Manifest, folder: Path, plugin_path: Sequence[Path]) -> None:
    place = Path(os.path.abspath(folder))
    own = [place.parents[1]] if is_in_place(manifest.name, manifest.version, place) else []
    registry = RuntimeComponentRegistry([*own, *plugin_path, bundled_plugins()])
    try:
        registry.start_order_of(manifest)
    except RequirementError as error:
        raise PluginError(
            error.message,
            where=TomlSource(manifest.root / MANIFEST_NAME).where("requires"),
            component=manifest.name,
            version=manifest.version,
            code=error.code,
            phase=error.phase,
            hint=hints(error.hint, "looked in " + ", ".join(map(str, registry.plugin_path))),
        ) from error


def is_in_place(component: str, version: str, place: Path) -> bool:
    """Tell whether a folder is named as it must be on a plugin path."""
    return (place.parent.name, place.name) == (component, version)


def _load_in_child(folder: Path, limit_s: float) -> _Outcome:
    read_fd, write_fd = os.pipe()
    dump_fd = os.memfd_create("noodle-host-dump")
    # Where this very package was imported from, wherever that is; at the end,
    # so that it shadows nothing.
    package_folder = str(Path(__file__).resolve().parents[2])
    try:
        with open(read_fd, "rb", buffering=0) as pipe:
            try:
                arguments = (package_folder, str(folder), str(write_fd), str(dump_fd))
                child = subprocess.Popen(
                    [sys.executable, "-P", "-c", _CHILD, *arguments],
                    stdin=subprocess.DEVNULL,
                    # Standard output is for the answer of the command alone.
                    stdout=2,
                    pass_fds=[write_fd, dump_fd],
                    start_new_session=True,
                )
            finally:
                os.close(write_fd)
            data = None
            try:
                data = _read_line(pipe.fileno(), time.monotonic() + limit_s)
            finally:
                status = _end(child, asked=data is None)
        size = min(os.fstat(dump_fd).st_size, _LONGEST_DUMP)
        dump = os.pread(dump_fd, size, 0).decode("utf-8", "replace")
    finally:
        os.close(dump_fd)
    return _Outcome(data, status, dump)


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


def _end(child: subprocess.Popen[bytes], *, asked: bool) -> int:
    """Return the child's exit status; after a grace, kill all that is left of its group.

    A child that is ``asked`` to end says first, through faulthandler, where it is.
    """
    pidfd = os.pidfd_open(child.pid)
    try:
        if asked:
            signal.pidfd_send_signal(pidfd, signal.SIGABRT)
        select.select([pidfd], [], [], _DUMP_GRACE_S)
        # The child is not reaped yet, so its number means its group and no other.
        os.killpg(child.pid, signal.SIGKILL)
    finally:
        os.close(pidfd)
    return child.wait()


def _died(manifest: Manifest, outcome: _Outcome) -> PluginError:
    if outcome.status >= 0:
        return _error(
            manifest,
            f"its process ended with status {outcome.status} while it was loaded",
            "does it call os._exit at import or in its constructor? raise an error instead",
        )
    number = -outcome.status
    try:
        name = signal.Signals(number).name
    except ValueError:
        # Most of the real-time signals have no name.
        name = f"signal {number}"
    return _error(
        manifest,
        f"its process was killed by {name} while it was loaded",
        "the system may have been out of memory"
        if number == signal.SIGKILL
        else "does native code crash at import or in its constructor? --debug shows the stack",
        outcome.dump,
    )


def _told(manifest: Manifest, failure: _Failure) -> PluginError:
    error = PluginError(
        failure.message,
        where=failure.where,
        component=manifest.name,
        version=manifest.version,
        code=failure.code,
        phase=failure.phase,
        hint=failure.hint,
    )
    error.add_note(failure.traceback)
    return error


def _error(manifest: Manifest, message: str, hint: str, dump: str = "") -> PluginError:
    """Make an error with the innermost line of the plugin in what faulthandler wrote."""
    # Of several threads, the one that crashed or was interrupted is "current".
    current = dump.partition("Current thread")[2].partition("\n\n")[0]
    frames = _FRAME.findall(current)
    # It writes ASCII, and everything else escaped.
    root = f"{manifest.root}/".encode("ascii", "backslashreplace").decode()
    own = [
        f"{manifest.root}/{file.removeprefix(root)}:{line}"
        for file, line in frames
        if file.startswith(root)
    ]
    error = PluginError(
        message,
        where=own[0] if own else str(manifest.root / MANIFEST_NAME),
        component=manifest.name,
        version=manifest.version,
        phase="load",
        hint=hint,
    )
    if dump:
        error.add_note(dump)
    return error


def _plain(text: str) -> str:
    """Write lone surrogates, as from undecodable file names, so that JSON takes them."""
    return text.encode("utf-8", "backslashreplace").decode()
