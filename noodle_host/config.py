"""The settings of a host; every default in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import ConfigError


@dataclass(frozen=True)
class RestartPolicy:
    """Exponential back-off; the first restart is immediate.

    A component that fails ``quarantine_after`` times with less than
    ``stable_s`` seconds of service in between is not started again.
    """

    first_delay_s: float = 0.1
    factor: float = 2.0
    longest_delay_s: float = 10.0
    stable_s: float = 10.0
    quarantine_after: int = 5


@dataclass(frozen=True, kw_only=True)
class HostConfig:
    """Settings of a :class:`Host`; times are in seconds.

    Raises:
        ConfigError: a value is out of range.
    """

    #: From the fork of a worker until it serves; a manifest's budget overrides it.
    startup_timeout_s: float = 10.0
    #: What an ordered stop may take before the worker is killed.
    stop_timeout_s: float = 5.0
    #: What the writing of a component's state may take.
    snapshot_timeout_s: float = 60.0
    #: From the start of a swap until the new version leads.
    swap_timeout_s: float = 60.0
    #: What a health check may take.
    health_timeout_s: float = 1.0
    #: The deadline of calls that name none; None: they wait for ever.
    call_timeout_s: float | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    #: One hash seed for all workers, 0 to 2**32 - 1; None: a random one.
    hash_seed: int | None = None

    def __post_init__(self) -> None:
        for name in (
            "startup_timeout_s",
            "stop_timeout_s",
            "snapshot_timeout_s",
            "swap_timeout_s",
            "health_timeout_s",
        ):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"{name} must be more than 0 seconds, not {value!r}")
        if self.call_timeout_s is not None and not self.call_timeout_s > 0:
            raise ConfigError(
                f"call_timeout_s must be more than 0 seconds, or None, not {self.call_timeout_s!r}"
            )
        if self.hash_seed is not None and not 0 <= self.hash_seed < 1 << 32:
            raise ConfigError(f"hash_seed must be from 0 to 2**32 - 1, not {self.hash_seed!r}")
