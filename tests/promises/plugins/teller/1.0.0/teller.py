"""Moves money between accounts in kv, with a line in journal for each transfer."""

from __future__ import annotations

from typing import Any

from hookspecs import Context, hookimpl, query


class Teller:
    """State, schema 1: the list of transfers.

    A transfer is ``[request_id, src, dst, amount, result]``, and its result, which is
    what the caller gets, ``[index in journal, balance of src, balance of dst, time in s,
    random number]``.
    """

    def __init__(self) -> None:
        self.transfers: list[list[Any]] = []

    @hookimpl
    def start(self, context: Context) -> None:
        self.context = context

    @hookimpl
    def snapshot(self) -> object:
        return self.transfers

    @hookimpl
    def restore(self, state: Any) -> None:
        self.transfers = state

    def transfer(self, src: str, dst: str, amount: int, request_id: str) -> list[Any]:
        """Return the result of the transfer, see above."""
        context = self.context
        began_at_s = context.time_s()
        index = context.call("journal", "append", request_id)
        left = context.call("kv", "add", src, -amount, f"{request_id}/src", key=src)
        reference = context.random.random()
        arrived = context.call("kv", "add", dst, amount, f"{request_id}/dst", key=dst)
        result = [index, left, arrived, began_at_s, reference]
        self.transfers.append([request_id, src, dst, amount, result])
        return result

    @query
    def history(self) -> list[list[Any]]:
        """The state as in schema 1."""
        return self.transfers

    @query
    def version(self) -> str:
        return self.context.version
