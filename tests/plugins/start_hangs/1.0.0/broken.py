"""Says its process id on the FIFO STARTED_FIFO, if there is one, and starts for ever."""

import os
import time

from hookspecs import Context, hookimpl


class Broken:
    @hookimpl
    def start(self, context: Context) -> None:
        if fifo := os.environ.get("STARTED_FIFO"):
            with open(fifo, "w") as out:
                out.write(f"{os.getpid()}\n")
        while True:
            time.sleep(60)

    @hookimpl
    def stop(self) -> None:
        print("stopped without a start", flush=True)
