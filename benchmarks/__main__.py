"""``python -m benchmarks NAME [--json]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

NAMES = ("call", "pipeline", "peers", "scale", "swap")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print JSON, on one line")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="peers: write a picture and a table there"
    )
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    module = importlib.import_module(f".{options.name}", __package__)
    arguments: dict[str, Any] = {}
    if options.rounds is not None:
        arguments["rounds"] = options.rounds
    if options.output is not None:
        if options.name != "peers":
            parser.error(f"{options.name} writes no files")
        arguments["output"] = options.output
    result = module.run(**arguments)
    if options.json:
        print(json.dumps(result))
    else:
        _print(result)
    return 0


def _print(result: dict[str, Any], indent: int = 0) -> None:
    width = max((len(str(key)) for key in result), default=0)
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{' ' * indent}{key}:")
            _print(value, indent + 2)
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{' ' * indent}{key:<{width}}  {shown}")


if __name__ == "__main__":
    sys.exit(main())
