"""What is on a disk when it is first used: the index brought up to the end of the segments.

Only what was appended after the index's position is read. Without an index all segments are.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from stratum.adapters.disk_io import DIRECTORY_MODE, SyncFile, disk_failed, sync_directory
from stratum.adapters.disk_label import read_label
from stratum.adapters.segment_format import (
    SEGMENT_HEADER_BYTES,
    Place,
    SegmentScan,
    parse_segment_header,
)
from stratum.adapters.segment_index import SegmentIndex
from stratum.adapters.segment_log import segment_path
from stratum.domain.errors import DiskFailed, ShardCorrupt

_SEGMENT_NAME = re.compile(r"(\d{8})\.seg").fullmatch

log = logging.getLogger("stratum.disk")


@dataclass
class Loaded:
    """What is there."""

    index: SegmentIndex
    observer: bool
    sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of each segment, by number."""
    end: tuple[Place, int] | None = None
    """Where the last segment goes on, and its salt; None if that can't be."""
    last: int = 0
    scanned: dict[int, int] = field(default_factory=dict)
    """Up to where segments were read."""


def load(
    folder: str, index_folder: Path | None, sync_folder: SyncFile, *, observer: bool
) -> Loaded:
    """Open the index and bring it up to date; blocks. Raises DiskFailed, sqlite3.Error.

    A torn end is cut off, unless by an observer: its writer may just be there.
    """
    numbers = _segments(folder, sync_folder, may_make=not observer)
    disk = _disk_id(folder)
    path = index_folder / f"{disk}.db" if index_folder is not None and disk else None
    index = SegmentIndex(path, disk, read_only=observer)
    loaded = Loaded(index, observer)
    for lost in set(index.live) - set(numbers):
        if index.live[lost] > 0 and not observer:
            log.error("segment %d of %s is gone", lost, folder)
        index.forget_segment(lost)
    position = index.position
    loaded.last = max([position.segment, *numbers])
    for number in numbers:
        path_of = segment_path(folder, number)
        loaded.sizes[number] = os.stat(path_of).st_size
        if number < position.segment:
            continue
        offset = position.start if number == position.segment else SEGMENT_HEADER_BYTES
        _read_segment(loaded, folder, number, offset)
    return loaded


def refresh(loaded: Loaded, folder: str) -> None:
    """Read what was appended since; blocks. Raises DiskFailed."""
    for number in _segments(folder, lambda fd, path: None, may_make=False):
        if number >= loaded.last:
            offset = loaded.scanned.get(number, SEGMENT_HEADER_BYTES)
            _read_segment(loaded, folder, number, offset)
            loaded.last = number


def _segments(folder: str, sync_folder: SyncFile, *, may_make: bool) -> list[int]:
    """Numbers of the segments. Stores from before there were any have no folder for them."""
    try:
        found = [_SEGMENT_NAME(name) for name in os.listdir(folder)]
    except FileNotFoundError as error:
        disk = os.path.dirname(folder)
        if not os.path.isdir(os.path.join(disk, "shards")):
            gone = f"{folder}: missing: the disk was taken away or never labelled"
            raise DiskFailed(gone) from error
        if may_make:
            try:
                os.mkdir(folder, DIRECTORY_MODE)
                sync_directory(disk, sync_folder)
            except OSError as failure:
                raise disk_failed(failure, folder) from failure
        return []
    except OSError as error:
        raise disk_failed(error, folder) from error
    return sorted(int(match[1]) for match in found if match)


def _disk_id(folder: str) -> str:
    """From the disk's label; empty if it has none that can be a file name."""
    try:
        found = (read_label(os.path.dirname(folder)) or {}).get("disk_id", "")
    except DiskFailed:
        return ""
    return found if re.fullmatch(r"[0-9a-f]{1,64}", found) else ""


def _read_segment(loaded: Loaded, folder: str, number: int, offset: int) -> None:
    """Apply the records from `offset` on."""
    path = segment_path(folder, number)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # compacted away meanwhile
    except OSError as error:
        raise disk_failed(error, path) from error
    try:
        _read_open_segment(loaded, fd, path, number, offset)
    except OSError as error:
        raise disk_failed(error, path) from error
    finally:
        os.close(fd)


def _read_open_segment(loaded: Loaded, fd: int, path: str, number: int, offset: int) -> None:
    size = os.fstat(fd).st_size
    loaded.end = None

    def read(at: int, length: int) -> bytes:
        return os.pread(fd, length, at)

    try:
        salt = parse_segment_header(read(0, SEGMENT_HEADER_BYTES), number)
    except ShardCorrupt as error:
        log.error("%s is not read: %s", path, error)
        return
    scan = SegmentScan(read, number, size, offset=min(offset, size))
    for record in scan:
        loaded.index.apply(record)
    loaded.scanned[number] = scan.end
    if scan.skipped:
        log.warning("%s: %d bytes are no records", path, scan.skipped)
    if scan.end == size >= offset:
        loaded.end = Place(number, size), salt
    elif not loaded.observer and scan.end < size:
        log.warning("%s: a torn end of %d bytes is cut off", path, size - scan.end)
        with suppress(OSError):  # on a read-only disk it stays, and nothing is written behind it
            os.truncate(path, scan.end)
            loaded.sizes[number] = scan.end
