"""Reading the record and checking it against the world. Changes nothing.

A running server goes on while an audit reads, so whatever looks wrong is looked at again on the
newest state before it is reported.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

from stratum.app.extents import read_ends
from stratum.app.together import together
from stratum.domain.catalog import Catalog, copy_key
from stratum.domain.errors import (
    DiskFailed,
    JournalCorrupt,
    RemoteFailed,
    ShardCorrupt,
    ShardNotFound,
)
from stratum.domain.events import Recorded
from stratum.domain.listing import ListRequest, Page
from stratum.domain.names import BucketName, Tier, UploadId, VolumeId
from stratum.domain.volume import (
    VOLUMES_FOLDER,
    Extent,
    Location,
    Part,
    Upload,
    Volume,
    remote_name,
)
from stratum.ports import Journal, RemoteStore, ShardStore

PAGE_LENGTH = 1000


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    kind: str
    """`chain`, `catalog`, `shard-missing`, `shard-corrupt`, `shard-orphan`, `remote-missing`,
    `remote-size`, `remote-orphan`, `disk`, `remote`, `anchor` or `archive`."""
    subject: str
    detail: str


@dataclass(frozen=True)
class Filter:
    """Which events to show; empty fields let everything through. Times in Unix ms."""

    bucket: str = ""
    prefix: str = ""
    since_ms: int = 0
    until_ms: int | None = None
    type: str = ""


async def events(journal: Journal, wanted: Filter) -> AsyncGenerator[Recorded, None]:
    """Matching events, oldest first.

    Events on volumes and uploads that don't name a key are matched through the event that does.
    """
    streams: set[str] = set()
    after = 0
    while page := await journal.read(after, PAGE_LENGTH):
        after = page[-1].seq
        for recorded in page:
            if wanted.until_ms is not None and recorded.at_ms >= wanted.until_ms:
                return
            if (
                _concerns(recorded, wanted, streams)
                and recorded.at_ms >= wanted.since_ms
                and wanted.type in ("", type(recorded.event).__name__)
            ):
                yield recorded


def _concerns(recorded: Recorded, wanted: Filter, streams: set[str]) -> bool:
    if not wanted.bucket:
        return True
    bucket = getattr(recorded.event, "bucket", None)
    key = getattr(recorded.event, "key", None)
    if bucket is None:
        return recorded.stream in streams
    pinned = getattr(recorded.event, "prefix", None)
    if pinned is not None:  # a pin concerns all that is under its prefix
        return bucket == wanted.bucket and (
            pinned.startswith(wanted.prefix) or wanted.prefix.startswith(pinned)
        )
    matches = bucket == wanted.bucket and (key or "").startswith(wanted.prefix)
    if matches:
        streams.add(recorded.stream)
    return matches


def as_document(recorded: Recorded) -> dict[str, object]:
    """One event as plain values, for JSON."""
    return {
        "seq": recorded.seq,
        "at_ms": recorded.at_ms,
        "by": recorded.by,
        "type": type(recorded.event).__name__,
        "stream": recorded.stream,
        "version": recorded.version,
        **asdict(recorded.event),
    }


def as_line(recorded: Recorded) -> str:
    """What an event says, on one line, without its envelope."""
    event = recorded.event
    decision = getattr(event, "decision", None)
    if decision is not None:
        return f"{decision.source} → {decision.target} ({decision.policy}): {decision.sentence}"
    shown = []
    for item in fields(event):
        value = getattr(event, item.name)
        if isinstance(value, Location):
            value = value.tier.value
        if isinstance(value, str | int) and value != "":
            shown.append(f"{item.name}={value}")
    return " ".join(shown)


class Verifier:
    """Checks chain, catalog, disks and remote; yields findings as they are found.

    Of every shard the beginning and the end are read, not the cells in between. The names of all
    copies are collected first and the catalog walked after that: whatever was on a disk then is
    now referred to, waiting for reclamation, gone, or an orphan.
    """

    def __init__(
        self,
        journal: Journal,
        disks: Mapping[Tier, Sequence[ShardStore]],
        remote: RemoteStore | None,
        differences: Sequence[str],
    ) -> None:
        self._journal = journal
        self._disks = disks
        self._remote = remote
        self._differences = differences
        self._unclaimed: dict[Tier, set[str]] = {tier: set() for tier in Tier}
        self._silent: set[str] = set()
        """Disks (by path) and tiers that don't answer: one finding each, not one per volume."""
        self.volumes = 0

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """All findings, journal first."""
        try:
            await self._journal.check_chain()
        except JournalCorrupt as error:
            yield Finding("chain", "journal", str(error))
        for difference in self._differences:
            yield Finding("catalog", "catalog", difference)
        async for finding in self._collect_names():
            yield finding
        async for finding in self._volumes():
            yield finding
        async for finding in self._parts():
            yield finding
        async for finding in self._orphans():
            yield finding

    async def _collect_names(self) -> AsyncGenerator[Finding, None]:
        for tier, members in self._disks.items():
            for disk in members:
                try:
                    async for name in disk.names():
                        self._unclaimed[tier].add(name)
                except DiskFailed as error:
                    self._silent.add(disk.path)
                    yield Finding("disk", disk.path, str(error))
        if self._remote is not None:
            try:
                async for name in self._remote.names():
                    if name.startswith(VOLUMES_FOLDER):
                        self._unclaimed[Tier.COLD].add(name)
            except RemoteFailed as error:
                self._silent.add(Tier.COLD)
                yield Finding("remote", self._remote.describe(), str(error))

    async def _volumes(self) -> AsyncGenerator[Finding, None]:
        after = ""
        while True:
            page = await self._journal.query(partial(_volumes_after, after=after))
            for volume in page:
                self.volumes += 1
                self._claim(volume.location)
                for finding in await self._check(volume.location, f"{volume.bucket}/{volume.key}"):
                    if await self._is_still_at(volume.id, volume.location):
                        yield finding
            if len(page) < PAGE_LENGTH:
                return
            after = page[-1].id

    async def _is_still_at(self, volume_id: VolumeId, location: Location) -> bool:
        volume = await self._journal.query(lambda catalog: catalog.volume(volume_id))
        return volume is not None and volume.location == location

    async def _parts(self) -> AsyncGenerator[Finding, None]:
        """Parts of uploads in progress were acknowledged like objects."""
        for bucket in await self._journal.query(lambda catalog: catalog.buckets()):
            request = ListRequest()
            while True:
                page = await self._journal.query(partial(_uploads, bucket.name, request))
                for upload in page.entries:
                    async for finding in self._parts_of(upload):
                        yield finding
                if page.next is None:
                    break
                request = ListRequest(after=page.next)

    async def _parts_of(self, upload: Upload) -> AsyncGenerator[Finding, None]:
        for part in await self._journal.query(lambda catalog: catalog.parts(upload.id)):
            self._claim(part.location)
            subject = f"{upload.bucket}/{upload.key} part {part.number} of upload {upload.id}"
            found = await self._check(part.location, subject)
            if found:
                now = await self._journal.query(partial(_part, upload.id, part.number))
                for finding in found if now and now.location == part.location else ():
                    yield finding

    async def _check(self, location: Location, subject: str) -> list[Finding]:
        if location.remote:
            return await self._check_remote(location, subject)
        found: list[Finding] = []
        disks = self._disks.get(location.tier, ())
        for extent in location.extents:
            results = await together(
                *(
                    partial(_check_shard, disk, extent, index, subject)
                    for index, disk in enumerate(disks)
                    if index not in extent.missing and disk.path not in self._silent
                )
            )
            found += [finding for finding in results if finding]
            found += [
                Finding("shard-missing", subject, f"shard {index} of {extent.id} was not written")
                for index in extent.missing
            ]
        return found

    async def _check_remote(self, location: Location, subject: str) -> list[Finding]:
        assert location.remote
        if self._remote is None:
            return [Finding("remote", subject, "is in the cold tier, which is not configured")]
        if Tier.COLD in self._silent:
            return []
        expected = location.remote.payload_offset_bytes + location.remote.size_bytes
        try:
            size = await self._remote.size(location.remote.name)
        except RemoteFailed as error:
            return [Finding("remote", subject, str(error))]
        if size is None:
            return [Finding("remote-missing", subject, f"{location.remote.name} is not there")]
        if size != expected:
            detail = f"{location.remote.name} has {size} bytes, not {expected}"
            return [Finding("remote-size", subject, detail)]
        return []

    async def _orphans(self) -> AsyncGenerator[Finding, None]:
        """Copies nothing refers to, that are still there."""
        await self._journal.query(self._claim_others)
        if any(self._unclaimed.values()):
            # What became part of a volume after the walk had passed it is no orphan.
            await self._journal.query(self._claim_all)
        for tier, members in self._disks.items():
            for name in sorted(self._unclaimed[tier]):
                for disk in members:
                    try:
                        (await disk.open(name)).close()
                    except (ShardNotFound, DiskFailed):
                        continue
                    yield Finding("shard-orphan", disk.path, f"nothing refers to {name}")
        for name in sorted(self._unclaimed[Tier.COLD]):
            assert self._remote is not None
            try:
                if await self._remote.size(name) is not None:
                    yield Finding("remote-orphan", name, "nothing refers to it")
            except RemoteFailed as error:
                yield Finding("remote", name, str(error))

    def _claim_all(self, catalog: Catalog) -> None:
        after = ""
        while volumes := _volumes_after(catalog, after=after):
            for volume in volumes:
                self._claim(volume.location)
            after = volumes[-1].id
        self._claim_others(catalog)

    def _claim_others(self, catalog: Catalog) -> None:
        """Parts of uploads, copies being made and garbage not yet reclaimed are no orphans."""
        for bucket in catalog.buckets():
            request = ListRequest()
            while True:
                page = catalog.list_uploads(bucket.name, request)
                for upload in page.entries:
                    for part in catalog.parts(upload.id):
                        self._claim(part.location)
                if page.next is None:
                    break
                request = ListRequest(after=page.next)
        for volume in catalog.pending_moves():
            assert volume.pending
            copy_id = volume.pending.copy_id
            name = remote_name(copy_id) if volume.pending.to is Tier.COLD else copy_id
            self._unclaimed[volume.pending.to].discard(name)
        for garbage in catalog.garbage(freed_before_ms=_FOREVER_MS, limit=_EVERYTHING):
            self._claim(garbage.location)

    def _claim(self, location: Location) -> None:
        unclaimed = self._unclaimed[location.tier]
        if location.remote:
            unclaimed.discard(copy_key(location))
        unclaimed.difference_update(extent.id for extent in location.extents)


_FOREVER_MS = 1 << 60
_EVERYTHING = 1 << 60


def _volumes_after(catalog: Catalog, *, after: str) -> Sequence[Volume]:
    return catalog.volumes(after, PAGE_LENGTH)


def _uploads(bucket: BucketName, request: ListRequest, catalog: Catalog) -> Page[Upload]:
    return catalog.list_uploads(bucket, request)


def _part(upload_id: UploadId, number: int, catalog: Catalog) -> Part | None:
    found = catalog.parts(upload_id, number - 1, 1)
    return found[0] if found and found[0].number == number else None


async def _check_shard(
    disk: ShardStore, extent: Extent, index: int, subject: str
) -> Finding | None:
    where = f"shard {index} of {extent.id} on {disk.path}"
    try:
        ends = await read_ends(disk, extent.id)
    except ShardNotFound:
        return Finding("shard-missing", subject, f"{where} is not there")
    except (ShardCorrupt, DiskFailed) as error:
        return Finding("shard-corrupt", subject, f"{where}: {error}")
    found = (ends.preamble.extent_id, ends.preamble.index, ends.size_bytes)
    if found != (extent.id, index, extent.size_bytes):
        detail = f"{where} holds shard {found[1]} of {found[0]}, {found[2]} bytes"
        return Finding("shard-corrupt", subject, detail)
    return None
