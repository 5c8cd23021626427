"""Reading every shard of every extent, reporting what is lost or corrupt, and writing it again.

The catalog says what there should be; the disks are not walked. A running server goes on meanwhile:
whatever looks wrong is looked up again before it is reported, and again before and after a
rebuilt shard takes its place, because its volume may have been moved, overwritten or deleted.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import trio

from stratum.app.pace import Pace
from stratum.app.shard_repair import DecodeRecord, ExtentShards, ScrubTools
from stratum.domain.catalog import Catalog
from stratum.domain.errors import Conflict, DiskFailed, InsufficientShards
from stratum.domain.listing import ListRequest, Page
from stratum.domain.names import BucketName, ExtentId, Tier, UploadId, VolumeId
from stratum.domain.redundancy import find_extent, record_rebuilt
from stratum.domain.stripes import ErasureProfile
from stratum.domain.volume import Extent, Location, Part, Upload, Volume
from stratum.ports import Codec, Journal, ShardStore

SCRUB_BYTES_PER_S = 200e6
"""What a scrub reads from all disks together, so that clients are served meanwhile."""
VOLUMES_PER_PAGE = 100
PARTS_PER_PAGE = 100
PROGRESS_INTERVAL_S = 1.0

log = logging.getLogger("stratum.scrub")


@dataclass(frozen=True)
class ShardFinding:
    """Something that a scrub found."""

    kind: str
    """`shard-missing`, `shard-corrupt`, `extent-unreadable` or `disk`."""
    subject: str
    detail: str
    repaired: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a scrub is; about once a second."""

    volumes: int
    volumes_total: int
    read_bytes: int


@dataclass(frozen=True)
class Place:
    """A disk: its tier and its index there."""

    tier: Tier
    index: int


class _Owner(NamedTuple):
    """Whom an extent belongs to: a volume, or a part of an upload."""

    subject: str
    volume_id: VolumeId | None
    upload_id: UploadId | None = None
    number: int = 0

    def refers_to(self, extent_id: ExtentId, catalog: Catalog) -> bool:
        """Whether it, or what an upload became, still does."""
        volume_id = self.volume_id
        if self.upload_id is not None:
            part = _part(catalog, self.upload_id, self.number)
            if part is not None:
                return find_extent(part.location, extent_id) is not None
            completed = catalog.completed(self.upload_id)
            volume_id = completed[0] if completed else None
        volume = catalog.volume(volume_id) if volume_id else None
        return volume is not None and find_extent(volume.location, extent_id) is not None


class _Turn:
    """Whose repair is under way."""

    taken = False


class Scrubber:
    """Made once for a store; repairs one at a time."""

    def __init__(
        self,
        journal: Journal,
        disks: Mapping[Tier, Sequence[ShardStore]],
        codec: Codec,
        decode: DecodeRecord,
        profile: ErasureProfile,
        *,
        bytes_per_s: float | None = SCRUB_BYTES_PER_S,
    ) -> None:
        self._journal = journal
        self._disks = disks
        self._tools = ScrubTools(codec, decode, profile, Pace(bytes_per_s))
        self._turn = _Turn()

    def paced(self, bytes_per_s: float | None) -> Scrubber:
        """The same at another pace. Of both together one repairs at a time."""
        tools = self._tools
        other = Scrubber(
            self._journal,
            self._disks,
            tools.codec,
            tools.decode,
            tools.profile,
            bytes_per_s=bytes_per_s,
        )
        other._turn = self._turn
        return other

    @asynccontextmanager
    async def run(
        self, *, repair: bool = False, only: Place | None = None
    ) -> AsyncGenerator[AsyncGenerator[ShardFinding | Progress, None], None]:
        """Findings and progress of one walk through the store, or one disk of it.

        Without `repair` nothing is changed. Raises Conflict while another repair is under way:
        both would write the same shards.
        """
        if repair and self._turn.taken:
            raise Conflict("A repair is under way already")
        self._turn.taken = self._turn.taken or repair
        try:
            async with aclosing(_Walk(self, repair, only).steps()) as steps:
                yield steps
        finally:
            self._turn.taken = self._turn.taken and not repair

    async def mend(self, volume: Volume) -> list[ShardFinding]:
        """Read all shards of one volume and repair them; what was wrong. Raises Conflict while
        another repair is under way."""
        if self._turn.taken:
            raise Conflict("A repair is under way already")
        self._turn.taken = True
        try:
            async with aclosing(_Walk(self, True, None).one(volume)) as steps:
                return [step async for step in steps if isinstance(step, ShardFinding)]
        finally:
            self._turn.taken = False


class _Walk:
    def __init__(self, scrubber: Scrubber, repair: bool, only: Place | None) -> None:
        self._journal = scrubber._journal
        self._disks = scrubber._disks
        self._tools = scrubber._tools
        self._repair = repair
        self._only = only
        self._silent: dict[Tier, set[int]] = {tier: set() for tier in self._disks}
        self._volumes = self._volumes_total = self._read_bytes = 0
        self._reported_at = trio.current_time()

    async def steps(self) -> AsyncGenerator[ShardFinding | Progress, None]:
        totals = await self._journal.query(lambda catalog: catalog.totals())
        self._volumes_total = sum(each.volumes for each in totals.values())
        for place in self._places():
            for finding in await self._look_at_disk(place):
                yield finding
        # Parts first: what becomes a volume meanwhile gets a younger id than all there are.
        for walk in (self._parts(), self._all_volumes()):
            async with aclosing(walk) as steps:
                async for step in steps:
                    yield step
        yield self._progress()

    async def one(self, volume: Volume) -> AsyncGenerator[ShardFinding | Progress, None]:
        """A single volume, on the disks that answer now."""
        for place in self._places():
            if place.tier is volume.tier:
                await self._look_at_disk(place)
        owner = _Owner(f"{volume.bucket}/{volume.key}", volume.id)
        async with aclosing(self._location(owner, volume.location)) as steps:
            async for step in steps:
                yield step

    # -- disks ----------------------------------------------------------------------------------
    def _places(self) -> list[Place]:
        everywhere = [Place(t, i) for t, disks in self._disks.items() for i in range(len(disks))]
        return [place for place in everywhere if self._only in (None, place)]

    async def _look_at_disk(self, place: Place) -> list[ShardFinding]:
        """A finding if it doesn't answer, or isn't the one that belongs there; it is then left
        alone. Nothing is ever written into what may be an empty mount point."""
        tier, index = place.tier, place.index
        disk = self._disks[tier][index]
        if index in self._silent[tier]:
            return []
        labels = await self._journal.query(lambda catalog: catalog.disks())
        known = {Place(each.tier, each.index): each.disk_id for each in labels}
        try:
            label = await disk.label()
            fault = "missing" if label is None else ""
            if label is not None and label.get("disk_id") != known.get(place):
                fault = "another disk than the one that belongs here"
        except DiskFailed as error:
            fault = str(error)
        if not fault:
            return []
        self._silent[tier].add(index)
        return [ShardFinding("disk", disk.path, fault)]

    # -- what there is --------------------------------------------------------------------------
    async def _all_volumes(self) -> AsyncGenerator[ShardFinding | Progress, None]:
        after = ""
        while page := await self._journal.query(partial(_volumes, after)):
            for volume in page:
                owner = _Owner(f"{volume.bucket}/{volume.key}", volume.id)
                async with aclosing(self._location(owner, volume.location)) as steps:
                    async for step in steps:
                        yield step
                self._volumes += 1
                if self._is_due():
                    yield self._progress()
            after = page[-1].id

    async def _parts(self) -> AsyncGenerator[ShardFinding | Progress, None]:
        for bucket in await self._journal.query(lambda catalog: catalog.buckets()):
            request: ListRequest | None = ListRequest()
            while request is not None:
                page = await self._journal.query(partial(_uploads, bucket.name, request))
                for upload in page.entries:
                    async with aclosing(self._parts_of(upload)) as steps:
                        async for step in steps:
                            yield step
                request = ListRequest(after=page.next) if page.next is not None else None

    async def _parts_of(self, upload: Upload) -> AsyncGenerator[ShardFinding | Progress, None]:
        after = 0
        while page := await self._journal.query(partial(_parts, upload.id, after)):
            for part in page:
                subject = f"{upload.bucket}/{upload.key} part {part.number} of upload {upload.id}"
                owner = _Owner(subject, None, upload.id, part.number)
                async with aclosing(self._location(owner, part.location)) as steps:
                    async for step in steps:
                        yield step
            after = page[-1].number

    async def _location(
        self, owner: _Owner, location: Location
    ) -> AsyncGenerator[ShardFinding | Progress, None]:
        tier = location.tier
        if tier not in self._disks or (self._only and self._only.tier is not tier):
            return
        for extent in location.extents:
            async with aclosing(self._extent(owner, tier, extent)) as steps:
                async for step in steps:
                    yield step

    # -- one extent -----------------------------------------------------------------------------
    async def _extent(
        self, owner: _Owner, tier: Tier, extent: Extent
    ) -> AsyncGenerator[ShardFinding | Progress, None]:
        shards = ExtentShards(self._disks[tier], extent, self._silent[tier], self._tools)
        only = self._only.index if self._only else None
        async with aclosing(self._ticks(shards.verify(only))) as ticks:
            async for tick in ticks:
                yield tick
        asked = set(range(self._tools.profile.shards)) if only is None else {only}
        asked -= self._silent[tier]
        # There, whole, and not counted: a repair was interrupted before it could record them.
        uncounted = asked.intersection(extent.missing) - set(shards.lost)
        if owner.volume_id is None:
            uncounted.clear()
        if not (shards.lost or uncounted or shards.unreadable):
            return
        if not await self._still(owner, extent):
            return
        for index in sorted(shards.refusing):
            for finding in await self._look_at_disk(Place(tier, index)):
                yield finding
        mendable = {index: why for index, why in shards.lost.items() if index in asked}
        for index in self._silent[tier].intersection(mendable):
            del mendable[index]
        repaired: set[int] = set()
        if self._repair and not shards.unreadable:
            try:
                async with aclosing(self._ticks(shards.rebuild(mendable))) as ticks:
                    async for tick in ticks:
                        yield tick
                repaired.update(await self._put_in_place(owner, shards, tier, extent))
            except InsufficientShards as error:
                shards.unreadable = str(error)
            finally:
                await shards.discard()
            repaired |= await self._record(owner, extent, repaired | uncounted)
            if not await self._still(owner, extent):
                return
        for finding in self._findings(owner, tier, extent, shards, mendable, uncounted, repaired):
            yield finding

    async def _put_in_place(
        self, owner: _Owner, shards: ExtentShards, tier: Tier, extent: Extent
    ) -> list[int]:
        """Publish what was rebuilt; the indices, none if nobody refers to the extent any more."""
        if not await self._still(owner, extent):
            return []
        done = await shards.replace()
        if await self._still(owner, extent):
            return done
        # It was freed meanwhile, and may have been reclaimed before our shards were there.
        for index in done:
            try:
                await self._disks[tier][index].delete(extent.id)
            except DiskFailed as error:
                log.warning("shard %d of %s is left over: %s", index, extent.id, error)
        return []

    async def _record(self, owner: _Owner, extent: Extent, there: set[int]) -> set[int]:
        """Let shards that were missing at the commit count from now on; which of them do."""
        indices = tuple(sorted(there.intersection(extent.missing)))
        if not indices or owner.volume_id is None:
            return set()
        decide = partial(
            record_rebuilt, volume_id=owner.volume_id, extent_id=extent.id, indices=indices
        )
        try:
            await self._journal.transact(decide, by="system")
        except Conflict as error:
            log.info("not recorded: %s", error)
            return set()
        return set(indices)

    def _findings(
        self,
        owner: _Owner,
        tier: Tier,
        extent: Extent,
        shards: ExtentShards,
        mendable: Mapping[int, str],
        uncounted: set[int],
        repaired: set[int],
    ) -> list[ShardFinding]:
        found = []
        for index in sorted({*mendable, *uncounted}):
            where = f"shard {index} of {extent.id} on {self._disks[tier][index].path}"
            why = mendable.get(index, "whole, but it counts as not written")
            gone = index in shards.absent or index in uncounted
            kind = "shard-missing" if gone else "shard-corrupt"
            if index in repaired:
                log.info("%s rebuilt: it was %s", where, why)
            found.append(
                ShardFinding(kind, owner.subject, f"{where}: {why}", repaired=index in repaired)
            )
        if shards.unreadable:
            detail = f"extent {extent.id}: {shards.unreadable}"
            found.append(ShardFinding("extent-unreadable", owner.subject, detail))
        return found

    async def _still(self, owner: _Owner, extent: Extent) -> bool:
        return await self._journal.query(partial(owner.refers_to, extent.id))

    # -- progress -------------------------------------------------------------------------------
    async def _ticks(self, work: AsyncGenerator[int, None]) -> AsyncGenerator[Progress, None]:
        async with aclosing(work) as sizes:
            async for size_bytes in sizes:
                self._read_bytes += size_bytes
                if self._is_due():
                    yield self._progress()

    def _is_due(self) -> bool:
        return trio.current_time() >= self._reported_at + PROGRESS_INTERVAL_S

    def _progress(self) -> Progress:
        self._reported_at = trio.current_time()
        return Progress(self._volumes, self._volumes_total, self._read_bytes)


def _volumes(after: str, catalog: Catalog) -> Sequence[Volume]:
    return catalog.volumes(after, VOLUMES_PER_PAGE)


def _uploads(bucket: BucketName, request: ListRequest, catalog: Catalog) -> Page[Upload]:
    return catalog.list_uploads(bucket, request)


def _parts(upload_id: UploadId, after: int, catalog: Catalog) -> Sequence[Part]:
    return catalog.parts(upload_id, after, PARTS_PER_PAGE)


def _part(catalog: Catalog, upload_id: UploadId, number: int) -> Part | None:
    found = catalog.parts(upload_id, number - 1, 1)
    return found[0] if found and found[0].number == number else None
