"""The journal made again after its loss: from its copies, then from what lies on the disks.

The copies have nearly all of it, audit history included. What is newer than they are, or all of
it if there are none, is found by its shards and remote objects, which describe themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from stratum.app.archive_reader import find_sources, longest_history
from stratum.app.inventory import (
    Inventory,
    as_found,
    local_record,
    long_id,
    remote_record,
    take_inventory,
)
from stratum.app.recovery import DecodeRecord
from stratum.app.together import together
from stratum.domain.catalog import Catalog
from stratum.domain.errors import DiskFailed, StratumError
from stratum.domain.event_archive import ArchivedRow
from stratum.domain.events import (
    CopiesReclaimed,
    DiskAdded,
    Event,
    JournalRecovered,
    PartStored,
    UploadAborted,
    UploadCompleted,
    VersionCommitted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.names import Tier
from stratum.domain.salvage import (
    Copy,
    Defaults,
    in_order,
    salvage_bucket,
    salvage_part,
    salvage_version,
)
from stratum.domain.volume import Location, Volume
from stratum.ports import EventArchive, Journal, RemoteStore, ShardStore

PAGE_LENGTH = 1000
RECORDS_AT_ONCE = 32
UNREADABLE_NAMED_MAX = 1000
"""Objects that could not be brought back and are named; more are counted only."""

log = logging.getLogger("stratum.recover")

Progress = Callable[[str, int], None]
"""Told what is being done and how much of it is done."""
Append = Callable[[Sequence[ArchivedRow]], Awaitable[None]]


@dataclass(frozen=True)
class Restored:
    """What the copies of the journal had: up to which event, and where the last ones were."""

    seq: int = 0
    digest: bytes = bytes(32)
    source: str = ""


@dataclass
class Report:
    """What a recovery brought back, and what it could not."""

    restored_seq: int = 0
    restored_at_ms: int = 0
    source: str = ""
    versions: int = 0
    parts: int = 0
    moves: int = 0
    dropped: int = 0
    absent: list[str] = field(default_factory=list)
    objects: int = 0
    """Object versions in the catalog now."""
    unreadable: int = 0
    unreadable_names: list[str] = field(default_factory=list)


class Clock:
    """The time events get that a recovery appends: that of what they tell, then the real one."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.at_ms: int | None = None

    def __call__(self) -> int:
        return self._now_ms() if self.at_ms is None else self.at_ms


@dataclass(frozen=True)
class Store:
    """What is left of a store. `magic` begins a copy in the remote."""

    disks: Mapping[Tier, Sequence[ShardStore]]
    remote: RemoteStore | None
    archives: Sequence[EventArchive]
    decode: DecodeRecord
    magic: bytes
    defaults: Defaults


async def restore_events(store: Store, append: Append, progress: Progress) -> Restored:
    """Hand on the longest history that the copies have, in order, chain verified."""
    restored = Restored()
    async for source, rows in longest_history(await find_sources(store.archives)):
        await append(rows)
        restored = Restored(rows[-1].seq, rows[-1].digest, source.archive.describe())
        progress("events", restored.seq)
    return restored


async def salvage(
    store: Store, journal: Journal, clock: Clock, restored: Restored, progress: Progress
) -> Report:
    """Add what lies on disks and remote and is not in the restored journal. Afterwards it is
    whole, and says in its last event that it was recovered."""
    return await _Salvage(store, journal, clock, restored, progress).run()


class _Salvage:
    def __init__(
        self,
        store: Store,
        journal: Journal,
        clock: Clock,
        restored: Restored,
        progress: Progress,
    ) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._restored = restored
        self._progress = progress
        self._report = Report(restored_seq=restored.seq, source=restored.source)
        self._inventory = Inventory()

    async def run(self) -> Report:
        report = self._report
        report.restored_at_ms = (await self._journal.head()).at_ms
        added = await self._find_disks()
        self._inventory = await take_inventory(
            self._store.disks, self._store.remote, partial(self._progress, "copies")
        )
        report.absent = list(self._inventory.absent)
        copies = await self._unknown_copies()
        for number, copy in enumerate(in_order(copies), 1):
            await self._take(copy)
            self._progress("salvaged", number)
        await self._count()
        self._clock.at_ms = None
        if added:
            await self._journal.transact(lambda _: added, by="operator")
        told = JournalRecovered(
            self._restored.seq,
            self._restored.digest.hex(),
            report.restored_at_ms,
            self._restored.source,
            report.versions,
            report.parts,
            report.moves,
            report.dropped,
            tuple(report.absent),
        )
        await self._journal.transact(lambda _: [told], by="operator")
        return report

    async def _find_disks(self) -> list[Event]:
        """Disks by their labels, that the journal does not know. Raises DiskFailed if one is not
        where its label says."""
        known = {(each.tier, each.index): each.disk_id for each in self._journal.catalog.disks()}
        added: list[Event] = []
        for tier, members in self._store.disks.items():
            for index, disk in enumerate(members):
                try:
                    label = await disk.label()
                except DiskFailed:
                    continue
                if label is None:
                    continue
                if (label.get("tier"), label.get("index")) != (tier.value, str(index)):
                    where = f"{label.get('tier')} {label.get('index')}"
                    raise DiskFailed(
                        f"{disk.path} is configured as disk {index} of {tier}, and its label says"
                        f" that it is {where}. Put the disks in their order."
                    )
                if known.get((tier, index)) != label["disk_id"]:
                    added.append(DiskAdded(tier, index, label["disk_id"]))
        return added

    # -- what is there and not known ------------------------------------------------------------
    async def _unknown_copies(self) -> list[Copy]:
        unknown = {tier: dict(copies) for tier, copies in self._inventory.local.items()}
        in_remote = set(self._inventory.remote)
        after = 0
        while page := await self._journal.read(after, PAGE_LENGTH):
            after = page[-1].seq
            for recorded in page:
                for name in _copies_of(recorded.event):
                    in_remote.discard(name)
                    for known in unknown.values() if "/" not in name else ():
                        known.pop(bytes.fromhex(name), None)
            self._progress("compared", after)
        jobs = [
            partial(self._local, tier, short) for tier, left in unknown.items() for short in left
        ]
        jobs += [partial(self._remote, name) for name in sorted(in_remote)]
        copies: list[Copy] = []
        for first in range(0, len(jobs), RECORDS_AT_ONCE):
            found = await together(*jobs[first : first + RECORDS_AT_ONCE])
            copies += [copy for copy in found if copy is not None]
            self._progress("records", first)
        # What a completed upload is made of is no part any more.
        used = {
            extent.id
            for copy in copies
            if copy.record.upload_id is None
            for extent in copy.location.extents
        }
        return [
            copy
            for copy in copies
            if copy.record.upload_id is None or copy.location.extents[0].id not in used
        ]

    async def _local(self, tier: Tier, short: bytes) -> Copy | None:
        members, extent_id = self._store.disks[tier], long_id(short)
        holders = self._inventory.local[tier][short]
        record = await local_record(members, extent_id, holders, self._store.decode)
        if record is None:
            self._report.dropped += 1
            return None
        own = [extent for extent in record.extents if extent.id == extent_id]
        extents = own if record.upload_id is not None else record.extents
        location = Location(tier, tuple(as_found(self._inventory, tier, each) for each in extents))
        if not self._inventory.can_read(location):
            self._report.dropped += 1
            log.warning("%s of %s/%s is not whole", extent_id, record.bucket, record.key)
            return None
        return Copy(record, location, settled=bool(holders.published))

    async def _remote(self, name: str) -> Copy | None:
        assert self._store.remote is not None, "it has names"
        found = await remote_record(self._store.remote, name, self._store.magic, self._store.decode)
        if found is None:
            self._report.dropped += 1
            return None
        record, location = found
        return Copy(record, location, settled=True)

    # -- into the journal -----------------------------------------------------------------------
    async def _take(self, copy: Copy) -> None:
        record = copy.record
        self._clock.at_ms = record.created_at_ms
        if await self._is_over(copy):
            self._report.dropped += 1
            return
        bucket = partial(salvage_bucket, record=record, defaults=self._store.defaults)
        try:
            await self._journal.transact(bucket, by="operator")
            if record.upload_id is not None:
                decide: Callable[[Catalog], Sequence[Event]] = partial(
                    salvage_part, copy=copy, defaults=self._store.defaults
                )
            else:
                decide = partial(salvage_version, copy=self._with_need(copy))
            recorded = await self._journal.transact(decide, by="operator")
        except StratumError as error:
            log.warning("%s/%s is left out: %s", record.bucket, record.key, error)
            recorded = ()
        kinds = [type(each.event) for each in recorded]
        self._report.versions += kinds.count(VersionCommitted)
        self._report.parts += kinds.count(PartStored)
        self._report.moves += kinds.count(VolumeMoved)
        self._report.dropped += not kinds

    def _with_need(self, copy: Copy) -> Copy:
        """A copy that was not published counts all the same if the known one can't be read."""
        volume = self._journal.catalog.volume(copy.record.volume_id)
        if volume is None or self._inventory.can_read(volume.location):
            return copy
        return Copy(copy.record, copy.location, settled=True)

    async def _is_over(self, copy: Copy) -> bool:
        """Whether the journal knows that the volume or the upload has ended."""
        record = copy.record
        stream = record.volume_id if record.upload_id is None else f"upload/{record.upload_id}"
        ended = (VersionRemoved, UploadAborted, UploadCompleted)
        return any(isinstance(each.event, ended) for each in await self._journal.history(stream))

    async def _count(self) -> None:
        """Which object versions can be read, going by the names of their shards."""
        report, after = self._report, ""
        while page := await self._journal.query(partial(_volumes_after, after=after)):
            after = page[-1].id
            for volume in page:
                report.objects += 1
                if not self._inventory.can_read(volume.location):
                    report.unreadable += 1
                    if len(report.unreadable_names) < UNREADABLE_NAMED_MAX:
                        report.unreadable_names.append(f"{volume.bucket}/{volume.key}")
            self._progress("objects", report.objects)


def _copies_of(event: Event) -> Iterable[str]:
    """Names of copies that an event is about: extent ids, and names in the remote."""
    if isinstance(event, CopiesReclaimed):
        return event.copies
    if isinstance(event, VersionCommitted | PartStored):
        return _names(event.location)
    if isinstance(event, VolumeMoved):
        return (*_names(event.source), *_names(event.target))
    return ()


def _names(location: Location) -> tuple[str, ...]:
    if location.remote is not None:
        return (location.remote.name,)
    return tuple(extent.id for extent in location.extents)


def _volumes_after(catalog: Catalog, *, after: str) -> Sequence[Volume]:
    return catalog.volumes(after, PAGE_LENGTH)
