"""A lifeline: the kernel tells a process that the host is gone, whatever it is doing.

The host alone holds the other end of a pipe. An end-of-file on a control socket
would be enough for a process that looks at it; one that loops in native code or is
stopped does not.
"""

from __future__ import annotations

import fcntl
import os


def arm(pipe: int, signal_number: int, owner: int) -> bool:
    """Have a signal sent when the last writer of ``pipe`` is gone; take the descriptor over.

    ``owner`` is a process id, or a negative process group id. Returns False if
    there is no writer any more.
    """
    # Whom to tell belongs to the open file, and all processes got the same one:
    # each opens the pipe once more.
    own = os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.close(pipe)
    fcntl.fcntl(own, fcntl.F_SETOWN, owner)
    fcntl.fcntl(own, fcntl.F_SETSIG, signal_number)
    flags = fcntl.fcntl(own, fcntl.F_GETFL)
    fcntl.fcntl(own, fcntl.F_SETFL, flags | os.O_ASYNC)
    # Whoever died before the signal was armed has left end-of-file.
    try:
        return os.read(own, 1) != b""
    except BlockingIOError:
        return True
