import os
import time

from hookspecs import hookimpl


class Broken:
    @hookimpl
    def stop(self) -> None:
        while True:
            time.sleep(60)

    def pid(self) -> int:
        return os.getpid()
