"""What must be put right before the server listens. Looks at what the last run left staged and at
moves it had begun; never walks the store. Every step can be repeated, so a crash here is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stratum.app.extents import is_rebuilt, read_ends
from stratum.app.together import together
from stratum.domain import stripes
from stratum.domain.catalog import Catalog, DiskLabel
from stratum.domain.errors import DiskFailed, ShardCorrupt, ShardNotFound
from stratum.domain.events import DiskAdded
from stratum.domain.names import ExtentId, Tier
from stratum.domain.volume import Extent, Location, ShardRecord
from stratum.ports import Journal, NewId, ShardStore

log = logging.getLogger("stratum.recovery")

DecodeRecord = Callable[[bytes], ShardRecord]


@dataclass(frozen=True)
class Recovered:
    """What recovery did: extents published, extents thrown away, disks that did not answer."""

    published: int
    discarded: int
    absent: tuple[str, ...]


async def read_record(disk: ShardStore, name: str, decode: DecodeRecord) -> ShardRecord:
    """The record at the end of a shard. Raises ShardCorrupt (torn, or not this one),
    ShardNotFound, DiskFailed."""
    ends = await read_ends(disk, name)
    record = decode(ends.record)
    if not ends.preamble.extent_id == record.extent_id == name:
        raise ShardCorrupt(f"{name} holds a shard of {record.extent_id}")
    return record


async def claim_disks(
    journal: Journal, disks: Mapping[Tier, Sequence[ShardStore]], new_id: NewId
) -> tuple[str, ...]:
    """Label disks the journal does not know yet; check the labels of those it does.

    Returns the paths of disks that are missing or don't answer. Raises DiskFailed when a directory
    holds another disk of this or another store (its shards would be taken for the right ones, or
    be lost to theirs), and when a new disk can't be made.
    """
    catalog = journal.catalog
    known = {(disk.tier, disk.index): disk.disk_id for disk in catalog.disks()}
    absent: list[str] = []
    for tier, members in disks.items():
        for index, disk in enumerate(members):
            disk_id = known.get((tier, index))
            try:
                if disk_id is None:
                    disk_id = await _introduce(journal, disk, tier, index, new_id())
                label = await _labelled(catalog, disk, DiskLabel(tier, index, disk_id))
            except DiskFailed as error:
                if (tier, index) not in known:
                    raise
                label = None
                log.error("disk %s of %s does not answer: %s", index, tier, error)
            if label is None:
                log.error("disk %s of %s is missing: %s", index, tier, disk.path)
                absent.append(disk.path)
            elif label.get("disk_id") != disk_id:
                raise DiskFailed(
                    f"{disk.path} is not the disk it was: expected {disk_id}, found"
                    f" {label.get('disk_id')}. Were two disks swapped?"
                )
    return tuple(absent)


async def _introduce(
    journal: Journal, disk: ShardStore, tier: Tier, index: int, disk_id: str
) -> str:
    """Tell the journal of a new disk. Raises DiskFailed if it is not new."""
    if await disk.label() is not None:
        raise DiskFailed(
            f"{disk.path} belongs to a store whose journal is not this one. If its metadata was"
            " lost, `stratum recover` makes it again. To start an empty store, use empty"
            " directories."
        )
    # The event first: a label the journal doesn't know would look like another store's.
    added = partial(_add_disk, label=DiskLabel(tier, index, disk_id))
    await journal.transact(added, by="system")
    return disk_id


async def _labelled(catalog: Catalog, disk: ShardStore, own: DiskLabel) -> Mapping[str, str] | None:
    """The disk's label, made if there is none and nothing to lose."""
    label = await disk.label()
    if label is None and _is_unused(catalog, own.tier):
        new = {"disk_id": own.disk_id, "tier": own.tier.value, "index": str(own.index)}
        label = await disk.label(new)
    return label


def _is_unused(catalog: Catalog, tier: Tier) -> bool:
    """A tier without volumes has nothing to lose: its disks may be made (again) from nothing.
    Parts of uploads are no volumes; they are written to the hot tier."""
    totals = catalog.totals()
    if tier in totals and totals[tier].volumes:
        return False
    return tier is not Tier.HOT or all(catalog.is_empty(each.name) for each in catalog.buckets())


def _add_disk(catalog: Catalog, *, label: DiskLabel) -> Sequence[DiskAdded]:
    return [DiskAdded(label.tier, label.index, label.disk_id)]


async def settle_staged(
    journal: Journal, disks: Mapping[Tier, Sequence[ShardStore]], decode: DecodeRecord
) -> Recovered:
    """Publish staged shards the journal refers to and delete the others.

    A disk that fails meanwhile is left as it is: what stays staged there is readable.
    """
    published = discarded = 0
    absent: list[str] = []
    for tier, members in disks.items():
        staged: dict[ExtentId, list[int]] = {}
        for index, disk in enumerate(members):
            try:
                for name in await disk.staged():
                    if is_rebuilt(name):
                        await disk.delete(name)  # a repair that a crash interrupted
                    else:
                        staged.setdefault(ExtentId(name), []).append(index)
            except DiskFailed as error:
                log.error("disk %s does not answer: %s", disk.path, error)
                absent.append(disk.path)
        for extent_id, holders in staged.items():
            try:
                extent = await _committed(journal, extent_id, tier, members, holders, decode)
            except DiskFailed as error:
                log.warning("extent %s stays staged: %s", extent_id, error)
                continue
            if extent is None:
                discarded += 1
            else:
                published += 1
            await together(*(_settler(members[i], i, extent_id, extent) for i in holders))
    return Recovered(published, discarded, tuple(absent))


def _settler(
    disk: ShardStore, index: int, extent_id: ExtentId, extent: Extent | None
) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            # What a disk has of an extent that was committed without it was torn.
            if extent is None or index in extent.missing:
                await disk.delete(extent_id)
            else:
                await disk.publish(extent_id)
        except (DiskFailed, ShardNotFound) as error:
            log.warning("shard %s on %s stays as it is: %s", extent_id, disk.path, error)

    return run


async def _committed(
    journal: Journal,
    extent_id: ExtentId,
    tier: Tier,
    members: Sequence[ShardStore],
    holders: Sequence[int],
    decode: DecodeRecord,
) -> Extent | None:
    """The extent as the catalog has it; None if no location includes it.

    Shards carry the same record, so one good record tells. It may be on a disk that has published
    its shard already. Without any, all shards were torn before their fsync, and the extent was
    never committed. Raises DiskFailed if too many disks don't answer to say so.
    """
    failures: list[DiskFailed] = []
    for index in sorted(range(len(members)), key=lambda index: index not in holders):
        try:
            record = await read_record(members[index], extent_id, decode)
        except (ShardCorrupt, ShardNotFound):
            continue
        except DiskFailed as error:
            failures.append(error)
            continue
        for location in _locations(journal.catalog, record):
            for extent in location.extents:
                if location.tier is tier and extent.id == extent_id:
                    return extent
        return None
    if len(failures) > stripes.PARITY_CELLS:
        raise failures[0]
    return None


def _locations(catalog: Catalog, record: ShardRecord) -> Sequence[Location]:
    """Where the volume or part that a record belongs to is, says the catalog."""
    if record.upload_id is None:
        volume = catalog.volume(record.volume_id)
        return [volume.location] if volume else []
    completed = catalog.completed(record.upload_id)
    if completed is not None:
        volume = catalog.volume(completed[0])
        return [volume.location] if volume else []
    after = record.part_number - 1
    return [part.location for part in catalog.parts(record.upload_id, after, 1)]
