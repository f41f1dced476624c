"""Write the ``.expected`` files from the reference programs beside this file.

    python tests/programs/reference/regenerate.py [--check] [NAME ...]

With ``--check`` nothing is written; the names of files that would change are
printed, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUPPORT = {"noodle_values", "regenerate"}


def output_of(name: str) -> str:
    """What reference program ``name`` prints."""
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured):
        importlib.import_module(name).main()
    return captured.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    names = options.names or sorted(p.stem for p in HERE.glob("*.py") if p.stem not in SUPPORT)
    stale = 0
    for name in names:
        target = HERE.parent / f"{name}.expected"
        expected = output_of(name)
        if target.exists() and target.read_text(encoding="utf-8") == expected:
            continue
        stale += 1
        sys.stdout.write(f"{target.name}\n")
        if not options.check:
            target.write_text(expected, encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
