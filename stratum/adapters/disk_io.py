"""System calls of a directory disk: blocking ones for worker threads, and those that never block.

Nothing here knows Trio. Functions raise OSError; `disk_failed` gives it its meaning.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from collections.abc import Callable, Sequence

from stratum.domain.errors import DiskFailed, DiskFull
from stratum.ports import Buffer

PARTS_PER_WRITE_MAX = 1024
"""IOV_MAX on Linux: more buffers than this make writev fail with EINVAL."""
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

SyncFile = Callable[[int, str], None]
"""Makes a file or directory durable: its descriptor and, for observers, its path."""


def sync_file(fd: int, _path: str) -> None:
    """The fsync of files and directories.

    Not fdatasync: for a directory ext4 may skip a new entry that did not change the directory's
    size, and for a new file it costs the same.
    """
    os.fsync(fd)


def datasync_file(fd: int, _path: str) -> None:
    """What a segment needs that has grown: its bytes and its length, not its times."""
    os.fdatasync(fd)


def disk_failed(error: OSError, path: str) -> DiskFailed:
    """The same trouble as a StratumError that names the path and the errno."""
    code = error.errno or errno.EIO
    kind = DiskFull if code in (errno.ENOSPC, errno.EDQUOT) else DiskFailed
    return kind(f"{path}: {os.strerror(code)} ({errno.errorcode.get(code, code)})")


def write_all(fd: int, parts: Sequence[Buffer]) -> None:
    """Write all parts, one after the other, however many the kernel takes at a time."""
    views = [memoryview(part).cast("B") for part in parts if len(part)]
    first = 0
    while first < len(views):
        written = os.writev(fd, views[first : first + PARTS_PER_WRITE_MAX])
        if not written:
            raise OSError(errno.EIO, "wrote nothing")
        while first < len(views) and written >= len(views[first]):
            written -= len(views[first])
            first += 1
        if written:
            views[first] = views[first][written:]


def read_all(fd: int, buffer: memoryview, offset: int) -> int:
    """Fill the buffer from `offset`; return how many bytes there were, fewer only at the end."""
    done = 0
    while done < len(buffer):
        count = os.preadv(fd, [buffer[done:]], offset + done)
        if not count:
            break
        done += count
    return done


def sync_directory(path: str, sync: SyncFile) -> None:
    """Make the entries of a directory durable.

    The directory is opened each time: a descriptor kept open would go on serving a disk that was
    taken away, and would keep it from being unmounted.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd, path)
    finally:
        os.close(fd)


class _Round:
    """One fsync and what came of it."""

    __slots__ = ("error", "finished")

    def __init__(self) -> None:
        self.finished = False
        self.error: OSError | None = None


class GroupSync:
    """Makes a directory durable for many threads with few fsyncs (group commit).

    An fsync covers what was in the directory when it started. So a thread that comes while one is
    running waits for the next one, which the first to wake up carries out for all who wait. A
    failure is told to everyone it concerns and never retried: after a failed fsync the kernel
    drops the dirty mark, and a second one would report a success that means nothing.
    """

    def __init__(self, path: str, sync: SyncFile) -> None:
        self._path = path
        self._sync = sync
        self._changed = threading.Condition()
        self._running = False
        self._next = _Round()

    def __call__(self) -> None:
        """Return when an fsync that started after this call has succeeded; raise OSError."""
        with self._changed:
            mine = self._next
            while self._running and not mine.finished:
                self._changed.wait()
            lead = not mine.finished
            if lead:
                self._running = True
                self._next = _Round()
        if lead:
            self._run(mine)
        if mine.error is not None:
            raise OSError(mine.error.errno, mine.error.strerror)

    def _run(self, this: _Round) -> None:
        failure: OSError | None = OSError(errno.EIO, "fsync did not return")
        try:
            sync_directory(self._path, self._sync)
            failure = None
        except OSError as error:
            failure = error
        finally:
            with self._changed:
                this.error = failure
                this.finished = True
                self._running = False
                self._changed.notify_all()


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


class CachedOpen:
    """Opens a file for reading if that needs no disk access: 4 µs instead of an 80 µs thread hop.

    openat2(2) with RESOLVE_CACHED (Linux 5.12) fails with EAGAIN where any part of the path is
    not in the kernel's cache. Whatever goes wrong, the answer is None: the blocking open, in a
    thread, then finds out the truth.
    """

    _OPENAT2 = 437
    _AT_FDCWD = -100
    _RESOLVE_CACHED = 0x20
    _UNSUPPORTED = frozenset((errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.E2BIG))
    """Old kernels, and containers whose system call filter does not know the call."""

    def __init__(self) -> None:
        self._how = _OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, self._RESOLVE_CACHED)
        self._supported = sys.platform == "linux"
        if self._supported:
            # PyDLL keeps the GIL: the call never blocks, so giving it up would only cost.
            self._syscall = ctypes.PyDLL(None, use_errno=True).syscall
            self._syscall.restype = ctypes.c_long
            self._syscall.argtypes = (
                ctypes.c_long,
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.POINTER(_OpenHow),
                ctypes.c_size_t,
            )

    def __call__(self, path: str) -> int | None:
        """A file descriptor, or None."""
        if not self._supported:
            return None
        fd: int = self._syscall(
            self._OPENAT2, self._AT_FDCWD, os.fsencode(path), self._how, ctypes.sizeof(_OpenHow)
        )
        if fd >= 0:
            return fd
        if ctypes.get_errno() in self._UNSUPPORTED:
            self._supported = False
        return None
