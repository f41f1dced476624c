"""Everything that noodle_host raises.

Every error says what happened, to which component, version and worker, in
which phase, what likely caused it and what to do next; the same facts are
attributes, for programs.
"""

from __future__ import annotations

import builtins
import functools
from typing import Any, ClassVar


class HostError(Exception):
    """Base of all errors of noodle_host.

    Attributes:
        code: stable identifier, e.g. ``RTUP_0004`` or ``CALL_0001``.
        component, version: whom it concerns, or None.
        worker: process id of the worker concerned, or None.
        phase: what was being done: ``manifest``, ``load``, ``start``, ``call`` ...
        hint: likely cause and what to do next; may be empty.
    """

    default_code: ClassVar[str] = "RTUP_0020"
    default_phase: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        component: str | None = None,
        version: str | None = None,
        worker: int | None = None,
        phase: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.component = component
        self.version = version
        self.worker = worker
        self.phase = phase if phase is not None else self.default_phase
        self.hint = hint

    def __str__(self) -> str:
        whom = self.component or ""
        if whom and self.version:
            whom += f" {self.version}"
        if whom and self.worker:
            whom += f" (worker {self.worker})"
        text = f"{whom}: {self.message}" if whom else self.message
        if self.hint:
            text += f" ({self.hint})"
        return f"{text} [{self.code}]"

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), self.message, self.__dict__.copy()))


def _rebuild(cls: type[HostError], message: str, attributes: dict[str, Any]) -> HostError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(attributes)
    return error


class ConfigError(HostError):
    """A setting of the host is missing, unknown or out of range."""

    default_code = "RTUP_0002"
    default_phase = "config"


class ComponentNotFoundError(HostError):
    """No component, or no such version of it, on the plugin path, or not started."""

    default_code = "RTUP_0004"
    default_phase = "resolve"


class PluginError(HostError):
    """A plugin's manifest, code or contract is wrong; ``where`` names the file."""

    default_code = "RTUP_0010"
    default_phase = "manifest"

    def __init__(self, message: str, *, where: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.where = where

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.where}: {text}" if self.where else text


class SourceError(HostError):
    """A program's source cannot be read; ``where`` names the file and the place."""

    default_code = "RTUP_0001"
    default_phase = "read"

    def __init__(self, message: str, *, where: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {super().__str__()}"


class RequirementError(HostError):
    """A component requires what is not there, or requirements form a cycle."""

    default_code = "RTUP_0007"
    default_phase = "resolve"


class StartError(HostError):
    """A worker did not come up: it raised, exited or was not ready in time."""

    default_code = "RTUP_0018"
    default_phase = "start"


class StateError(HostError):
    """A component's state could not be written, converted or taken over."""

    default_code = "HS_0003"
    default_phase = "snapshot"


class HotSwapError(HostError):
    """A swap was not made; the version that was running serves on."""

    default_code = "RTUP_0008"
    default_phase = "swap"


class HostClosedError(HostError):
    """The host, or the component, was stopped; calls are no longer taken."""

    default_code = "CALL_0009"
    default_phase = "call"


class CallError(HostError):
    """A call did not bring a result."""

    default_code = "CALL_0000"
    default_phase = "call"


class CallTimeout(CallError, TimeoutError):
    """The deadline passed. A command that has begun goes on to its end."""

    default_code = "CALL_0001"


class WorkerDied(CallError):
    """The worker died before it answered; what it had begun may be half done."""

    default_code = "CALL_0002"


class PoisonCall(WorkerDied):
    """Every worker that executed the call died of it; it is not tried again."""

    default_code = "CALL_0010"


class CallCancelled(CallError):
    """The caller took the call back before it was answered."""

    default_code = "CALL_0003"


class EncodeError(CallError, TypeError):
    """An argument or a result cannot be sent as msgpack."""

    default_code = "CALL_0004"


class PayloadTooLarge(CallError, ValueError):
    """A message is larger than the slabs of a channel; the text names the limit."""

    default_code = "CALL_0005"


class NoSuchMethod(CallError, AttributeError):
    """The component has no method of that name."""

    default_code = "CALL_0006"
    #: The message of the worker, which sees a number in place of the name.
    unnamed: ClassVar[str] = "there is no such method"


class ArgumentError(CallError, TypeError):
    """The arguments do not fit the method: number, names or types."""

    default_code = "CALL_0007"


class InvalidBuffer(CallError, ValueError):
    """A buffer cannot be made, was given away, belongs to another host, or is gone."""

    default_code = "CALL_0011"
    default_phase = "buffer"


class RemoteError(CallError):
    """The component raised; type, message and traceback are the remote ones.

    If the type is a builtin exception, the error raised is also an instance of
    it: ``except KeyError`` catches a remote ``KeyError``.
    """

    default_code = "CALL_0008"

    def __init__(
        self, message: str, *, type_name: str = "", remote_traceback: str = "", **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.type_name = type_name
        self.remote_traceback = remote_traceback

    def __reduce__(self) -> Any:
        # The class of a builtin's twin is made on demand and has no import path.
        return (_rebuild_remote, (self.type_name, self.message, self.__dict__.copy()))


def _remote_class(type_name: str) -> type[RemoteError]:
    """``RemoteError``, or the subclass of it that is also the builtin of that name."""
    builtin: Any = getattr(builtins, type_name, None)
    # Groups want a constructor argument of their own, and a StopIteration does
    # not pass through generators: their remote twins are plain RemoteErrors.
    if (
        not isinstance(builtin, type)
        or not issubclass(builtin, Exception)
        or issubclass(builtin, ExceptionGroup | StopIteration | StopAsyncIteration)
    ):
        return RemoteError
    if issubclass(builtin, UnicodeError):
        # Its subclasses cannot be made from a message alone.
        builtin = UnicodeError
    return _twin(builtin)


@functools.cache
def _twin(builtin: type[Exception]) -> type[RemoteError]:
    return type(f"Remote{builtin.__name__}", (RemoteError, builtin), {"__module__": __name__})


def _rebuild_remote(type_name: str, message: str, attributes: dict[str, Any]) -> HostError:
    error = _remote_class(type_name)(message)
    error.__dict__.update(attributes)
    return error


def remote_error(type_name: str, message: str, remote_traceback: str, **facts: Any) -> RemoteError:
    """Make the error for what a component raised.

    ``type_name`` is ``module.qualname``; builtins come without a module.
    """
    shown = f"{type_name}: {message}" if message else type_name
    cls = _remote_class(type_name)
    error = cls(shown, type_name=type_name, remote_traceback=remote_traceback, **facts)
    if remote_traceback:
        error.add_note(f"Remote traceback:\n{remote_traceback.rstrip()}")
    return error


#: Errors that keep their class when they cross from a worker to a caller.
WIRE_ERRORS: dict[str, type[HostError]] = {
    cls.default_code: cls
    for cls in (
        ComponentNotFoundError,
        PluginError,
        StateError,
        HotSwapError,
        HostClosedError,
        CallError,
        CallTimeout,
        WorkerDied,
        PoisonCall,
        CallCancelled,
        EncodeError,
        PayloadTooLarge,
        NoSuchMethod,
        ArgumentError,
        InvalidBuffer,
    )
}
