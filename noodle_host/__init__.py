"""noodle_host: components of the NoodleCore runtime, replaceable while programs run."""

from __future__ import annotations

from .config import HostConfig, RestartPolicy
from .errors import (
    ArgumentError,
    CallCancelled,
    CallError,
    CallTimeout,
    ComponentNotFoundError,
    ConfigError,
    EncodeError,
    HostClosedError,
    HostError,
    NoSuchMethod,
    PayloadTooLarge,
    PluginError,
    RemoteError,
    RequirementError,
    SourceError,
    StartError,
    WorkerDied,
)
from .host import Host
from .model import ComponentInfo, MethodInfo, SeatInfo, WorkerInfo
from .programs import Compilation, Programs
from .registry.descriptor import ComponentDescriptor
from .registry.registry import RuntimeComponentRegistry
from .router.call import Call
from .router.stream import Stream

__all__ = [
    "ArgumentError",
    "Call",
    "CallCancelled",
    "CallError",
    "CallTimeout",
    "Compilation",
    "ComponentDescriptor",
    "ComponentInfo",
    "ComponentNotFoundError",
    "ConfigError",
    "EncodeError",
    "Host",
    "HostClosedError",
    "HostConfig",
    "HostError",
    "MethodInfo",
    "NoSuchMethod",
    "PayloadTooLarge",
    "PluginError",
    "Programs",
    "RemoteError",
    "RequirementError",
    "RestartPolicy",
    "RuntimeComponentRegistry",
    "SeatInfo",
    "SourceError",
    "StartError",
    "Stream",
    "WorkerDied",
    "WorkerInfo",
]
