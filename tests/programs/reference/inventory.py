"""Reference of inventory.noodle."""

from __future__ import annotations

from dataclasses import dataclass

from noodle_values import out


@dataclass
class Item:
    name: str
    price: int
    shelf: str | None = None


def money(cents: int) -> str:
    return f"{cents / 100:.2f} EUR"


def main() -> None:
    prices = {"pen": 135, "book": 2495, "lamp": 5900}
    counts = {"pen": 120, "book": 3, "lamp": 1}
    for name, price in prices.items():
        out(f"{name}: {counts[name]} at {money(price)}")
    out("worth", money(sum(prices[name] * counts[name] for name in prices)))
    ordered = []
    for name, wanted in [
        ("pen", 10),
        ("book", 2),
        ("book", 2),
        ("lamp", 1),
        ("lamp", 1),
        ("desk", 1),
    ]:
        left = counts.get(name, 0)
        if wanted > left:
            missing = f"({wanted - left} missing)"
            out("sorry:", f"{wanted} of {name} wanted, {left} left", missing)
            continue
        counts[name] -= wanted
        ordered.append((name, wanted))
        out("ordered", name)
    for name, count in ordered:
        out(f"  {count} x {name} = {money(prices[name] * count)}")
    net = sum(prices[name] * count for name, count in ordered)
    out("  net", money(net), "tax", money(int(net * 0.19 + 0.5)))
    out("left:", [*counts.values(), 0])
    out("worth", money(sum(prices[name] * counts[name] for name in prices)))
    out(3, 3, True)
    out("-0.05 EUR", 25, "EUR")
    out(Item("cup", 300), True)
    out("OutOfStock", 0)


if __name__ == "__main__":
    main()
