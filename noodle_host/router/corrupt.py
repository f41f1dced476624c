"""What a peer wrote that the protocol does not allow, outside the lane's own records."""

from __future__ import annotations


class CorruptError(ValueError):
    """A peer does not keep to the protocol; nothing that it wrote can be trusted.

    A type of its own: a ``ValueError`` may also come from a signal handler.
    """
