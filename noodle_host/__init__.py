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
    StartError,
    WorkerDied,
)
from .host import Host
from .model import ComponentInfo, MethodInfo, SeatInfo, WorkerInfo
from .registry.descriptor import ComponentDescriptor
from .registry.registry import RuntimeComponentRegistry

__all__ = [
    "ArgumentError",
    "CallCancelled",
    "CallError",
    "CallTimeout",
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
    "RemoteError",
    "RequirementError",
    "RestartPolicy",
    "RuntimeComponentRegistry",
    "SeatInfo",
    "StartError",
    "WorkerDied",
    "WorkerInfo",
]
