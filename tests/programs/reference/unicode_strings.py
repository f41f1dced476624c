"""Reference of unicode_strings.noodle."""

# Letters that look alike are what it is about.
# ruff: noqa: RUF001

from __future__ import annotations

from collections import Counter

from noodle_values import out


def main() -> None:
    s = "Zoë 🦊 mañana ✓"
    out(s, len(s))
    out(s[0], s[2], s[4], s[-1], s[-3])
    out(s[0:3], s[4:5], s[6:12])
    out(s[0:0] + "|", s[5:100] + "|", s[-1:] + "|", s[:3] + "|", s[:] + "|", s[-6:-2] + "|")
    out(list("añ🦊"), "añ🦊"[::-1])
    out(65, 233, 0x1F98A, "A", "é", "🦊")
    out("tiefgrün ñandú".upper(), "ÉCOLE ŻÓŁĆ".lower())
    out("日本語テキスト", 3, "本")
    for c in "→é":
        out(c, ord(c))
    for c in "añ":
        out(f"<{c}>")
    out(6, "Noodle")
    out(["ü", "🦊"], {"clé": "ключ"})
    out("a" < "é", "é" < "🦊", "z" < "é")
    out("α,β,γ".split(","), "α–β")
    out("ñan" in "mañana", "mañana".replace("a", "🦊"))
    out("[été]")
    out(False, 1, 2)
    out(dict(Counter("àbàcàb")))
    for_words = [word.lower() for word in ("Été", "Reliefpfeiler", "Noodle")]
    out(*[word == word[::-1] for word in for_words])
    out("2 foxes: 🦊🦊")


if __name__ == "__main__":
    main()
