"""Gives back what it gets: what is measured is the way there and back."""

from __future__ import annotations

import time

from noodle_host import Buffer


class Echo:
    def echo(self, data: bytes) -> bytes:
        return data

    def echo_buffer(self, data: Buffer) -> Buffer:
        return data

    def nap(self, seconds: float) -> None:
        time.sleep(seconds)
