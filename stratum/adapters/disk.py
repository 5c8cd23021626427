"""A disk that is a directory of a local file system.

    PATH/label.json        who this disk is; written last, so that a labelled disk is a whole one
    PATH/segments/N.seg    small shards, packed: see `packed_shards`
    PATH/staged/NAME       larger ones, being written, or durable and not yet published
    PATH/shards/ab/NAME    larger ones, published; `ab` are the last two characters of the name

The folder comes from the *end* of a name because names begin with the time: the first two digits
of a day's shards are all the same. All 256 folders are made with the label, so no later operation
creates a directory, and a folder that is missing means that the disk was taken away (an unmounted
mount point is an empty directory). Nothing is ever created in its place.

Where a shard is depends on its length alone, so a reader looks among the packed ones first. (A
store may be older than packing; then a repair packs what was a file.)

**Durability.** A packed shard is durable by one fdatasync for all that are sealed at the same
time. A sealed file is durable by fsync of the file and then of `staged`, which all
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

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio

from stratum.adapters.disk_io import (
    CachedOpen,
    GroupSync,
    SyncFile,
    datasync_file,
    disk_failed,
    sync_directory,
    sync_file,
)
from stratum.adapters.disk_label import FOLDERS, read_label, write_label
from stratum.adapters.disk_shards import DiskWorkers, FileShardReader, FileShardWriter
from stratum.adapters.packed_shards import PackedShards
from stratum.adapters.segment_compactor import SegmentCompactor
from stratum.adapters.segment_format import Flag
from stratum.adapters.segment_log import SEGMENT_SIZE_MAX_BYTES, segment_path
from stratum.adapters.shard_writer import RoutedShardWriter
from stratum.domain.errors import DiskFailed, ShardNotFound
from stratum.ports import DiskUsage

WRITE_THREADS_PER_DISK = 16
"""Also the most seals that share one fsync of `staged`."""
READ_THREADS_PER_DISK = 8
PACKED_MAX_BYTES = 68 * 1024
"""Shards up to this length are packed: those of extents up to 256 KiB, with their records."""
CHECKPOINT_LIMIT_S = 10.0
"""How long writing the index may hold up the end of the process."""

_NAME = re.compile(r"[0-9a-z][0-9a-z.-]{0,125}[0-9a-f]{2}").fullmatch
_READ = os.O_RDONLY | os.O_CLOEXEC


class DirectoryDisk:
    """A ShardStore on a directory.

    `sync(fd, path)` is called for every fsync, if given. `index_folder` is where the index of the
    packed shards is kept, so that a start need not read them all. An `observer` only reads, beside
    the process that owns the disk. Names are lower-case letters, digits, `.` and `-`, and end in
    two hexadecimal digits; another name is a ValueError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        write_threads: int = WRITE_THREADS_PER_DISK,
        read_threads: int = READ_THREADS_PER_DISK,
        sync: SyncFile | None = None,
        index_folder: Path | None = None,
        observer: bool = False,
        packed_max_bytes: int = PACKED_MAX_BYTES,
        segment_size_max_bytes: int = SEGMENT_SIZE_MAX_BYTES,
    ) -> None:
        self.path = os.fspath(path)
        self._staged = os.path.join(self.path, "staged")
        self._shards = os.path.join(self.path, "shards")
        self._segments = os.path.join(self.path, "segments")
        self._sync = sync or sync_file
        self._sync_staged = GroupSync(self._staged, self._sync)
        self._workers = DiskWorkers(write_threads, read_threads)
        self._open_cached = CachedOpen()
        self._publishing = trio.Lock()
        self._batch: _PublishBatch | None = None
        self._packed_max_bytes = packed_max_bytes
        self._packed = PackedShards(
            self._segments,
            sync or datasync_file,
            self._sync,
            index_folder=index_folder,
            observer=observer,
            segment_size_max_bytes=segment_size_max_bytes,
        )

    def __repr__(self) -> str:
        return f"DirectoryDisk({self.path!r})"

    def create(self, name: str) -> RoutedShardWriter:
        path = self._staged_path(name)
        return RoutedShardWriter(
            name,
            self._packed,
            self._packed_max_bytes,
            lambda: FileShardWriter(path, self._workers, self._sync, self._sync_staged),
        )

    async def publish(self, name: str) -> None:
        """Calls that come while others are being published share the next thread hop."""
        self._published_path(name)
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._packed.ready()
        if self._packed.publish(name):
            return
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

    def publish_now(self, name: str) -> bool:
        return self._packed.is_ready and self._packed.publish(name)

    async def replace(self, staged: str, name: str) -> None:
        self._staged_path(staged), self._published_path(name)
        await self._packed.ready()
        async with self._publishing:  # a publish under way must not put the old shard back
            if await self._packed.rename(staged, name):
                await self._workers.write(self._remove_file_blocking, name)
            else:
                was_packed = await self._packed.expect_file(name)
                await self._workers.write(self._replace_blocking, staged, name)
                if was_packed:
                    await self._packed.delete(name)

    async def open(self, name: str) -> FileShardReader:
        path = self._published_path(name)
        if not self._packed.is_ready:
            await self._packed.ready()
        reader = await self._open_packed(name)
        if reader is not None:
            return reader
        fd = self._open_cached(path)
        if fd is None:
            fd = await self._workers.read(self._open_blocking, name)
        return self._reader_of_file(fd, path)

    def open_now(self, name: str) -> FileShardReader | None:
        if not self._packed.is_ready:
            return None
        entry = self._packed.find(name)
        if entry is None:
            path = self._published_path(name)
        else:
            path = segment_path(self._segments, entry.segment)
        fd = self._open_cached(path)
        if fd is None:
            return None
        if entry is not None:
            return FileShardReader(fd, path, entry.length, self._workers, entry.start)
        return self._reader_of_file(fd, path)

    async def delete(self, name: str) -> None:
        self._published_path(name)
        await self._packed.ready()
        packed = await self._packed.delete(name)
        if packed is None or packed.flags & Flag.FILE_BESIDE:
            await self._workers.write(self._delete_blocking, name)

    async def staged(self) -> Sequence[str]:
        """Also names files that are being written right now."""
        files = await self._workers.read(self._list_blocking, self._staged)
        await self._packed.ready()
        packed = [name async for name in self._packed.names(published=False)]
        return [*packed, *files]

    async def names(self) -> AsyncIterator[str]:
        await self._packed.ready()
        async for name in self._packed.names(published=True):
            yield name
        for folder in FOLDERS:
            path = os.path.join(self._shards, folder)
            for name in await self._workers.read(self._list_blocking, path):
                if self._packed.find(name) is None:
                    yield name

    async def usage(self) -> DiskUsage:
        return await self._workers.read(self._usage_blocking)

    async def label(self, new: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
        if new is not None:
            await self._workers.write(write_label, self.path, dict(new), self._sync)
            self._packed.relabelled(new)
        return await self._workers.read(read_label, self.path)

    async def run(self) -> None:
        """What an owner does beside: compact segments, and at the end write the index."""
        try:
            await SegmentCompactor(self._packed, self._sync).run()
        finally:
            with trio.move_on_after(CHECKPOINT_LIMIT_S, shield=True), suppress(DiskFailed):
                await self._packed.checkpoint()

    def _reader_of_file(self, fd: int, path: str) -> FileShardReader:
        try:
            size_bytes = os.fstat(fd).st_size
        except OSError as error:
            os.close(fd)
            raise disk_failed(error, path) from error
        return FileShardReader(fd, path, size_bytes, self._workers)

    async def _open_packed(self, name: str) -> FileShardReader | None:
        entry = self._packed.find(name)
        while entry is not None:
            path = segment_path(self._segments, entry.segment)
            fd = self._open_cached(path)
            if fd is None:
                fd = await self._workers.read(self._open_segment_blocking, path)
            if fd is not None:
                return FileShardReader(fd, path, entry.length, self._workers, entry.start)
            # Compacted meanwhile, or lost.
            before = entry
            entry = await self._packed.find_again(name)
            if entry == before:
                raise ShardNotFound(f"{path}: missing, and with it {name}")
        return None

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

    def _remove_file_blocking(self, name: str) -> None:
        """The file of a shard that is packed from now on."""
        for path in (self._staged_path(name), self._published_path(name)):
            try:
                os.unlink(path)
                sync_directory(os.path.dirname(path), self._sync)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise disk_failed(error, path) from error

    def _open_segment_blocking(self, path: str) -> int | None:
        """None if there is no such segment."""
        try:
            return os.open(path, _READ)
        except FileNotFoundError as error:
            if not os.path.isdir(self._segments):
                raise self._gone(self._segments) from error
            return None
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
