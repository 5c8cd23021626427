"""A small note that may be lost, and is never half there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def text_file(path: Path) -> tuple[Callable[[], str], Callable[[str], None]]:
    """Functions that read a file (empty if there is none that can be read) and replace it, which
    raises OSError."""

    def load() -> str:
        try:
            return path.read_text()
        except (OSError, ValueError):
            return ""

    def save(text: str) -> None:
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.write_text(text)
        unfinished.rename(path)

    return load, save
