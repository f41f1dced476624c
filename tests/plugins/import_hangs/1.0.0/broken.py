"""Says its process id on the FIFO STARTED_FIFO, if there is one, and loops in native code."""

import collections
import itertools
import os

if fifo := os.environ.get("STARTED_FIFO"):
    with open(fifo, "w") as out:
        out.write(f"{os.getpid()}\n")
collections.deque(itertools.repeat(0), maxlen=0)
