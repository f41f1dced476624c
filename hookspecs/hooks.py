"""The hooks that every component may implement; none is required."""

from __future__ import annotations

from .context import Context
from .markers import hookspec


class ComponentHooks:
    """Called by the worker that holds the component, on its main thread."""

    @hookspec(firstresult=True)
    def start(self, context: Context) -> None:
        """Called once, before any call. Raising refuses the start."""

    @hookspec(firstresult=True)
    def health(self) -> str | None:
        """Return None when healthy, else one sentence that says what is wrong."""

    @hookspec(firstresult=True)
    def snapshot(self) -> object:
        """Return the state; it is pickled with cloudpickle."""

    @hookspec(firstresult=True)
    def restore(self, state: object) -> None:
        """Take over a state of this version's schema, before any call."""

    @hookspec(firstresult=True)
    def migrate(self, state: object, from_schema: int, to_schema: int) -> object:
        """Return ``state`` converted between schema versions, up or down.

        Raise if there is no way; the host then keeps the running version.
        """

    @hookspec(firstresult=True)
    def resume(self, method: str, arguments: list[object], items_sent: int) -> object:
        """Return an iterator that goes on with a task that another worker has begun.

        Called with the name of the generator method and what it was called with, after
        the state was taken over; ``items_sent`` items have gone out. What the task needs
        beyond that, the state has to hold. Without this hook a ``@query`` generator, or
        one of a stateless component, is called again and that many items are dropped;
        other tasks cannot move.
        """

    @hookspec(firstresult=True)
    def self_test(self) -> None:
        """Raise if the component would not work; called before any traffic."""

    @hookspec(firstresult=True)
    def stop(self) -> None:
        """Called once, after the last call of an ordered stop."""
