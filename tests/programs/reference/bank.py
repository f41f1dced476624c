"""Reference of bank.noodle."""

from __future__ import annotations

from noodle_values import out

#: How far below nothing an account may go, in cents.
CREDIT = {"Ada": 0, "Grace": 5000}


def euros(cents: int) -> str:
    return f"{cents / 100:.2f} EUR"


def main() -> None:
    ledger: dict[str, list[int]] = {"Ada": [10000], "Grace": []}
    payments = [
        ("Ada", "Grace", 2550),
        ("Grace", "Ada", 7000),
        ("Grace", "Ada", 7000),
        ("Ada", "Linus", 1),
        ("Alan", "Ada", 1),
        ("Ada", "Grace", 99999),
    ]
    for giver, taker, cents in payments:
        if giver not in ledger:
            out(f"failed: no account of {giver}")
            continue
        missing = cents - sum(ledger[giver]) - CREDIT[giver]
        if missing > 0:
            out(f"refused: {giver} is short of {euros(missing)} ({missing} cents)")
            continue
        ledger[giver].append(-cents)
        if taker in ledger:
            ledger[taker].append(cents)
            out(f"{giver} paid {taker} {euros(cents)}")
        else:
            ledger[giver].append(cents)
            out(f"failed: no account of {taker}")
    out(len(payments), "attempts")
    for owner, moves in ledger.items():
        history = [f"{'+' if move > 0 else '-'} {euros(abs(move))}" for move in moves]
        out(f"{owner}: {euros(sum(moves))}", history)
    out("in all", euros(sum(map(sum, ledger.values()))))


if __name__ == "__main__":
    main()
