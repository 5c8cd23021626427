"""Small files that must be whole or not there: keys, credentials, the price list.

A file that is merely written is empty after a power cut, and the server that finds it so does not
start.
"""

from __future__ import annotations

import os
from pathlib import Path

from stratum.domain.errors import InvalidConfig

PRIVATE = 0o600
"""Only the owner may read it."""
PUBLIC = 0o644


def write_durably(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Write a file, new or in the place of another: whole and synced, or as before. Raises
    InvalidConfig."""
    unfinished = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        unfinished.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InvalidConfig(f"{path} can't be written: {error}") from error
