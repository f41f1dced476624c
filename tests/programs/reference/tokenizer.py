"""Reference of tokenizer.noodle."""

from __future__ import annotations

import re
from dataclasses import dataclass

from noodle_values import Wrapped, out, text

PATTERN = re.compile(
    r"(?P<Number>\d+(?:\.\d*)?)|(?P<Word>[A-Za-z_][A-Za-z_0-9]*)|\"(?P<Text>[^\"\n]*)\""
    r"|(?P<Open>\"[^\"\n]*)|(?P<Symbol>==|<=|>=|->|[-+*/=<>()])|(?P<Space>[ \t]+)|(?P<Other>.)"
)


@dataclass
class Token:
    kind: Wrapped
    line: int
    column: int


def tokens(source: str) -> list[Token] | str:
    found = []
    for number, line in enumerate(source.split("\n"), 1):
        for match in PATTERN.finditer(line):
            kind = match.lastgroup or ""
            word = match[kind]
            if kind == "Other":
                return f'error in line {number} - what is "{word}"?'
            if kind == "Open":
                return f"error in line {number} - a text has no end: {word[1:]}"
            if kind != "Space":
                value = float(word) if kind == "Number" else word
                found.append(Token(Wrapped(f"Kind.{kind}", (value,)), number, match.start() + 1))
    return found


def described(kind: Wrapped) -> str:
    value = kind.payload[0]
    if kind.name == "Kind.Number":
        return f"number {text(value)}"
    if kind.name == "Kind.Word":
        return f"{'keyword' if value in ('if', 'then', 'print') else 'name'} {value}"
    if kind.name == "Kind.Text":
        return f"text of {len(str(value))}" if value else "empty text"
    return f"symbol {value}"


def main() -> None:
    for source in (
        'total = 3 + 41.50\nif total >= x1 then\n\tprint("ok, go")',
        'a->b "" == 0',
        "fine\nnot @ all",
        '\n\nx = "open\ny',
    ):
        found = tokens(source)
        if isinstance(found, str):
            out(found)
            continue
        for token in found:
            out(f"{token.line}:{token.column} {described(token.kind)}")
    out(tokens("n = 1"))


if __name__ == "__main__":
    main()
