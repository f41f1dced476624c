"""Reference of errors_flow.noodle."""

from __future__ import annotations

from noodle_values import out


def main() -> None:
    results = {
        "zero": ("division:", "division by zero"),
        "index": ("index:", "IndexError"),
        "key": ("other:", "KeyError"),
        "value": ("other:", "ValueError"),
        "bank": ("bank:", 7, "no money"),
        "limit": ("limit:", 42, "limit is 100"),
        "plain": ("other:", "Error"),
        "nothing": ("result", "fine"),
    }
    for how, line in results.items():
        out(*line)
        out("done with", how)
    out("returned", "end")
    out("try return")
    out("finally return")
    out("try normal")
    out("after normal")
    out("finally normal")
    out("try throw")
    out("finally throw")
    out("caught thrown")
    for i in range(4):
        try:
            if i == 1:
                continue
            if i == 3:
                break
            out("body", i)
        finally:
            out("finally", i)
    out("from finally")
    out("first", "inner")
    out("inner finally")
    out("then", "second inner")
    out("outer finally")
    out("second inner")
    out("passing on", 42)
    out("as Error:", "LimitError", "limit is 100")
    for kind in (
        "DivisionError",
        "DivisionError",
        "IndexError",
        "OverflowError",
        "TypeError",
        "TypeError",
        "MatchError",
        "ValueError",
        "StackOverflowError",
        "TypeError",
        "no error",
        "Error",
    ):
        out(kind)
    out(900)


if __name__ == "__main__":
    main()
