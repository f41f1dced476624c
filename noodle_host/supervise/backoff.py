"""How long to wait before a worker is started again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config import RestartPolicy


@dataclass
class RestartHistory:
    """What has happened to one seat so far."""

    failures: int = 0
    reasons: list[str] = field(default_factory=list)

    def record(self, policy: RestartPolicy, served_s: float, reason: str) -> None:
        """Note a failure after ``served_s`` seconds of service."""
        if served_s >= policy.stable_s:
            self.failures = 0
            self.reasons.clear()
        self.failures += 1
        self.reasons.append(reason)


def next_delay_s(policy: RestartPolicy, failures: int) -> float | None:
    """Seconds until the next start after that many failures; None: quarantine."""
    if failures >= policy.quarantine_after:
        return None
    if failures <= 1:
        return 0.0
    return min(policy.longest_delay_s, policy.first_delay_s * policy.factor ** (failures - 2))
