"""Another version of a module of the same name."""

from __future__ import annotations


class Desk:
    def version(self) -> str:
        return "2.0.0"
