"""Where an error was thrown, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .loaded import LoadedFunction

if TYPE_CHECKING:
    from .machine import Frame

#: Of longer stacks, this many frames are shown at either end.
_SHOWN: Final = 10


def stack_trace(
    function: LoadedFunction, operations: Any, frames: list[Frame]
) -> tuple[str, list[str]]:
    """Return the place of an error and a line for each frame, innermost first.

    The place is that of the innermost function that the source shows.
    """
    lines: list[str] = []
    place = ""
    visible = [(function, operations), *((frame[0], frame[1]) for frame in reversed(frames))]
    for each, its_operations in visible:
        ip = len(each.code) - its_operations.__length_hint__()
        # A constructor that waits for the initializers has not begun.
        if each.is_hidden or not ip:
            continue
        shown = each.place(ip)
        place = place or shown
        lines.append(f"  at {each.name} ({shown})")
    if len(lines) > 2 * _SHOWN:
        left_out = len(lines) - 2 * _SHOWN
        lines[_SHOWN:-_SHOWN] = [f"  ... {left_out} more frames"]
    return place or f"{function.file}:0:0", lines
