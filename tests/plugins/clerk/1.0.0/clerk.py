"""Asks the desk for everything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from hookspecs import Context, hookimpl


class Clerk:
    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context
        self.desk_at_start = context.call("desk", "version")

    def ask(self, component: str, method: str, arguments: list[Any]) -> Any:
        return self.context.call(component, method, *arguments)

    def ask_within(self, timeout: float, method: str, arguments: list[Any]) -> Any:
        return self.context.call("desk", method, *arguments, timeout=timeout)

    def relay(self, method: str, arguments: list[Any]) -> Iterator[Any]:
        yield from self.context.stream("desk", method, *arguments)

    def first_of(self, method: str, arguments: list[Any], items: int) -> list[Any]:
        stream = self.context.stream("desk", method, *arguments)
        return [item for item, _ in zip(stream, range(items), strict=False)]

    def ask_from_thread(self) -> str:
        said: list[str] = []

        def ask() -> None:
            try:
                self.context.call("desk", "version")
            except Exception as error:
                said.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return said[0]

    def caught(self, key: str) -> str:
        try:
            self.context.call("desk", "boom", key)
        except KeyError as error:
            return f"caught {type(error).__name__}"
        return "nothing"
