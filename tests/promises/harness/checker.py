"""Checks a history, and the states at its end, against promises 1 to 3; pure functions.

Each check returns sentences, one for each violation; none means that all is well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from harness import register
from harness.effects import COMMANDS, Effect, effects, is_command, nested, wanted
from harness.history import Operation
from harness.mix import ACCOUNTS
from harness.register import Access

Violations = list[str]


def violations(
    operations: Sequence[Operation],
    final: Mapping[str, Any],
    *,
    errors_are_allowed: bool = False,
) -> Violations:
    """Return everything that breaks a promise.

    Args:
        operations: the history of all callers since the components were started empty.
        final: component -> its state once all callers had ended, see ``final_state``.
            What is missing there is checked as far as its answers go.
        errors_are_allowed: a call may end in an error. It may then have been executed, or
            not, but never twice.
    """
    found = check_answers(operations, errors_are_allowed=errors_are_allowed)
    found += check_adder(operations)
    found += check_ticker(operations, final.get("ticker"))
    everything = [*operations, *nested(operations, final)]
    for component in COMMANDS:
        own = [o for o in everything if o.component == component]
        if component in final:
            executed = effects(component, final[component])
            found += check_exactly_once(component, own, executed)
            found += check_order(component, own, executed)
        else:
            executed = None
        if component == "kv":
            found += check_kv(own, executed, final.get("kv"))
        elif component == "journal":
            found += check_journal(own, final.get("journal"))
        elif component == "counter":
            found += check_counter(own, executed, final.get("counter"))
    if "kv" in final and "teller" in final:
        found += check_money(operations, final)
    return found


def check_answers(
    operations: Sequence[Operation], *, errors_are_allowed: bool = False
) -> Violations:
    """Every call is answered, once, and with a result."""
    found = []
    numbers: dict[str, Counter[int]] = defaultdict(Counter)
    for operation in operations:
        numbers[operation.caller][operation.number] += 1
        if operation.returned_at_ns is None:
            found.append(f"{operation} was never answered")
        elif operation.error is not None and not errors_are_allowed:
            found.append(f"{operation} ended in an error: {operation.error}")
    for caller, times in numbers.items():
        found += [f"{caller}'s call {n} was answered {k} times" for n, k in times.items() if k > 1]
        forgotten = sorted(set(range(max(times) + 1)) - times.keys())
        found += [f"{caller}'s call {number} is not in the history" for number in forgotten]
    return found


def check_exactly_once(
    component: str, operations: Sequence[Operation], executed: Sequence[Effect]
) -> Violations:
    """What was acknowledged was executed once, as asked and as answered; all else once at most."""
    found = []
    asked = {wanted(o).request_id: o for o in operations if is_command(o)}
    times = Counter(effect.request_id for effect in executed)
    for request_id, operation in asked.items():
        if times[request_id] > 1:
            found.append(f"{operation} was executed {times[request_id]} times")
        elif not times[request_id] and operation.acknowledged:
            found.append(f"{operation} was acknowledged and is not in the state")
    for effect in executed:
        operation = asked.get(effect.request_id)
        if operation is None:
            found.append(f"{component} has executed {effect}, which nobody has asked for")
            continue
        want = wanted(operation)
        if (effect.method, effect.key, effect.argument) != (want.method, want.key, want.argument):
            found.append(f"{operation} was executed as {effect}")
        elif operation.acknowledged and effect.result != want.result:
            found.append(
                f"{operation} was answered {want.result!r}, and in the state that is "
                f"{effect.result!r}"
            )
    return found


def check_order(
    component: str, operations: Sequence[Operation], executed: Sequence[Effect]
) -> Violations:
    """Of one caller and key, commands were executed in the order they were made.

    And none was executed before one that had been answered when it was made.
    """
    found = []
    asked = {wanted(o).request_id: o for o in operations if is_command(o)}
    latest: dict[tuple[str, str], Operation] = {}
    youngest: Operation | None = None
    for effect in executed:
        operation = asked.get(effect.request_id)
        if operation is None:
            continue
        before = latest.setdefault((operation.caller, effect.key), operation)
        if operation.number < before.number:
            found.append(f"{operation} was executed after {before}")
        else:
            latest[operation.caller, effect.key] = operation
        if youngest is not None and operation.acknowledged:
            assert operation.returned_at_ns is not None
            if operation.returned_at_ns < youngest.invoked_at_ns:
                found.append(
                    f"{operation} was executed after {youngest}, which was made when it had "
                    "been answered"
                )
        if youngest is None or operation.invoked_at_ns > youngest.invoked_at_ns:
            youngest = operation
    return found


def check_kv(
    operations: Sequence[Operation], executed: Sequence[Effect] | None, state: Any
) -> Violations:
    """Each key is a linearizable register, and the state is what its commands make of it."""
    accesses: dict[str, list[Access]] = defaultdict(list)
    known = None if executed is None else {effect.request_id: effect for effect in executed}
    for operation in operations:
        if operation.method in (*COMMANDS["kv"], "get"):
            access = _access(operation, known)
            if access is not None:
                accesses[operation.arguments[0]].append(access)
    found = []
    if executed is not None:
        values: dict[str, int] = {}
        for effect in executed:
            value, result = register.apply(effect.method, effect.argument, values.get(effect.key))
            if result != effect.result:
                found.append(f"in the state of kv {effect} should have given {result!r}")
            if value is None:
                values.pop(effect.key, None)
            else:
                values[effect.key] = value
        for key in sorted(values.keys() | state["values"].keys()):
            if values.get(key) != state["values"].get(key):
                found.append(
                    f"kv holds {state['values'].get(key)!r} under {key!r}, and what it has "
                    f"executed makes {values.get(key)!r}"
                )
            accesses[key].append(_last_read(key, state["values"].get(key), operations))
    for key, own in accesses.items():
        found += _explained(f"kv's {key!r}", own)
    return found


def check_counter(
    operations: Sequence[Operation], executed: Sequence[Effect] | None, state: Any
) -> Violations:
    """The counter is one linearizable register, and its total what was added."""
    known = None if executed is None else {effect.request_id: effect for effect in executed}
    # Nobody has added yet: a register that was never written holds None.
    accesses = [Access("", 0, "put", 0, None, -1, -1, "the first total")]
    accesses += [access for o in operations if (access := _access(o, known)) is not None]
    found = []
    if executed is not None:
        total = 0
        for effect in executed:
            total += effect.argument
            if total != effect.result:
                found.append(f"in the state of counter {effect} should have given {total}")
        if state["total"] != total:
            found.append(f"counter holds {state['total']}, and what it has executed makes {total}")
        accesses.append(_last_read("counter", state["total"], operations))
    return found + _explained("the counter", accesses)


def check_journal(operations: Sequence[Operation], items: Sequence[str] | None) -> Violations:
    """Indexes are given once, and whoever reads sees all that was acknowledged, in order."""
    found = []
    appends = [o for o in operations if o.method == "append"]
    by_index: dict[int, Operation] = {}
    # The teller repeats what its callers were told.
    for operation in appends:
        if operation.acknowledged:
            other = by_index.setdefault(operation.result, operation)
            if other is not operation:
                found.append(f"{operation} was given index {operation.result}, as was {other}")
    invoked = {o.arguments[0]: o.invoked_at_ns for o in appends}
    reads = [o for o in operations if o.method == "items" and o.acknowledged]
    complete = items if items is not None else max((r.result for r in reads), key=len, default=[])
    acknowledged = sorted(
        (o.returned_at_ns, o.result)
        for o in appends
        if o.acknowledged and o.returned_at_ns is not None
    )
    reads.sort(key=lambda o: o.invoked_at_ns)
    passed, longest = 0, -1
    for read in reads:
        if list(complete[: len(read.result)]) != read.result:
            found.append(f"{read} saw what is not the beginning of what the journal holds")
            continue
        while passed < len(acknowledged) and acknowledged[passed][0] < read.invoked_at_ns:
            longest = max(longest, acknowledged[passed][1])
            passed += 1
        if longest >= len(read.result):
            found.append(f"{read} saw {len(read.result)} items when index {longest} had been given")
        if read.result and invoked.get(read.result[-1], 0) > (read.returned_at_ns or 0):
            found.append(f"{read} saw {read.result[-1]!r}, which was not yet asked for")
    return found


def check_adder(operations: Sequence[Operation]) -> Violations:
    """Every caller got the answer to its own question."""
    return [
        f"{o} was answered {o.result!r}"
        for o in operations
        if (o.component, o.method) == ("adder", "add")
        and o.acknowledged
        and o.result != sum(o.arguments)
    ]


def check_ticker(operations: Sequence[Operation], positions: Any) -> Violations:
    """Streams came whole, in order, each item once; and the state says how far they went."""
    found = []
    ended: dict[str, Operation] = {}
    for operation in sorted(operations, key=lambda o: (o.caller, o.number)):
        if operation.component != "ticker":
            continue
        if operation.method == "ticks":
            items = expected_items(*operation.arguments)
            # What came before an error is right as far as it goes.
            got = operation.result or []
            if got != (items if operation.acknowledged else items[: len(got)]):
                found.append(f"{operation} sent {got!r}, not {items!r}")
            if operation.acknowledged:
                ended[operation.arguments[0]] = operation
        elif operation.acknowledged and operation.arguments[0] in ended:
            items_sent = ended[operation.arguments[0]].arguments[1]
            if operation.result != items_sent:
                found.append(f"{operation} was answered {operation.result}, not {items_sent}")
    if positions is not None:
        asked = {o.arguments[0]: o for o in operations if o.method == "ticks"}
        for stream_id, operation in asked.items():
            sent, position = len(operation.result or []), positions.get(stream_id, 0)
            # Of one that ended in an error there may be items that were not sent.
            if position < sent or (operation.acknowledged and position > sent):
                found.append(f"{operation} sent {sent} items, and in the state that is {position}")
        found += [f"nobody has asked for {s!r} of ticker" for s in positions if s not in asked]
    return found


def expected_items(stream_id: str, n: int) -> list[list[int]]:
    """The items of ``ticker.ticks(stream_id, n)``."""
    items: list[list[int]] = []
    value = 0
    for position in range(n):
        value = (value * 31 + position + len(stream_id)) % 1_000_003
        items.append([position, value])
    return items


def check_money(operations: Sequence[Operation], final: Mapping[str, Any]) -> Violations:
    """Transfers move money and make none, unless they ended in an error half-way."""
    found = []
    executed = {effect.request_id: effect for effect in effects("kv", final["kv"])}
    lines = set(final.get("journal", ()))
    done = {effect.request_id for effect in effects("teller", final["teller"])}
    owed = 0
    for operation in operations:
        if (operation.component, operation.method) != ("teller", "transfer"):
            continue
        request_id = operation.arguments[-1]
        left, arrived = (executed.get(f"{request_id}/{end}") for end in ("src", "dst"))
        parts = (left is not None, arrived is not None)
        if "journal" in final:
            parts += (request_id in lines,)
        if any(parts) and not all(parts):
            if operation.error is None or request_id in done:
                found.append(f"{operation} was half executed: {left}, {arrived}")
            owed += operation.arguments[2] * ((arrived is not None) - (left is not None))
        elif request_id in done and not all(parts):
            found.append(f"{operation} is in the state of teller, and has had no effect")
    balance = sum(final["kv"]["values"].get(account, 0) for account in ACCOUNTS)
    if balance != owed:
        found.append(f"the accounts hold {balance} in all, not {owed}")
    return found


# -- registers ---------------------------------------------------------------------------


def _access(operation: Operation, known: Mapping[str, Effect] | None) -> Access | None:
    """Return the access that a call is; None if it certainly had no consequence.

    Without an answer the state decides, if there is one, whether it was executed.
    """
    method = {"total": "get"}.get(operation.method, operation.method)
    if method not in ("put", "add", "delete", "get"):
        return None
    result, happened = operation.result, False
    argument = None
    if is_command(operation):
        command = wanted(operation)
        argument = command.argument
        if not operation.acknowledged and known is not None:
            effect = known.get(command.request_id)
            if effect is None:
                return None
            result, happened = effect.result, True
    elif not operation.acknowledged:
        return None
    return Access(
        operation.caller,
        operation.number,
        method,
        argument,
        result,
        operation.invoked_at_ns,
        operation.returned_at_ns if operation.acknowledged else None,
        str(operation),
        happened,
    )


def _last_read(name: str, value: Any, operations: Sequence[Operation]) -> Access:
    last_ns = max((o.returned_at_ns or o.invoked_at_ns for o in operations), default=0)
    label = f"the last look at {name}"
    return Access("", 0, "get", None, value, last_ns + 1, last_ns + 2, label)


def _explained(what: str, accesses: Sequence[Access]) -> Violations:
    access = register.unexplained(accesses)
    if access is None:
        return []
    return [f"no order of the calls explains {what}: {access.label} gave {access.result!r}"]
