"""The folders of a disk and its label, which is written last: a labelled disk is a whole one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from stratum.adapters.disk_io import (
    DIRECTORY_MODE,
    FILE_MODE,
    SyncFile,
    disk_failed,
    sync_directory,
    write_all,
)
from stratum.domain.errors import DiskFailed

LABEL = "label.json"
LABEL_SIZE_MAX_BYTES = 64 * 1024
FOLDERS = [f"{number:02x}" for number in range(256)]
"""Under `shards`. All are made with the label, so no later operation makes one."""


def read_label(disk: str) -> dict[str, str] | None:
    """None if the disk has no label. Raises DiskFailed."""
    path = os.path.join(disk, LABEL)
    try:
        with open(path, "rb") as file:
            text = file.read(LABEL_SIZE_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_failed(error, path) from error
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DiskFailed(f"{path}: not a label: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise DiskFailed(f"{path}: not a label: a JSON object of strings is expected")
    return found


def write_label(disk: str, new: Mapping[str, str], sync: SyncFile) -> None:
    """Make the disk's folders and then the label, durably. Raises DiskFailed."""
    path = os.path.join(disk, LABEL)
    temporary = path + ".tmp"
    try:
        _make_folders(disk, sync)
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(temporary, flags, FILE_MODE)
        try:
            write_all(fd, [json.dumps(new, indent=1).encode()])
            sync(fd, temporary)
        finally:
            os.close(fd)
        os.rename(temporary, path)
        sync_directory(disk, sync)
    except OSError as error:
        raise disk_failed(error, error.filename or disk) from error


def _make_folders(disk: str, sync: SyncFile) -> None:
    """Make the disk's folders and everything above them, durably, top down."""
    above = os.path.abspath(disk)
    new = []
    while not os.path.isdir(above):
        new.append(above)
        above = os.path.dirname(above)
    shards = os.path.join(disk, "shards")
    inside = [os.path.join(disk, name) for name in ("staged", "segments", "shards")]
    for folder in (*reversed(new), *inside):
        os.makedirs(folder, DIRECTORY_MODE, exist_ok=True)
        sync_directory(os.path.dirname(folder), sync)
    for name in FOLDERS:
        os.makedirs(os.path.join(shards, name), DIRECTORY_MODE, exist_ok=True)
    sync_directory(shards, sync)
