"""noodle_host: components of the NoodleCore runtime, replaceable while programs run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# Every worker imports this package on its way to noodle_host.worker, and should not pay for
# the host's side: the names are loaded when they are first asked for.
if TYPE_CHECKING:
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
        HotSwapError,
        InvalidBuffer,
        NoSuchMethod,
        PayloadTooLarge,
        PluginError,
        PoisonCall,
        RemoteError,
        RequirementError,
        SourceError,
        StartError,
        StateError,
        WorkerDied,
    )
    from .host import Host
    from .model import (
        BufferUsage,
        ComponentInfo,
        FollowerInfo,
        MethodInfo,
        Role,
        SeatInfo,
        SwapEvent,
        SwapReport,
        WorkerInfo,
    )
    from .programs import Compilation, Programs
    from .registry.descriptor import ComponentDescriptor
    from .registry.registry import RuntimeComponentRegistry
    from .router.buffer import Buffer
    from .router.call import Call
    from .router.stream import Stream
    from .upgrade.hot_swap import (
        ComponentSnapshot,
        HotSwapEngine,
        SwapContext,
        SwapResult,
        UpgradeOperation,
    )

__all__ = [
    "ArgumentError",
    "Buffer",
    "BufferUsage",
    "Call",
    "CallCancelled",
    "CallError",
    "CallTimeout",
    "Compilation",
    "ComponentDescriptor",
    "ComponentInfo",
    "ComponentNotFoundError",
    "ComponentSnapshot",
    "ConfigError",
    "EncodeError",
    "FollowerInfo",
    "Host",
    "HostClosedError",
    "HostConfig",
    "HostError",
    "HotSwapEngine",
    "HotSwapError",
    "InvalidBuffer",
    "MethodInfo",
    "NoSuchMethod",
    "PayloadTooLarge",
    "PluginError",
    "PoisonCall",
    "Programs",
    "RemoteError",
    "RequirementError",
    "RestartPolicy",
    "Role",
    "RuntimeComponentRegistry",
    "SeatInfo",
    "SourceError",
    "StartError",
    "StateError",
    "Stream",
    "SwapContext",
    "SwapEvent",
    "SwapReport",
    "SwapResult",
    "UpgradeOperation",
    "WorkerDied",
    "WorkerInfo",
]

_HOMES = {
    "ArgumentError": ".errors",
    "Buffer": ".router.buffer",
    "BufferUsage": ".model",
    "Call": ".router.call",
    "CallCancelled": ".errors",
    "CallError": ".errors",
    "CallTimeout": ".errors",
    "Compilation": ".programs",
    "ComponentDescriptor": ".registry.descriptor",
    "ComponentInfo": ".model",
    "ComponentNotFoundError": ".errors",
    "ComponentSnapshot": ".upgrade.hot_swap",
    "ConfigError": ".errors",
    "EncodeError": ".errors",
    "FollowerInfo": ".model",
    "Host": ".host",
    "HostClosedError": ".errors",
    "HostConfig": ".config",
    "HostError": ".errors",
    "HotSwapEngine": ".upgrade.hot_swap",
    "HotSwapError": ".errors",
    "InvalidBuffer": ".errors",
    "MethodInfo": ".model",
    "NoSuchMethod": ".errors",
    "PayloadTooLarge": ".errors",
    "PluginError": ".errors",
    "PoisonCall": ".errors",
    "Programs": ".programs",
    "RemoteError": ".errors",
    "RequirementError": ".errors",
    "RestartPolicy": ".config",
    "Role": ".model",
    "RuntimeComponentRegistry": ".registry.registry",
    "SeatInfo": ".model",
    "SourceError": ".errors",
    "StartError": ".errors",
    "StateError": ".errors",
    "Stream": ".router.stream",
    "SwapContext": ".upgrade.hot_swap",
    "SwapEvent": ".model",
    "SwapReport": ".model",
    "SwapResult": ".upgrade.hot_swap",
    "UpgradeOperation": ".upgrade.hot_swap",
    "WorkerDied": ".errors",
    "WorkerInfo": ".model",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
