"""What a component receives from the host when it starts."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any, Protocol

from .buffer import Buffer


class Context(Protocol):
    """The component's way out: other components, clock, random numbers, log.

    A component takes what comes from outside through its context and in no
    other way; that is what lets a follower repeat a command exactly.
    """

    @property
    def component(self) -> str:
        """The component's name, as in its manifest."""

    @property
    def version(self) -> str:
        """The component's version, as in its manifest."""

    @property
    def log(self) -> logging.Logger:
        """A logger; its lines arrive in the host's log, with the component."""

    @property
    def random(self) -> random.Random:
        """The random numbers to use inside commands."""

    def time_s(self) -> float:
        """Seconds since the epoch; the clock to use inside commands."""

    def call(
        self,
        component: str,
        method: str,
        /,
        *args: object,
        timeout: float | None = None,
        key: str | bytes | int | None = None,
        result_type: Any = None,
        **kwargs: object,
    ) -> Any:
        """Call a method of a component that the manifest requires.

        ``timeout`` is in seconds, None waits for ever; ``result_type`` is the
        type to decode the result as (builtins by default).

        Raises:
            HostError: the call failed; ``RemoteError`` carries what the callee
                raised, ``CallTimeout`` and ``WorkerDied`` what happened to it.
        """

    def stream(
        self,
        component: str,
        method: str,
        /,
        *args: object,
        timeout: float | None = None,
        key: str | bytes | int | None = None,
        item_type: Any = None,
        **kwargs: object,
    ) -> Iterator[Any]:
        """Iterate over the items of a streaming method of a required component."""

    def buffer(self, nbytes: int) -> Buffer:
        """Make shared memory of ``nbytes`` zeros, to be passed and returned without a copy.

        Raises:
            HostError: the size is not a number of bytes that this machine could have, or no
                memory or descriptor is left.
        """
