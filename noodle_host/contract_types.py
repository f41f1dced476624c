"""The types that results decode to, by the contract of a component's kind."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from typing import Any

from hookspecs.contracts import load_contract
from hookspecs.markers import SafePoint

from .router import codec
from .worker.signature import NO_DEFAULT, item_type, union_members

Decode = Callable[[Any], Any]


class ContractTypes:
    """Makes each decoder once."""

    def __init__(self) -> None:
        self._by_type: dict[Any, Decode] = {}
        self._by_method: dict[tuple[str, str], Decode] = {}

    def decoder(self, result_type: Any) -> Decode:
        """A decoder for a type that the caller asks for."""
        try:
            known = self._by_type.get(result_type)
        except TypeError:
            # Not hashable, so not remembered.
            return codec.decoder_for(result_type).decode
        if known is None:
            known = self._by_type[result_type] = codec.decoder_for(result_type).decode
        return known

    def contract_decoder(self, kind: str, method: str) -> Decode:
        """A decoder for what the contract says, or for builtins where it says nothing."""
        known = self._by_method.get((kind, method))
        if known is None:
            wanted = _contract_type(kind, method)
            known = self._by_method[kind, method] = self.decoder(wanted)
        return known


def _contract_type(kind: str, method: str) -> Any:
    contract = load_contract(kind)
    function = getattr(contract, method, None)
    if function is None:
        return Any
    result = typing.get_type_hints(function).get("return", Any)
    item = item_type(result)
    if item is NO_DEFAULT:
        return result
    sent = [member for member in union_members(item) if member != SafePoint]
    return functools.reduce(lambda union, member: union | member, sent)
