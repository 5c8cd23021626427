"""A copy of the journal in the folder `journal` of a disk.

The folder is made on a labelled disk only: an unmounted mount point is an empty directory, and
must not be filled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

import trio

from stratum.adapters.disk_io import (
    DIRECTORY_MODE,
    FILE_MODE,
    SyncFile,
    disk_failed,
    sync_directory,
    sync_file,
    write_all,
)
from stratum.domain.errors import DiskFailed

FOLDER = "journal"
FILE_SIZE_MAX_BYTES = 256 * 1024 * 1024
"""A file that is longer is not one of ours."""

Ts = TypeVarTuple("Ts")
R = TypeVar("R")


class DirectoryArchive:
    """Implements EventArchive. `disk` is a disk's directory; `sync` is called for each fsync."""

    def __init__(self, disk: str | os.PathLike[str], *, sync: SyncFile = sync_file) -> None:
        self._disk = os.fspath(disk)
        self._folder = os.path.join(self._disk, FOLDER)
        self._sync = sync
        # A thread of its own: a disk that hangs delays no copy but this one.
        self._limiter = trio.CapacityLimiter(1)

    def describe(self) -> str:
        return self._folder

    async def names(self) -> Sequence[str]:
        return await self._in_thread(self._names_blocking)

    async def read(self, name: str) -> bytes:
        return await self._in_thread(self._read_blocking, name)

    async def write_at(self, name: str, offset: int, data: bytes) -> None:
        await self._in_thread(self._write_blocking, name, offset, data)

    async def _in_thread(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        """May be abandoned: the thread closes what it opens, and writing again does no harm."""
        return await trio.to_thread.run_sync(
            function, *args, abandon_on_cancel=True, limiter=self._limiter
        )

    def _names_blocking(self) -> list[str]:
        try:
            return sorted(os.listdir(self._folder))
        except FileNotFoundError:
            self._require_disk()
            return []
        except OSError as error:
            raise disk_failed(error, self._folder) from error

    def _read_blocking(self, name: str) -> bytes:
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                return file.read(FILE_SIZE_MAX_BYTES)
        except FileNotFoundError:
            self._require_disk()
            return b""
        except OSError as error:
            raise disk_failed(error, path) from error

    def _write_blocking(self, name: str, offset: int, data: bytes) -> None:
        path = self._path(name)
        self._require_disk()
        try:
            if not os.path.isdir(self._folder):
                os.mkdir(self._folder, DIRECTORY_MODE)
                sync_directory(self._disk, self._sync)
            is_new = not os.path.exists(path)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.ftruncate(fd, offset)
                os.lseek(fd, offset, os.SEEK_SET)
                write_all(fd, [data])
                self._sync(fd, path)
            finally:
                os.close(fd)
            if is_new:
                sync_directory(self._folder, self._sync)
        except OSError as error:
            raise disk_failed(error, path) from error

    def _path(self, name: str) -> str:
        assert name == os.path.basename(name).lstrip("."), f"not the name of a file: {name!r}"
        return os.path.join(self._folder, name)

    def _require_disk(self) -> None:
        if not os.path.exists(os.path.join(self._disk, "label.json")):
            raise DiskFailed(f"{self._disk}: missing: the disk was taken away or never labelled")
