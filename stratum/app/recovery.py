"""What must be put right before the server listens. Looks at what the last run left staged and at
moves it had begun; never walks the store. Every step can be repeated, so a crash here is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stratum.app.together import together
from stratum.domain import stripes
from stratum.domain.catalog import Catalog, DiskLabel, TierTotals
from stratum.domain.errors import DiskFailed, InsufficientShards, ShardCorrupt, ShardNotFound
from stratum.domain.events import DiskAdded
from stratum.domain.names import ExtentId, Tier
from stratum.domain.volume import Location, ShardRecord
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
    """The record at the end of a shard. Raises ShardCorrupt (torn or not ours), ShardNotFound,
    DiskFailed."""
    reader = await disk.open(name)
    try:
        size = reader.size()
        if size < stripes.PREAMBLE_BYTES + stripes.TAIL_BYTES:
            raise ShardCorrupt(f"{name} is too short for a shard")
        preamble = stripes.parse_preamble(await reader.read_at(0, stripes.PREAMBLE_BYTES))
        tail = stripes.parse_tail(
            await reader.read_at(size - stripes.TAIL_BYTES, stripes.TAIL_BYTES)
        )
        offset = tail.check_shard(size, preamble.stripe_size_bytes)
        record = await reader.read_at(offset, tail.record_length)
        return decode(bytes(tail.check_record(record)))
    finally:
        reader.close()


async def claim_disks(
    journal: Journal, disks: Mapping[Tier, Sequence[ShardStore]], new_id: NewId
) -> tuple[str, ...]:
    """Label disks the journal does not know yet; check the labels of those it does.

    Returns the paths of missing disks. Raises DiskFailed when a directory holds another disk of
    this or another store: its shards would be taken for the right ones, or be lost to theirs.
    """
    catalog = journal.catalog
    known = {(disk.tier, disk.index): disk.disk_id for disk in catalog.disks()}
    totals = catalog.totals()
    absent: list[str] = []
    for tier, members in disks.items():
        for index, disk in enumerate(members):
            disk_id = known.get((tier, index))
            label = await disk.label()
            if disk_id is None:
                if label is not None:
                    raise DiskFailed(
                        f"{disk.path} belongs to a store whose journal is not this one. To start"
                        " an empty store, use empty directories."
                    )
                # The event first: a label the journal doesn't know would look like another store's.
                disk_id = new_id()
                await journal.transact(
                    partial(_add_disk, label=DiskLabel(tier, index, disk_id)), by="system"
                )
            if label is None and _is_unused(totals, tier):
                label = await disk.label({"disk_id": disk_id, "tier": tier, "index": str(index)})
            if label is None:
                log.error("disk %s of %s is missing: %s", index, tier, disk.path)
                absent.append(disk.path)
            elif label["disk_id"] != disk_id:
                raise DiskFailed(
                    f"{disk.path} is not the disk it was: expected {disk_id}, found"
                    f" {label['disk_id']}. Were two disks swapped?"
                )
    return tuple(absent)


def _is_unused(totals: Mapping[Tier, TierTotals], tier: Tier) -> bool:
    """A tier without volumes has nothing to lose: its disks may be made (again) from nothing."""
    return tier not in totals or totals[tier].volumes == 0


def _add_disk(catalog: Catalog, *, label: DiskLabel) -> Sequence[DiskAdded]:
    return [DiskAdded(label.tier, label.index, label.disk_id)]


async def settle_staged(
    journal: Journal, disks: Mapping[Tier, Sequence[ShardStore]], decode: DecodeRecord
) -> Recovered:
    """Publish staged shards the journal refers to and delete the others."""
    published = discarded = 0
    absent: list[str] = []
    for tier, members in disks.items():
        staged: dict[str, list[ShardStore]] = {}
        for disk in members:
            try:
                for name in await disk.staged():
                    staged.setdefault(name, []).append(disk)
            except DiskFailed as error:
                log.error("disk %s does not answer: %s", disk.path, error)
                absent.append(disk.path)
        for name, holders in staged.items():
            if await _is_committed(journal, ExtentId(name), tier, holders, decode):
                published += 1
                await together(*(partial(disk.publish, name) for disk in holders))
            else:
                discarded += 1
                await together(*(partial(disk.delete, name) for disk in holders))
    return Recovered(published, discarded, tuple(absent))


async def _is_committed(
    journal: Journal,
    extent_id: ExtentId,
    tier: Tier,
    holders: Sequence[ShardStore],
    decode: DecodeRecord,
) -> bool:
    """Whether any location in the catalog includes this extent.

    A shard without a readable record was torn before its fsync, so it was never committed. One
    good shard is enough to tell; they all carry the same record.
    """
    for disk in holders:
        try:
            record = await read_record(disk, extent_id, decode)
        except (ShardCorrupt, ShardNotFound, DiskFailed, InsufficientShards):
            continue
        return any(
            location.tier is tier and any(extent.id == extent_id for extent in location.extents)
            for location in _locations(journal.catalog, record)
        )
    return False


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
