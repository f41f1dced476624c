"""What a caller asks for: an endless mix of calls on keys of its own and on shared ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

#: Both ends of every transfer are among these, and nobody else changes them.
ACCOUNTS = tuple(f"account/{letter}" for letter in "abcd")
#: Items of one stream.
STREAM_ITEMS = 12
# A whole journal is large: it is read this rarely.
_WHOLE_SHARE = 0.02


class Request(NamedTuple):
    """One call to make; ``key`` is the key that it is routed by."""

    component: str
    method: str
    arguments: tuple[Any, ...]
    key: str | None = None


class Mix:
    """The calls of one caller.

    Args:
        caller: its name; request ids are ``caller#number``.
        index: its number among all callers, from 0: it makes the values unique.
        components: those to call, in equal shares.
        seed: the same one gives the same calls.
    """

    def __init__(self, caller: str, index: int, components: Sequence[str], seed: int) -> None:
        self._caller = caller
        self._base = (index + 1) * 1_000_000_000
        self._components = tuple(components)
        self._random = random.Random(f"{seed}/{caller}")
        self._last_stream = ""

    def request(self, number: int) -> Request:
        """The call to make as the caller's ``number``-th."""
        component = self._random.choice(self._components)
        make = getattr(self, f"_{component}")
        request: Request = make(number, f"{self._caller}#{number}")
        return request

    def _kv(self, number: int, request_id: str) -> Request:
        choose = self._random.choice
        key = choose((f"{self._caller}/cell", "shared/cell", "shared/sum", "shared/mixed"))
        writes = {"cell": ("put", "put", "delete"), "sum": ("add",), "mixed": ("put", "add")}
        method = choose(("get", choose(writes[key.partition("/")[2]])))
        if method == "get":
            # Transfers change the accounts; whoever reads them sees what kv was made to do.
            key = choose((key, *ACCOUNTS)) if "teller" in self._components else key
            return Request("kv", "get", (key,), key)
        if method == "delete":
            return Request("kv", "delete", (key, request_id), key)
        argument = self._base + number if method == "put" else 1 + number
        return Request("kv", method, (key, argument, request_id), key)

    def _journal(self, number: int, request_id: str) -> Request:
        if self._random.random() < _WHOLE_SHARE:
            return Request("journal", "items", ())
        return Request("journal", "append", (request_id,))

    def _counter(self, number: int, request_id: str) -> Request:
        if self._random.random() < 0.3:
            return Request("counter", "total", ())
        return Request("counter", "add", (1 + number, request_id))

    def _adder(self, number: int, request_id: str) -> Request:
        return Request("adder", "add", (self._base, number))

    def _teller(self, number: int, request_id: str) -> Request:
        source, target = self._random.sample(ACCOUNTS, 2)
        amount = self._random.randint(1, 1000)
        return Request("teller", "transfer", (source, target, amount, request_id), source)

    def _ticker(self, number: int, request_id: str) -> Request:
        if self._last_stream and self._random.random() < 0.5:
            return Request("ticker", "position", (self._last_stream,))
        self._last_stream = request_id
        return Request("ticker", "ticks", (request_id, STREAM_ITEMS))
