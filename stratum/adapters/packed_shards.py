"""The packed shards of one disk: segments, index, and what may be done with a shard.

Loaded when first needed, in a thread. From then on a shard is looked up on the event loop, and
every change is a record in a segment, applied to the index when it is written.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import outcome
import trio

from stratum.adapters.disk_io import SyncFile
from stratum.adapters.segment_format import Flag, Kind, Place, next_offset
from stratum.adapters.segment_index import Entry, SegmentIndex
from stratum.adapters.segment_log import Append, SegmentLog
from stratum.adapters.segment_start import Loaded, load, refresh
from stratum.domain.errors import DiskFailed
from stratum.ports import Buffer, Sealing

FLUSH_ENTRIES = 4096
"""So many changes are kept in memory before they are written to the index's file."""
COMPACT_BELOW = 0.5
"""A segment that is in use for less than this part of its bytes is compacted."""

log = logging.getLogger("stratum.disk")


class PackedShards:
    """`folder` holds the segments; `index_folder` is where indexes are kept (None: in memory).

    An `observer` looks at the disk of another process: it changes nothing, and reads new records
    before it answers. Errors are DiskFailed.
    """

    def __init__(
        self,
        folder: str,
        sync: SyncFile,
        sync_folder: SyncFile,
        *,
        index_folder: Path | None,
        observer: bool,
        segment_size_max_bytes: int,
    ) -> None:
        self.folder = folder
        self.observer = observer
        self._sync = sync
        self._sync_folder = sync_folder
        self._index_folder = index_folder
        self._segment_size_max_bytes = segment_size_max_bytes
        self._lock = trio.Lock()
        self._index: SegmentIndex | None = None
        self._loaded: Loaded | None = None
        self._log: SegmentLog | None = None
        self._flush_ended: trio.Event | None = None
        self._reserved: set[str] = set()
        self._deleting: set[str] = set()
        self._unwanted: set[str] = set()
        self._sizes: dict[int, int] = {}
        self.freed = trio.Event()
        """Set when a segment has become worth compacting."""

    # -- loading --------------------------------------------------------------------------------
    @property
    def index(self) -> SegmentIndex:
        """Needs a `ready` before."""
        assert self._index is not None
        return self._index

    @property
    def log(self) -> SegmentLog:
        """Needs a `ready` before, and is nothing for observers."""
        assert self._log is not None
        return self._log

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would return at once."""
        return self._log is not None

    async def ready(self) -> None:
        """Load what is there; for an observer, what is new."""
        if self.is_ready:
            return
        async with self._lock:
            if self._log is not None:
                return  # somebody else was quicker
            try:
                await trio.to_thread.run_sync(self._load_blocking)
            except sqlite3.Error as error:
                raise DiskFailed(f"the index of {self.folder}: {error}") from error
            loaded = self._loaded
            assert loaded is not None
            self._index = loaded.index
            if not self.observer:
                self._log = SegmentLog(
                    self.folder,
                    loaded.end,
                    loaded.last,
                    self._sync,
                    self._sync_folder,
                    self._applied,
                    segment_size_max_bytes=self._segment_size_max_bytes,
                )
                self._sizes = loaded.sizes
                if self.worth_compacting():
                    self.freed.set()

    def relabelled(self, label: Mapping[str, str]) -> None:
        """What is loaded may be another disk's."""
        if self._index is not None and self._index.disk != label.get("disk_id", ""):
            self._forget()

    def _forget(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = self._loaded = self._log = None

    def _load_blocking(self) -> None:
        if self._loaded is not None:
            refresh(self._loaded, self.folder)
        else:
            self._loaded = load(
                self.folder, self._index_folder, self._sync_folder, observer=self.observer
            )

    # -- questions ------------------------------------------------------------------------------
    def find(self, name: str) -> Entry | None:
        """Where a shard is. Needs a `ready` before."""
        try:
            return self.index.get(name)
        except sqlite3.Error as error:
            raise DiskFailed(f"the index of {self.folder}: {error}") from error

    async def find_again(self, name: str) -> Entry | None:
        """The same when it was not there: a compaction may have moved it meanwhile."""
        if self.observer:
            self._forget()
            await self.ready()
        return self.find(name)

    async def names(self, *, published: bool) -> AsyncIterator[str]:
        """All names, those of changing shards or not. Needs a `ready` before."""
        recent = set(self.index.recent_names(published=published))
        for name in recent:
            yield name
        page = [""]
        while page:
            asked = partial(self.index.names, published=published, after=page[-1])
            page = await trio.to_thread.run_sync(asked)
            for name in page:
                # What was recent may have been written to the file meanwhile.
                if name not in recent and not self.index.has_changed(name):
                    yield name

    # -- shards ---------------------------------------------------------------------------------
    def reserve(self, name: str) -> None:
        """Raises DiskFailed if a shard of this name is being written, or was lately."""
        if name in self._reserved or (self._index is not None and self._index.is_recent(name)):
            code = errno.errorcode[errno.EEXIST]
            raise DiskFailed(f"{self.folder}: {name}: File exists ({code})")
        self._reserved.add(name)

    def release(self, name: str) -> None:
        """The opposite of `reserve`."""
        self._reserved.discard(name)

    async def store(self, name: str, parts: Sequence[Buffer]) -> None:
        """Durable when it returns."""
        await self.ready()
        await self.log.write(Append(Kind.SHARD, name, parts, synced=True))

    def begin_store(self, name: str, parts: Sequence[Buffer]) -> Sealing:
        """`store` without waiting; what is returned waits. Needs a `ready` before."""
        return self.log.begin(Append(Kind.SHARD, name, parts, synced=True))

    def discard(self, name: str, *, in_flight: bool = False) -> None:
        """Forget a shard unless it is published. Not durable, as recovery would do the same. One
        that is being written is forgotten as soon as it is."""
        entry = self._index.get(name) if self._index is not None else None
        if entry is not None and not entry.published:
            append = self._mark_later(Kind.DELETE, name, entry)
            self.index.apply(append.record)
        elif entry is None and in_flight:
            self._unwanted.add(name)

    def publish(self, name: str) -> bool:
        """Whether there is such a shard. A crash may take it back."""
        entry = self.find(name)
        if entry is not None and not entry.flags & Flag.PUBLISHED:
            self.index.publish(name, entry)
            self._mark_later(Kind.PUBLISH, name, entry)
        return entry is not None

    async def delete(self, name: str) -> Entry | None:
        """What the shard was. A power cut may bring it back, a crash does not."""
        entry = self.find(name)
        if entry is not None:
            self._deleting.add(name)
            try:
                await self.log.write(Append(Kind.DELETE, name, target=entry.place))
            finally:
                self._deleting.discard(name)
        return entry

    async def rename(self, staged: str, name: str) -> bool:
        """Make a shard the published one of another name, durably; False if there is none."""
        entry = self.find(staged)
        if entry is not None:
            parts = [name.encode()]
            await self.log.write(
                Append(Kind.RENAME, staged, parts, target=entry.place, synced=True)
            )
        return entry is not None

    async def expect_file(self, name: str) -> bool:
        """A file will take the place of this shard: whoever deletes one must delete both.
        Durable; False if there is no such shard."""
        entry = self.find(name)
        if entry is not None:
            flags = Flag.FILE_BESIDE
            await self.log.write(
                Append(Kind.PUBLISH, name, flags=flags, target=entry.place, synced=True)
            )
        return entry is not None

    def _mark_later(self, kind: Kind, name: str, entry: Entry) -> Append:
        """For what the index knows at once."""
        append = Append(kind, name, target=entry.place)
        append.is_applied = True
        self.log.later(append)
        return append

    # -- what happens when a record is written ---------------------------------------------------
    def _applied(self, append: Append) -> None:
        record = append.record
        if append.is_applied:
            pass
        elif record.kind == Kind.SHARD and not record.flags & Flag.RELOCATED:
            self.index.add(record)
            if record.name in self._unwanted:
                self._unwanted.discard(record.name)
                self.discard(record.name)
        else:
            self.index.apply(record)
        segment, start = record.place
        self._sizes[segment] = next_offset(start + record.length)
        if not self.freed.is_set() and self._is_sparse(record.target.segment):
            self.freed.set()
        if self.index.recent >= FLUSH_ENTRIES and self._flush_ended is None:
            self._start_flush()

    def _start_flush(self) -> None:
        index, position = self.index, self.log.durable
        changes, live = index.begin_flush(), dict(index.live)
        ended = self._flush_ended = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def deliver(result: outcome.Outcome[None]) -> None:
            token.run_sync_soon(end, result)

        def end(result: outcome.Outcome[None]) -> None:
            self._flush_ended = None
            ended.set()
            try:
                result.unwrap()
            except Exception as error:
                log.warning("the index of %s was not written: %s", self.folder, error)
                index.end_flush(None)
            else:
                index.end_flush(position)

        trio.lowlevel.start_thread_soon(lambda: index.flush(changes, position, live), deliver)

    async def checkpoint(self) -> None:
        """Write what is in memory only, so that the next start has nothing to do."""
        if self._log is None:
            return
        await self._log.write_lazy()
        for _ in range(2):  # one may be under way that does not have everything
            if self._flush_ended is None:
                self._start_flush()
            assert self._flush_ended is not None
            await self._flush_ended.wait()

    # -- compaction -----------------------------------------------------------------------------
    def worth_compacting(self) -> list[int]:
        """Segments whose space would be worth having back."""
        return [number for number in list(self._sizes) if self._is_sparse(number)]

    def exists(self, segment: int) -> bool:
        return segment in self._sizes

    def is_live(self, name: str, place: Place) -> bool:
        """Whether a shard is there and nobody is deleting it."""
        entry = self.index.get(name)
        return entry is not None and entry.place == place and name not in self._deleting

    def removed(self, segment: int) -> None:
        """A segment is no more."""
        self._sizes.pop(segment, None)
        self.index.live.pop(segment, None)

    def _is_sparse(self, segment: int) -> bool:
        size = self._sizes.get(segment, 0)
        return (
            size > 0
            and segment != self.log.current
            and self.index.live[segment] < COMPACT_BELOW * size
        )
