"""The placement side of the catalog in memory: volumes, garbage, disks, prices and pins."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from stratum.domain.catalog import DiskLabel, TierTotals, copy_key, missing_shards
from stratum.domain.events import (
    CopiesReclaimed,
    DiskAdded,
    MoveAbandoned,
    MoveDeclined,
    PricesAdopted,
    Recorded,
    RemoteUsed,
    ShardsRebuilt,
    SpendCapReached,
    TierDecided,
    TierPinned,
    TierUnpinned,
    VolumeMoved,
)
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, VolumeId
from stratum.domain.pin import Pin, longest_pin
from stratum.domain.pinning import pin_from
from stratum.domain.redundancy import with_shards
from stratum.domain.spending import RemoteUse
from stratum.domain.volume import Garbage, Location, PendingMove, Volume, unfinished_copy


class MemoryPlacements:
    """Implements Placements."""

    def __init__(self) -> None:
        self._volumes: dict[str, Volume] = {}
        self._garbage: dict[str, Garbage] = {}
        self._disks: dict[tuple[str, int], DiskLabel] = {}
        self._prices: dict[str, tuple[int, str]] = {}
        self._pins: dict[str, list[tuple[bytes, Pin]]] = {}
        self._remote_use: dict[str, RemoteUse] = {}

    def volume(self, volume_id: VolumeId) -> Volume | None:
        return self._volumes.get(volume_id)

    def volumes(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        return [self._volumes[each] for each in sorted(self._volumes) if each > after][:limit]

    def residents(self, tier: Tier, limit: int, after: Volume | None = None) -> Sequence[Volume]:
        found = [volume for volume in self._volumes.values() if volume.tier is tier]
        if after is not None:
            found = [volume for volume in found if _placed(volume) > _placed(after)]
        return sorted(found, key=_placed)[:limit]

    def remote_use(self, month: str = "") -> RemoteUse | None:
        if month:
            return self._remote_use.get(month)
        return next(reversed(self._remote_use.values()), None)

    def incomplete(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        found = [
            volume
            for volume in self._volumes.values()
            if volume.id > after and missing_shards(volume.location)
        ]
        return sorted(found, key=lambda volume: volume.id)[:limit]

    def pending_moves(self) -> Sequence[Volume]:
        pending = (volume for volume in self._volumes.values() if volume.pending is not None)
        return sorted(pending, key=lambda volume: volume.id)

    def garbage(
        self, freed_before_ms: int, limit: int, after: Garbage | None = None
    ) -> Sequence[Garbage]:
        old = [each for each in self._garbage.values() if each.freed_at_ms <= freed_before_ms]
        if after is not None:
            old = [each for each in old if _waiting(each) > _waiting(after)]
        return sorted(old, key=_waiting)[:limit]

    def totals(self) -> dict[Tier, TierTotals]:
        totals = {}
        for tier in Tier:
            volumes = [volume for volume in self._volumes.values() if volume.tier is tier]
            missing: dict[int, int] = {}
            for volume in volumes:
                lost = missing_shards(volume.location)
                missing[lost] = missing.get(lost, 0) + 1
            size_bytes = sum(volume.size_bytes for volume in volumes)
            totals[tier] = TierTotals(len(volumes), size_bytes, missing)
        return totals

    def disks(self) -> Sequence[DiskLabel]:
        return [self._disks[place] for place in sorted(self._disks)]

    def prices(self, version: str = "") -> tuple[str, str] | None:
        if not version and self._prices:
            version = max(self._prices, key=lambda each: self._prices[each][0])
        return (version, self._prices[version][1]) if version in self._prices else None

    def pin_of(self, bucket: BucketName, key: ObjectKey) -> Pin | None:
        pins = self._pins.get(bucket, [])

        def at_or_below(sought: bytes) -> Pin | None:
            at = bisect_right(pins, sought, key=_pinned_prefix)
            return pins[at - 1][1] if at else None

        return longest_pin(key.encode(), at_or_below)

    def pins(self, bucket: BucketName | None = None) -> Sequence[Pin]:
        buckets = sorted(self._pins) if bucket is None else [bucket]
        return [pin for each in buckets for _, pin in self._pins.get(each, [])]

    # -- events ---------------------------------------------------------------------------------
    def _tier_decided(self, row: Recorded, event: TierDecided) -> None:
        decision = event.decision
        pending = PendingMove(decision.target, event.copy_id, row.at_ms, decision.sentence)
        self._change(row, event.volume_id, pending=pending)

    def _volume_moved(self, row: Recorded, event: VolumeMoved) -> None:
        volume = self._change(
            row, event.volume_id, location=event.target, placed_at_ms=row.at_ms, pending=None
        )
        if volume is not None:
            self._free(row, event.source)
            self._show_location(volume)

    def _move_abandoned(self, row: Recorded, event: MoveAbandoned) -> None:
        self._change(row, event.volume_id, pending=None)
        self._free_unfinished(row, event.to, event.copy_id)

    def _shards_rebuilt(self, row: Recorded, event: ShardsRebuilt) -> None:
        volume = self._volumes.get(event.volume_id)
        if volume is not None:
            location = with_shards(volume.location, event.extent_id, event.indices)
            changed = self._change(row, event.volume_id, location=location)
            assert changed is not None
            self._show_location(changed)

    def _copies_reclaimed(self, row: Recorded, event: CopiesReclaimed) -> None:
        for copy in event.copies:
            self._garbage.pop(copy, None)

    def _disk_added(self, row: Recorded, event: DiskAdded) -> None:
        place = (event.tier.value, event.index)
        self._disks[place] = DiskLabel(event.tier, event.index, event.disk_id)

    def _prices_adopted(self, row: Recorded, event: PricesAdopted) -> None:
        self._prices[event.version] = (row.seq, event.document)

    def _tier_pinned(self, row: Recorded, event: TierPinned) -> None:
        self._unpin(event.bucket, event.prefix)
        insort(
            self._pins.setdefault(event.bucket, []),
            (event.prefix.encode(), pin_from(row)),
            key=_pinned_prefix,
        )

    def _tier_unpinned(self, row: Recorded, event: TierUnpinned) -> None:
        self._unpin(event.bucket, event.prefix)

    def _move_declined(self, row: Recorded, event: MoveDeclined) -> None:
        self._change(row, event.volume_id)

    def _remote_used(self, row: Recorded, event: RemoteUsed) -> None:
        before = self._remote_use.pop(event.month, None)  # the one used last comes last
        self._remote_use[event.month] = RemoteUse(
            event.month,
            event.puts,
            event.gets,
            event.egress_bytes,
            before is not None and before.capped,
        )

    def _spend_cap_reached(self, row: Recorded, event: SpendCapReached) -> None:
        if event.month in self._remote_use:
            used = self._remote_use[event.month]
            self._remote_use[event.month] = replace(used, capped=True)

    def _unpin(self, bucket: BucketName, prefix: str) -> None:
        pins = self._pins.get(bucket, [])
        pins[:] = [each for each in pins if each[1].prefix != prefix]

    def _change(self, row: Recorded, volume_id: VolumeId, **changes: Any) -> Volume | None:
        volume = self._volumes.get(volume_id)
        if volume is None:
            return None
        changed = replace(volume, stream_version=row.version, **changes)
        self._volumes[volume_id] = changed
        return changed

    def _free(self, row: Recorded, location: Location) -> None:
        self._garbage[copy_key(location)] = Garbage(location, row.at_ms)

    def _free_unfinished(self, row: Recorded, to: Tier, copy_id: ExtentId) -> None:
        left = unfinished_copy(to, copy_id)
        if left is not None:
            self._free(row, left)

    def _show_location(self, volume: Volume) -> None:
        """Called when a volume lies elsewhere now; there are no keys here to show it under."""


def _pinned_prefix(entry: tuple[bytes, Pin]) -> bytes:
    return entry[0]


def _placed(volume: Volume) -> tuple[int, str]:
    return volume.placed_at_ms, volume.id


def _waiting(garbage: Garbage) -> tuple[int, str]:
    return garbage.freed_at_ms, copy_key(garbage.location)


APPLY_PLACEMENTS: dict[type, Callable[[MemoryPlacements, Recorded, Any], None]] = {
    TierDecided: MemoryPlacements._tier_decided,
    VolumeMoved: MemoryPlacements._volume_moved,
    MoveAbandoned: MemoryPlacements._move_abandoned,
    ShardsRebuilt: MemoryPlacements._shards_rebuilt,
    CopiesReclaimed: MemoryPlacements._copies_reclaimed,
    DiskAdded: MemoryPlacements._disk_added,
    PricesAdopted: MemoryPlacements._prices_adopted,
    TierPinned: MemoryPlacements._tier_pinned,
    TierUnpinned: MemoryPlacements._tier_unpinned,
    MoveDeclined: MemoryPlacements._move_declined,
    RemoteUsed: MemoryPlacements._remote_used,
    SpendCapReached: MemoryPlacements._spend_cap_reached,
}
