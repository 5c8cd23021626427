"""A disk that is a directory of a local file system.

    PATH/label.json        who this disk is; written last, so that a labelled disk is a whole one
    PATH/staged/NAME       shards being written, or durable and not yet published
    PATH/shards/ab/NAME    published shards; `ab` are the last two characters of the name

The folder comes from the *end* of a name because names begin with the time: the first two digits
of a day's shards are all the same. All 256 folders are made with the label, so no later operation
creates a directory, and a folder that is missing means that the disk was taken away (an unmounted
mount point is an empty directory). Nothing is ever created in its place.

**Durability.** A sealed shard is durable by fsync of the file and then of `staged`, which all
seals that run at the same time share. Publishing renames without fsync: a power cut may put a
shard back into `staged`, and both places are looked up. Deleting does not fsync either: a shard
that comes back is garbage to an audit. The file system must keep a rename atomic through a crash,
as ext4, XFS and Btrfs do.

Replacing a shard (a repair) does fsync, both folders: what is recorded as repaired must stay so.

**Threads.** Whatever may block runs in worker threads, a bounded number per disk, so that a slow
disk delays nobody else; reads have their own, so as not to queue behind fsyncs. Cancellation waits
for a thread that has started (only `discard` has a time limit): no file descriptor is orphaned.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

import trio

from stratum.adapters.disk_io import (
    DIRECTORY_MODE,
    FILE_MODE,
    CachedOpen,
    GroupSync,
    SyncFile,
    disk_failed,
    sync_directory,
    sync_file,
    write_all,
)
from stratum.adapters.disk_shards import DiskWorkers, FileShardReader, FileShardWriter
from stratum.domain.errors import DiskFailed, ShardNotFound
from stratum.ports import DiskUsage

WRITE_THREADS_PER_DISK = 16
"""Also the most seals that share one fsync of `staged`."""
READ_THREADS_PER_DISK = 8
LABEL_SIZE_MAX_BYTES = 64 * 1024

_FOLDERS = [f"{number:02x}" for number in range(256)]
_NAME = re.compile(r"[0-9a-z][0-9a-z.-]{0,125}[0-9a-f]{2}").fullmatch
_READ = os.O_RDONLY | os.O_CLOEXEC


class DirectoryDisk:
    """A ShardStore on a directory.

    `sync(fd, path)` is called for every fsync. Names are lower-case letters, digits, `.` and `-`,
    and end in two hexadecimal digits; another name is a ValueError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        write_threads: int = WRITE_THREADS_PER_DISK,
        read_threads: int = READ_THREADS_PER_DISK,
        sync: SyncFile = sync_file,
    ) -> None:
        self.path = os.fspath(path)
        self._staged = os.path.join(self.path, "staged")
        self._shards = os.path.join(self.path, "shards")
        self._label = os.path.join(self.path, "label.json")
        self._sync = sync
        self._sync_staged = GroupSync(self._staged, sync)
        self._workers = DiskWorkers(write_threads, read_threads)
        self._open_cached = CachedOpen()
        self._publishing = trio.Lock()
        self._batch: _PublishBatch | None = None

    def __repr__(self) -> str:
        return f"DirectoryDisk({self.path!r})"

    def create(self, name: str) -> FileShardWriter:
        path = self._staged_path(name)
        return FileShardWriter(path, self._workers, self._sync, self._sync_staged)

    async def publish(self, name: str) -> None:
        """Calls that come while others are being published share the next thread hop."""
        self._published_path(name)
        await trio.lowlevel.checkpoint_if_cancelled()
        batch = self._batch or _PublishBatch()
        batch.add(name)
        # Shielded: others wait for this batch, and it takes a few renames only.
        with trio.CancelScope(shield=True):
            if batch is self._batch:
                await batch.done.wait()
            else:
                await self._publish_batch(batch)
        error = batch.outcomes[name]
        if error is not None:
            raise type(error)(*error.args)

    async def replace(self, staged: str, name: str) -> None:
        self._staged_path(staged), self._published_path(name)
        async with self._publishing:  # a publish under way must not put the old shard back
            await self._workers.write(self._replace_blocking, staged, name)

    async def open(self, name: str) -> FileShardReader:
        path = self._published_path(name)
        fd = self._open_cached(path)
        if fd is None:
            fd = await self._workers.read(self._open_blocking, name)
        try:
            size_bytes = os.fstat(fd).st_size
        except OSError as error:
            os.close(fd)
            raise disk_failed(error, path) from error
        return FileShardReader(fd, path, size_bytes, self._workers)

    async def delete(self, name: str) -> None:
        await self._workers.write(self._delete_blocking, name)

    async def staged(self) -> Sequence[str]:
        """Also names shards that are being written right now."""
        return await self._workers.read(self._list_blocking, self._staged)

    async def names(self) -> AsyncIterator[str]:
        for folder in _FOLDERS:
            path = os.path.join(self._shards, folder)
            for name in await self._workers.read(self._list_blocking, path):
                yield name

    async def usage(self) -> DiskUsage:
        return await self._workers.read(self._usage_blocking)

    async def label(self, new: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
        if new is not None:
            await self._workers.write(self._write_label_blocking, dict(new))
        return await self._workers.read(self._read_label_blocking)

    async def _publish_batch(self, batch: _PublishBatch) -> None:
        self._batch = batch
        try:
            async with self._publishing:
                self._batch = None
                await self._workers.write(self._rename_all, batch.outcomes)
        finally:
            batch.done.set()

    # -- what worker threads do -----------------------------------------------------------------
    def _rename_all(self, outcomes: dict[str, DiskFailed | ShardNotFound | None]) -> None:
        for name in outcomes:
            try:
                self._rename(name)
            except (DiskFailed, ShardNotFound) as error:
                outcomes[name] = error
            else:
                outcomes[name] = None

    def _rename(self, name: str) -> None:
        path = self._published_path(name)
        try:
            os.rename(self._staged_path(name), path)
        except FileNotFoundError:
            if not os.path.exists(path):
                raise self._missing(path) from None
        except OSError as error:
            raise disk_failed(error, path) from error

    def _replace_blocking(self, staged: str, name: str) -> None:
        path = self._published_path(name)
        try:
            os.rename(self._staged_path(staged), path)
            with suppress(FileNotFoundError):
                os.unlink(self._staged_path(name))
            sync_directory(os.path.dirname(path), self._sync)
            self._sync_staged()
        except FileNotFoundError:
            raise self._missing(path) from None
        except OSError as error:
            raise disk_failed(error, path) from error

    def _open_blocking(self, name: str) -> int:
        published = self._published_path(name)
        # The second look among the published finds what was published after the first.
        for path in (published, self._staged_path(name), published):
            try:
                return os.open(path, _READ)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise disk_failed(error, path) from error
        raise self._missing(published)

    def _delete_blocking(self, name: str) -> None:
        published = self._published_path(name)
        found = False
        # In this order no publish can slip through: shards move from staged to published only.
        for path in (self._staged_path(name), published):
            try:
                os.unlink(path)
                found = True
            except FileNotFoundError:
                pass
            except OSError as error:
                raise disk_failed(error, path) from error
        if not found and isinstance(missing := self._missing(published), DiskFailed):
            raise missing

    def _list_blocking(self, path: str) -> list[str]:
        try:
            return [name for name in os.listdir(path) if _NAME(name)]
        except FileNotFoundError as error:
            raise self._gone(path) from error
        except OSError as error:
            raise disk_failed(error, path) from error

    def _usage_blocking(self) -> DiskUsage:
        try:
            device = os.stat(self._shards).st_dev
            space = os.statvfs(self._shards)
        except FileNotFoundError as error:
            raise self._gone(self._shards) from error
        except OSError as error:
            raise disk_failed(error, self._shards) from error
        # f_bavail, not f_bfree: what is reserved for root is not ours to fill.
        return DiskUsage(
            total_bytes=space.f_blocks * space.f_frsize,
            free_bytes=space.f_bavail * space.f_frsize,
            device=device,
        )

    def _read_label_blocking(self) -> dict[str, str] | None:
        try:
            with open(self._label, "rb") as file:
                text = file.read(LABEL_SIZE_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_failed(error, self._label) from error
        try:
            found = json.loads(text)
        except ValueError as error:
            raise DiskFailed(f"{self._label}: not a label: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise DiskFailed(f"{self._label}: not a label: a JSON object of strings is expected")
        return found

    def _write_label_blocking(self, new: dict[str, str]) -> None:
        temporary = self._label + ".tmp"
        try:
            self._make_folders()
            flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
            fd = os.open(temporary, flags, FILE_MODE)
            try:
                write_all(fd, [json.dumps(new, indent=1).encode()])
                self._sync(fd, temporary)
            finally:
                os.close(fd)
            os.rename(temporary, self._label)
            sync_directory(self.path, self._sync)
        except OSError as error:
            raise disk_failed(error, error.filename or self.path) from error

    def _make_folders(self) -> None:
        """Make the disk's folders and everything above them, durably, top down."""
        above = os.path.abspath(self.path)
        new = []
        while not os.path.isdir(above):
            new.append(above)
            above = os.path.dirname(above)
        for folder in (*reversed(new), self._staged, self._shards):
            os.makedirs(folder, DIRECTORY_MODE, exist_ok=True)
            sync_directory(os.path.dirname(folder), self._sync)
        for folder in _FOLDERS:
            os.makedirs(os.path.join(self._shards, folder), DIRECTORY_MODE, exist_ok=True)
        sync_directory(self._shards, self._sync)

    # -- small things ---------------------------------------------------------------------------
    def _staged_path(self, name: str) -> str:
        if not _NAME(name):
            raise ValueError(f"not the name of a shard: {name!r}")
        return f"{self._staged}/{name}"

    def _published_path(self, name: str) -> str:
        if not _NAME(name):
            raise ValueError(f"not the name of a shard: {name!r}")
        return f"{self._shards}/{name[-2:]}/{name}"

    def _missing(self, published: str) -> DiskFailed | ShardNotFound:
        """Why a shard is in neither place."""
        for folder in (os.path.dirname(published), self._staged):
            if not os.path.isdir(folder):
                return self._gone(folder)
        return ShardNotFound(f"{published}: no such shard")

    def _gone(self, folder: str) -> DiskFailed:
        return DiskFailed(f"{folder}: missing: the disk was taken away or never labelled")


class _PublishBatch:
    """Names to publish in one thread hop, and what came of each."""

    def __init__(self) -> None:
        self.outcomes: dict[str, DiskFailed | ShardNotFound | None] = {}
        self.done = trio.Event()

    def add(self, name: str) -> None:
        self.outcomes[name] = DiskFailed(f"{name}: not published: no thread could be started")
