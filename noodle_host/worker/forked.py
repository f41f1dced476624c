"""What a forked child may do with its parent's endpoint: nothing.

The child has a copy of it and the very same shared memory. A lane has one writer and
one reader, so a child that sent, fetched or freed anything would do it in the
parent's place.
"""

from __future__ import annotations

import copy
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, NoReturn

from ..errors import HostError
from ..router.endpoint import Endpoint
from ..router.pump import Pump, Source

# The interpreter keeps what it is to call after a fork for ever. So it is told
# once, and who is to be told of a fork is known here, as long as it lives.
_to_tell: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def tell_in_child(owner: object) -> None:
    """Call ``owner.on_forked()`` in every child that is forked while it lives."""
    _listen()
    _to_tell.add(owner)


@functools.cache
def _listen() -> None:
    os.register_at_fork(after_in_child=_tell)


def _tell() -> None:
    for owner in list(_to_tell):
        owner.on_forked()


def cut_off(endpoint: Endpoint, error: HostError) -> None:
    """Have everything that is asked of the endpoint in this child raise ``error``.

    Calls and streams that the parent has under way raise it too.
    """

    def refuse(*_: object) -> NoReturn:
        raise copy.copy(error)

    endpoint._resolve = refuse  # type: ignore[method-assign,assignment]
    endpoint._targets.clear()
    endpoint.pump = _NoPump(refuse)
    if endpoint.buffers is not None:
        endpoint.buffers.disown(error)
    endpoint.abandon = lambda pending: None  # type: ignore[method-assign]
    for link in endpoint._links.values():
        # Nothing is sent on a link that is broken.
        link.broken = error
        # Threads that are not here may have held them.
        link.lock = threading.Lock()
        link.end.outbox.lock = threading.Lock()
        # They free slabs when a view is dropped.
        link.end.inbox.arena._leases.clear()


class _NoPump(Pump):
    """Moves no mail, and lets nobody wait for some."""

    def __init__(self, refuse: Callable[[], NoReturn]) -> None:
        self._refuse = refuse

    def wait(
        self, done: Callable[[], object], deadline_ns: int = 0, source: Source | None = None
    ) -> bool:
        return bool(done()) or self._refuse()

    def count_background(self, change: int) -> None:
        pass

    def nudge(self) -> None:
        pass

    def rung(self) -> None:
        pass

    def rouse(self) -> None:
        pass

    def spin_inline(self, done: Callable[[], object], limit_ns: int) -> bool:
        return bool(done())

    def close(self) -> None:
        pass
