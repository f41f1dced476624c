"""What the final states say was executed, in the form in which callers asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.history import Operation

#: The methods that leave a trace under their request id, by component.
COMMANDS = {
    "kv": ("put", "add", "delete"),
    "journal": ("append",),
    "counter": ("add",),
    "teller": ("transfer",),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """One execution of one command, as the component's state tells it.

    ``key`` is what commands are ordered by, empty if a component has one order
    for all; ``argument`` is all the rest of the arguments but the request id.
    """

    request_id: str
    method: str
    key: str
    argument: Any
    result: Any


def effects(component: str, state: Any) -> list[Effect]:
    """Return what was executed, in that order, by the state that ``final_state`` gives."""
    if component == "kv":
        return [Effect(*command) for command in state["log"]]
    if component == "journal":
        return [Effect(item, "append", "", None, index) for index, item in enumerate(state)]
    if component == "counter":
        return [Effect(request, "add", "", n, total) for request, n, total in state["log"]]
    return [
        Effect(request_id, "transfer", "", [src, dst, amount], result)
        for request_id, src, dst, amount, result in state
    ]


def wanted(operation: Operation) -> Effect:
    """Return the effect that a command has when it is executed once and answered as it was."""
    *arguments, request_id = operation.arguments
    key, argument = "", None
    if operation.component == "kv":
        key, *rest = arguments
        argument = rest[0] if rest else None
    elif operation.component == "counter":
        (argument,) = arguments
    elif operation.component == "teller":
        argument = arguments
    return Effect(request_id, operation.method, key, argument, operation.result)


def is_command(operation: Operation) -> bool:
    return operation.method in COMMANDS.get(operation.component, ())


def nested(operations: Sequence[Operation], final: Mapping[str, Any]) -> list[Operation]:
    """Return the calls that the teller made for those transfers, as if it had told them.

    They are made in the order of the transfers in the teller's state. What a transfer
    that is not in there has called is not known to be answered, nor in which order.
    """
    known = {e.request_id: (n, e) for n, e in enumerate(effects("teller", final.get("teller", ())))}
    calls: list[Operation] = []
    for operation in operations:
        if (operation.component, operation.method) != ("teller", "transfer"):
            continue
        src, dst, amount, request_id = operation.arguments
        place, effect = known.get(request_id, (0, None))
        results: Any = operation.result if operation.acknowledged else None
        results = effect.result if effect else results
        asked = (
            ("journal", "append", (request_id,)),
            ("kv", "add", (src, -amount, f"{request_id}/src")),
            ("kv", "add", (dst, amount, f"{request_id}/dst")),
        )
        for part, (component, method, arguments) in enumerate(asked):
            calls.append(
                Operation(
                    "teller" if effect else f"teller for {request_id}",
                    3 * place + part,
                    component,
                    method,
                    arguments,
                    operation.invoked_at_ns,
                    # That is when the teller had its answers at the latest.
                    operation.returned_at_ns if operation.acknowledged else None,
                    results[part] if results else None,
                    None,
                )
            )
    return calls
