"""One shard as a file: being written, and being read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple
from warnings import warn

import trio

from stratum.adapters.disk_io import (
    FILE_MODE,
    GroupSync,
    SyncFile,
    disk_failed,
    read_all,
    write_all,
)
from stratum.domain.errors import DiskFailed
from stratum.ports import Buffer

DISCARD_LIMIT_S = 5.0
"""How long a clean-up waits for a disk; what is then left is found among the staged."""

_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
_RWF_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
_NOWAIT_UNSUPPORTED = frozenset((errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS))

Ts = TypeVarTuple("Ts")
R = TypeVar("R")


class DiskWorkers:
    """The worker threads of one disk: so many for writing, so many for reading.

    `nowait_reads` says whether its file system has so far proved able to read from the page
    cache only.
    """

    def __init__(self, write_threads: int, read_threads: int) -> None:
        self._writing = trio.CapacityLimiter(write_threads)
        self._reading = trio.CapacityLimiter(read_threads)
        self.nowait_reads = bool(_RWF_NOWAIT)

    async def write(
        self, function: Callable[[*Ts], R], *args: *Ts, abandon_on_cancel: bool = False
    ) -> R:
        return await trio.to_thread.run_sync(
            function, *args, abandon_on_cancel=abandon_on_cancel, limiter=self._writing
        )

    async def read(self, function: Callable[[*Ts], R], *args: *Ts) -> R:
        return await trio.to_thread.run_sync(function, *args, limiter=self._reading)


class FileShardWriter:
    """A ShardWriter on a file in `staged`. Must be sealed or discarded."""

    def __init__(
        self, path: str, workers: DiskWorkers, sync: SyncFile, sync_staged: GroupSync
    ) -> None:
        self._path = path
        self._workers = workers
        self._sync = sync
        self._sync_staged = sync_staged
        self._fd = -1
        self._created = False
        self._ended = False

    async def append(self, parts: Sequence[Buffer]) -> None:
        self._check_open()
        await self._workers.write(self._append_blocking, parts)

    async def seal(self, parts: Sequence[Buffer]) -> None:
        """One thread hop, however many system calls."""
        self._check_open()
        await self._workers.write(self._seal_blocking, parts)

    async def discard(self) -> None:
        """Leaves the file to a later clean-up if the disk takes longer than DISCARD_LIMIT_S."""
        self._ended = True
        # Closing is quick while the file still has its name, and must not wait for a thread.
        self._close()
        if not self._created:
            return
        self._created = False
        with trio.move_on_after(DISCARD_LIMIT_S, shield=True):
            # May be abandoned: the thread holds nothing that would have to be closed.
            await self._workers.write(_unlink_quietly, self._path, abandon_on_cancel=True)

    def _append_blocking(self, parts: Sequence[Buffer]) -> None:
        try:
            self._open()
            write_all(self._fd, parts)
        except OSError as error:
            self._close()
            self._ended = True
            raise disk_failed(error, self._path) from error

    def _seal_blocking(self, parts: Sequence[Buffer]) -> None:
        self._ended = True
        try:
            self._open()
            write_all(self._fd, parts)
            self._sync(self._fd, self._path)
            self._close()
            self._sync_staged()
        except OSError as error:
            raise disk_failed(error, self._path) from error
        finally:
            self._close()

    def _open(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, _CREATE, FILE_MODE)
            self._created = True

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _check_open(self) -> None:
        if self._ended:
            raise DiskFailed(f"{self._path}: the shard is sealed, discarded or lost already")

    def __del__(self) -> None:
        if self._fd >= 0:
            self._close()
            warn(f"shard neither sealed nor discarded: {self._path}", ResourceWarning, stacklevel=2)


class FileShardReader:
    """A ShardReader on `size_bytes` bytes of a file, from `start` on. Must be closed."""

    def __init__(
        self, fd: int, path: str, size_bytes: int, workers: DiskWorkers, start: int = 0
    ) -> None:
        self._fd = fd
        self._path = path
        self._size_bytes = size_bytes
        self._workers = workers
        self._start = start
        self._reading = 0
        self._closed = False

    def size(self) -> int:
        return self._size_bytes

    async def read_at(self, offset: int, length: int) -> Buffer:
        """Returns without a checkpoint when the bytes are in the page cache."""
        if self._closed:
            raise DiskFailed(f"{self._path}: the reader is closed")
        length = min(length, self._size_bytes - offset)
        if length <= 0:
            return b""
        offset += self._start
        buffer = bytearray(length)
        done = self._read_cached(buffer, offset)
        if done < length:
            done += await self._read_rest(memoryview(buffer)[done:], offset + done)
        return buffer if done == length else memoryview(buffer)[:done]

    def read_now(self, offset: int, length: int) -> Buffer | None:
        length = min(length, self._size_bytes - offset)
        if self._closed or length <= 0:
            return None
        buffer = bytearray(length)
        return buffer if self._read_cached(buffer, offset + self._start) == length else None

    def close(self) -> None:
        """A read still under way in a thread keeps the file open until it returns: the number of
        a closed descriptor may soon be another file's."""
        self._closed = True
        if not self._reading:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def _read_cached(self, buffer: bytearray, offset: int) -> int:
        """Read what is in memory; 0 if nothing is or the file system cannot tell."""
        if not self._workers.nowait_reads:
            return 0
        try:
            return os.preadv(self._fd, [buffer], offset, _RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _NOWAIT_UNSUPPORTED:
                raise disk_failed(error, self._path) from error
            self._workers.nowait_reads = False
            return 0

    async def _read_rest(self, rest: memoryview, offset: int) -> int:
        self._reading += 1
        try:
            return await self._workers.read(read_all, self._fd, rest, offset)
        except OSError as error:
            raise disk_failed(error, self._path) from error
        finally:
            self._reading -= 1
            if self._closed:
                self.close()

    def __del__(self) -> None:
        if self._fd >= 0:
            self.close()
            warn(f"shard reader not closed: {self._path}", ResourceWarning, stacklevel=2)


def _unlink_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
