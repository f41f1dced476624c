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
    def self_test(self) -> None:
        """Raise if the component would not work; called before any traffic."""

    @hookspec(firstresult=True)
    def stop(self) -> None:
        """Called once, after the last call of an ordered stop."""
