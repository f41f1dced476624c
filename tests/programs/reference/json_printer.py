"""Reference of json_printer.noodle."""

from __future__ import annotations

import json

from noodle_values import out

ORDER = {
    "id": 17,
    "customer": {"name": 'Ann "A" Lee', "vip": True, "email": None},
    "items": [{"name": "tea\n(green)", "price": 4.5}, {"name": "caf\\é", "price": -2.0}],
    "notes": [],
    "extra": {},
    "grid": [[1, 2], [3]],
}


def refused(wanted: str, at: int) -> None:
    out("JsonError:", f"{wanted} expected at {at}", at)


def main() -> None:
    out(json.dumps(ORDER, indent=2, ensure_ascii=False))
    out(True, True)
    out(json.loads("[1, 2.5e1, -3]"))
    out(json.loads(' {"a": [true, false, null]} '))
    refused(",", len("[1 "))
    refused(":", len('{"a"'))
    refused("true", len("["))
    refused('"', len('"open'))
    refused("a value", 0)
    refused("a value", len('{"k": '))


if __name__ == "__main__":
    main()
