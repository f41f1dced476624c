"""The ending of a message about a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest known word, or an empty text."""
    # Only failures come here; a start that goes well does not pay for difflib.
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def hints(*parts: str) -> str:
    """Join the parts of a hint that are not empty."""
    return "; ".join(part for part in parts if part)
