"""Writes into the file ORDER_FILE when it starts and stops."""

from __future__ import annotations

import os

from hookspecs import Context, hookimpl


class Ordered:
    @hookimpl
    def start(self, context: Context) -> None:
        self.name = context.component
        self._write("start")

    @hookimpl
    def stop(self) -> None:
        self._write("stop")

    def _write(self, word: str) -> None:
        # One write in append mode: lines of several workers do not mix.
        file = os.open(os.environ["ORDER_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{word} {self.name}\n".encode())
        os.close(file)

    def ping(self) -> str:
        return self.name
