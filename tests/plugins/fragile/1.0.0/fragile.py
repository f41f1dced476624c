"""Comes up only as often as the file LIVES says."""

import os
from pathlib import Path

from hookspecs import Context, hookimpl


class Fragile:
    @hookimpl
    def start(self, context: Context) -> None:
        lives = Path(os.environ["LIVES"])
        left = int(lives.read_text())
        if left <= 0:
            raise RuntimeError("no life is left")
        lives.write_text(str(left - 1))

    def pid(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os._exit(7)
