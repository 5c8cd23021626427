"""What lies on the disks and in the remote: names of copies, and who has which shard of them.

The only walk over everything, for the day the journal is lost. Names are kept as 16 bytes with
two bit sets, about 120 bytes of memory for a copy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stratum.app.extents import is_rebuilt
from stratum.app.recovery import DecodeRecord, read_record
from stratum.domain import stripes
from stratum.domain.errors import DiskFailed, RemoteFailed, ShardCorrupt, ShardNotFound
from stratum.domain.names import ExtentId, Tier
from stratum.domain.volume import VOLUMES_FOLDER, Extent, Location, RemoteObject, ShardRecord
from stratum.ports import Buffer, RemoteStore, ShardStore

log = logging.getLogger("stratum.recover")

REMOTE_HEAD_BYTES = 12
"""Magic and length of the record: what a copy in the remote tier begins with."""


@dataclass
class Holders:
    """Disks that have a shard, one bit for each index: published, and staged."""

    published: int = 0
    staged: int = 0

    @property
    def indices(self) -> list[int]:
        both = self.published | self.staged
        return [index for index in range(stripes.CELLS) if both >> index & 1]

    @property
    def is_whole(self) -> bool:
        """Whether enough of it is there to be read."""
        return len(self.indices) >= stripes.DATA_CELLS


@dataclass
class Inventory:
    """Local copies by tier and extent id; names in the remote; disks that did not answer."""

    local: dict[Tier, dict[bytes, Holders]] = field(default_factory=dict)
    remote: set[str] = field(default_factory=set)
    silent: dict[Tier, set[int]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def holders(self, tier: Tier, extent_id: str) -> Holders:
        return self.local.get(tier, {}).get(_short(extent_id), Holders())

    def can_read(self, location: Location) -> bool:
        """Whether enough of a copy is there, going by names."""
        if location.remote is not None:
            return location.remote.name in self.remote
        return all(self.holders(location.tier, each.id).is_whole for each in location.extents)

    def missing(self, tier: Tier, extent_id: str) -> tuple[int, ...]:
        """Shards that disks which answer don't have."""
        have = self.holders(tier, extent_id).indices
        silent = self.silent.get(tier, set())
        return tuple(i for i in range(stripes.CELLS) if i not in have and i not in silent)


async def take_inventory(
    disks: Mapping[Tier, Sequence[ShardStore]],
    remote: RemoteStore | None,
    progress: Callable[[int], None],
) -> Inventory:
    """Collect all names; `progress` is told how many so far. Disks and a remote that don't answer
    are left out."""
    found = Inventory()
    seen = 0
    for tier, members in disks.items():
        copies = found.local.setdefault(tier, {})
        found.silent[tier] = set()
        for index, disk in enumerate(members):
            try:
                if await disk.label() is None:
                    raise DiskFailed(f"{disk.path}: missing: there is no label")
                for name in await disk.staged():
                    if _is_extent(name):
                        copies.setdefault(_short(name), Holders()).staged |= 1 << index
                async for name in disk.names():
                    if _is_extent(name):
                        copies.setdefault(_short(name), Holders()).published |= 1 << index
                        seen += 1
                        progress(seen)
            except DiskFailed as error:
                log.warning("disk %s is left out: %s", disk.path, error)
                found.silent[tier].add(index)
                found.absent.append(disk.path)
    if remote is not None:
        try:
            async for name in remote.names():
                if name.startswith(VOLUMES_FOLDER):
                    found.remote.add(name)
                    seen += 1
                    progress(seen)
        except RemoteFailed as error:
            log.warning("the remote is left out: %s", error)
            found.absent.append(remote.describe())
    return found


async def local_record(
    members: Sequence[ShardStore], extent_id: str, holders: Holders, decode: DecodeRecord
) -> ShardRecord | None:
    """The record of a copy from any shard that has it whole."""
    for index in holders.indices:
        try:
            return await read_record(members[index], extent_id, decode)
        except (ShardCorrupt, ShardNotFound, DiskFailed) as error:
            log.warning("shard %d of %s: %s", index, extent_id, error)
    return None


async def remote_record(
    remote: RemoteStore, name: str, magic: bytes, decode: DecodeRecord
) -> tuple[ShardRecord, Location] | None:
    """The record and the location of a copy in the remote tier; None if it is not whole."""
    try:
        head = await _read(remote, name, 0, REMOTE_HEAD_BYTES)
        length = int.from_bytes(head[len(magic) :], "little")
        if not head.startswith(magic) or length > stripes.RECORD_LENGTH_MAX_BYTES:
            raise ShardCorrupt("it does not begin like a copy of ours")
        offset = REMOTE_HEAD_BYTES + length
        record = decode(await _read(remote, name, REMOTE_HEAD_BYTES, offset))
        size = await remote.size(name)
        if size != offset + record.size_bytes:
            raise ShardCorrupt(f"it has {size} bytes, not {offset + record.size_bytes}")
    except (RemoteFailed, ShardCorrupt) as error:
        log.warning("%s: %s", name, error)
        return None
    return record, Location(Tier.COLD, remote=RemoteObject(name, offset, record.size_bytes))


async def _read(remote: RemoteStore, name: str, start: int, stop: int) -> bytes:
    async with remote.read(name, start, stop) as pieces:
        read: list[Buffer] = [bytes(piece) async for piece in pieces]
    return b"".join(read)


def as_found(inventory: Inventory, tier: Tier, extent: Extent) -> Extent:
    """An extent with the shards missing that are not there now."""
    missing = inventory.missing(tier, extent.id)
    return replace(extent, missing=missing)


def _is_extent(name: str) -> bool:
    """32 hexadecimal digits. What a repair had staged is of no use without that repair."""
    if is_rebuilt(name) or len(name) != 32:
        return False
    try:
        bytes.fromhex(name)
    except ValueError:
        return False
    return True


def _short(extent_id: str) -> bytes:
    return bytes.fromhex(extent_id)


def long_id(short: bytes) -> ExtentId:
    """The id as it is written elsewhere."""
    return ExtentId(short.hex())
