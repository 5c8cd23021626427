"""Gives back the space of deleted shards: what is still in use of a segment is written again at
the end of the newest one, and then the segment is deleted.

A segment is chosen when a deletion makes it sparse, never by looking around. A shard is copied
durably before its segment goes; until then the index refers to the old place, and a shard that is
deleted or replaced meanwhile stays so, because records are applied in the order they are written.
Marks about shards in older segments are kept as long as those segments are, so that reading all
segments again, without an index, gives the same shards.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import trio

from stratum.adapters.disk_io import SyncFile, disk_failed, read_all, sync_directory
from stratum.adapters.packed_shards import PackedShards
from stratum.adapters.segment_format import Flag, Kind, Record, SegmentScan
from stratum.adapters.segment_index import Entry
from stratum.adapters.segment_log import Append, segment_path
from stratum.domain.errors import DiskFailed, ShardCorrupt

COMPACTION_BYTES_PER_S = 32e6
"""Of one disk, read and written, so that clients are served meanwhile."""
COMPACTION_STEP_BYTES = 1 << 20
RETRY_PAUSE_S = 60.0
"""After a disk failed."""

log = logging.getLogger("stratum.disk")


class SegmentCompactor:
    """Compacts the segments of one disk, one at a time."""

    def __init__(
        self,
        packed: PackedShards,
        sync_folder: SyncFile,
        *,
        bytes_per_s: float = COMPACTION_BYTES_PER_S,
    ) -> None:
        self._packed = packed
        self._sync_folder = sync_folder
        self._bytes_per_s = bytes_per_s

    async def run(self) -> None:
        """Compact what becomes worth it, until cancelled."""
        while True:
            await self._packed.freed.wait()
            self._packed.freed = trio.Event()
            try:
                for number in self._packed.worth_compacting():
                    await self.compact(number)
            except DiskFailed as error:
                log.warning("compaction: %s", error)
                await trio.sleep(RETRY_PAUSE_S)
                self._packed.freed.set()

    async def compact(self, number: int) -> None:
        """Rewrite what is in use of a segment and delete it. Raises DiskFailed."""
        packed = self._packed
        path = segment_path(packed.folder, number)
        live = await trio.to_thread.run_sync(packed.index.entries_in, number)
        marks = await trio.to_thread.run_sync(_marks, path, number)
        freed = -sum(entry.length for _, entry in live)
        for step in _steps(live):
            copies = await trio.to_thread.run_sync(_copies, path, step)
            # Those that were deleted while they were read are left behind.
            copies = [c for c in copies if packed.is_live(c.record.name, c.record.target)]
            if copies:
                await packed.log.write(*copies)
            await self._disown(copies)
            await trio.sleep(sum(entry.length for _, entry in step) / self._bytes_per_s)
        kept = [mark for mark in marks if self._still_counts(mark, number)]
        if kept:
            await packed.log.write(*(_again(mark) for mark in kept))
        if packed.index.live[number] > 0 and packed.index.entries_in(number):
            raise DiskFailed(f"{path}: shards remain: it is not deleted")
        freed += await trio.to_thread.run_sync(self._remove, path)
        packed.removed(number)
        log.info("compacted %s: %d bytes freed", path, freed)

    async def _disown(self, copies: Sequence[Append]) -> None:
        """A shard that was deleted while its copy was being written: the copy must not count for
        whoever reads the segments from the beginning, when the original is gone."""
        dead = []
        for copy in copies:
            entry = self._packed.index.get(copy.record.name)
            if entry is None:
                dead.append(Append(Kind.DELETE, copy.record.name, target=copy.record.place))
        if dead:
            await self._packed.log.write(*dead)

    def _still_counts(self, mark: Record, number: int) -> bool:
        if mark.target.segment == number or not self._packed.exists(mark.target.segment):
            return False
        if mark.kind == Kind.DELETE:
            return True
        name = mark.payload.decode() if mark.kind == Kind.RENAME else mark.name
        return self._packed.is_live(name, mark.target)

    def _remove(self, path: str) -> int:
        try:
            size = os.stat(path).st_size
            os.unlink(path)
            sync_directory(os.path.dirname(path), self._sync_folder)
        except OSError as error:
            raise disk_failed(error, path) from error
        return size


def _steps(live: Sequence[tuple[str, Entry]]) -> list[list[tuple[str, Entry]]]:
    """Shards that are copied together."""
    steps: list[list[tuple[str, Entry]]] = []
    size = COMPACTION_STEP_BYTES
    for each in live:
        if size >= COMPACTION_STEP_BYTES:
            steps.append([])
            size = 0
        steps[-1].append(each)
        size += each[1].length
    return steps


def _copies(path: str, step: Sequence[tuple[str, Entry]]) -> list[Append]:
    """Read shards; blocks. A shard that can't be read is copied as far as it goes: it is as
    corrupt as before, and a scrub finds it."""
    copies = []
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for name, entry in step:
                payload = bytearray(entry.length)
                done = read_all(fd, memoryview(payload), entry.start)
                flags = entry.flags | Flag.RELOCATED
                copies.append(
                    Append(
                        Kind.SHARD,
                        name,
                        [bytes(payload[:done])],
                        flags=flags,
                        target=entry.place,
                        synced=True,
                    )
                )
        finally:
            os.close(fd)
    except OSError as error:
        raise disk_failed(error, path) from error
    return copies


def _marks(path: str, number: int) -> list[Record]:
    """The marks in a segment; blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            scan = SegmentScan(lambda at, length: os.pread(fd, length, at), number, size)
            return [record for record in scan if record.kind != Kind.SHARD]
        except ShardCorrupt as error:
            raise DiskFailed(f"{path}: {error}") from error
        finally:
            os.close(fd)
    except OSError as error:
        raise disk_failed(error, path) from error


def _again(mark: Record) -> Append:
    parts = [mark.payload] if mark.payload else []
    kind = Kind(mark.kind)
    return Append(kind, mark.name, parts, flags=mark.flags, target=mark.target, synced=True)
