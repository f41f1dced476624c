from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WritePlugin = Callable[..., Path]


@pytest.fixture
def write_plugin(tmp_path: Path) -> WritePlugin:
    """Write a manifest into a plugin path and return the folder of the version."""

    def write(
        name: str,
        version: str = "1.0.0",
        *,
        requires: dict[str, str] | None = None,
        more: str = "",
        path: str = "plugins",
        folder: str | None = None,
    ) -> Path:
        root = tmp_path / path / (folder or f"{name}/{version}")
        root.mkdir(parents=True)
        lines = [
            "[component]",
            f'name = "{name}"',
            f'version = "{version}"',
            f'entry_point = "{name}:Plugin"',
            "[requires]",
            *(f'{other} = "{versions}"' for other, versions in (requires or {}).items()),
        ]
        (root / "component.toml").write_text("\n".join(lines) + f"\n{more}\n", encoding="utf-8")
        return root

    return write
