"""``python -m benchmarks NAME [--json]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any

NAMES = ("call", "pipeline")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print JSON, on one line")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    module = importlib.import_module(f".{options.name}", __package__)
    result = module.run(**({"rounds": options.rounds} if options.rounds else {}))
    if options.json:
        print(json.dumps(result))
    else:
        _print(result)
    return 0


def _print(result: dict[str, Any], indent: int = 0) -> None:
    width = max(len(str(key)) for key in result)
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{' ' * indent}{key}:")
            _print(value, indent + 2)
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{' ' * indent}{key:<{width}}  {shown}")


if __name__ == "__main__":
    sys.exit(main())
