"""The catalog in memory: dictionaries, and sorted keys for listings. For simulations and tests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from stratum.domain.catalog import (
    Bucket,
    DiskLabel,
    ListedObject,
    TierTotals,
    copy_key,
    missing_shards,
)
from stratum.domain.events import (
    BucketCreated,
    BucketDeleted,
    CopiesReclaimed,
    DiskAdded,
    MoveAbandoned,
    PartStored,
    PricesAdopted,
    Recorded,
    ShardsRebuilt,
    TierDecided,
    TierPinned,
    TierUnpinned,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionCommitted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.listing import ListRequest, Page, Position, paginate
from stratum.domain.names import BucketName, Caller, ExtentId, ObjectKey, Tier, UploadId, VolumeId
from stratum.domain.pin import Pin, longest_pin
from stratum.domain.pinning import pin_from
from stratum.domain.redundancy import with_shards
from stratum.domain.volume import (
    Garbage,
    Location,
    ObjectVersion,
    Part,
    PendingMove,
    Upload,
    Volume,
    unfinished_copy,
)


class MemoryCatalog:
    """Implements Catalog; `apply` is the only thing that changes it."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._objects: dict[str, dict[bytes, ObjectVersion]] = {}
        self._keys: dict[str, list[bytes]] = {}
        self._volumes: dict[str, Volume] = {}
        self._uploads: dict[str, Upload] = {}
        self._upload_keys: dict[str, list[tuple[bytes, str]]] = {}
        self._parts: dict[str, dict[int, Part]] = {}
        self._completed: dict[str, tuple[VolumeId, tuple[int, ...]]] = {}
        self._garbage: dict[str, Garbage] = {}
        self._disks: dict[tuple[str, int], DiskLabel] = {}
        self._prices: dict[str, tuple[int, str]] = {}
        self._pins: dict[str, list[tuple[bytes, Pin]]] = {}

    # -- namespace ------------------------------------------------------------------------------
    def bucket(self, name: BucketName) -> Bucket | None:
        return self._buckets.get(name)

    def buckets(self) -> Sequence[Bucket]:
        return [self._buckets[name] for name in sorted(self._buckets)]

    def is_empty(self, bucket: BucketName) -> bool:
        return not self._keys.get(bucket) and not self._upload_keys.get(bucket)

    def version(self, bucket: BucketName, key: ObjectKey) -> ObjectVersion | None:
        return self._objects.get(bucket, {}).get(key.encode())

    def list_objects(self, bucket: BucketName, request: ListRequest) -> Page[ListedObject]:
        objects, keys = self._objects.get(bucket, {}), self._keys.get(bucket, [])

        def seek(lower: bytes) -> Iterator[ListedObject]:
            for at in range(bisect_left(keys, lower), len(keys)):
                yield _listed(objects[keys[at]])

        return paginate(seek, request, lambda listed: listed.key)

    def upload(self, upload_id: UploadId) -> Upload | None:
        return self._uploads.get(upload_id)

    def parts(self, upload_id: UploadId, after: int = 0, limit: int = 10_000) -> Sequence[Part]:
        parts = self._parts.get(upload_id, {})
        return [parts[number] for number in sorted(parts) if number > after][:limit]

    def list_uploads(
        self, bucket: BucketName, request: ListRequest, after_upload: str = ""
    ) -> Page[Upload]:
        if after_upload and request.after is not None:
            request = replace(request, after=Position(request.after.key, within=after_upload))
        keys = self._upload_keys.get(bucket, [])

        def seek(lower: bytes) -> Iterator[Upload]:
            for at in range(bisect_left(keys, (lower, "")), len(keys)):
                yield self._uploads[keys[at][1]]

        return paginate(seek, request, lambda upload: upload.key, lambda upload: upload.id)

    def completed(self, upload_id: UploadId) -> tuple[VolumeId, tuple[int, ...]] | None:
        return self._completed.get(upload_id)

    # -- placements -----------------------------------------------------------------------------
    def volume(self, volume_id: VolumeId) -> Volume | None:
        return self._volumes.get(volume_id)

    def volumes(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        return [self._volumes[each] for each in sorted(self._volumes) if each > after][:limit]

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
    def apply(self, recorded: Recorded) -> None:
        """Take in one event."""
        _APPLY[type(recorded.event)](self, recorded, recorded.event)

    def _bucket_created(self, row: Recorded, event: BucketCreated) -> None:
        owner = Caller(event.owner_id, event.owner_name)
        self._buckets[event.bucket] = Bucket(event.bucket, owner, event.region, row.at_ms)

    def _bucket_deleted(self, row: Recorded, event: BucketDeleted) -> None:
        self._buckets.pop(event.bucket, None)
        self._pins.pop(event.bucket, None)

    def _version_committed(self, row: Recorded, event: VersionCommitted) -> None:
        self._volumes[event.volume_id] = Volume(
            event.volume_id,
            event.bucket,
            event.key,
            event.size_bytes,
            event.checksum,
            event.location,
            row.at_ms,
            row.at_ms,
            row.version,
        )
        key = event.key.encode()
        objects = self._objects.setdefault(event.bucket, {})
        if key not in objects:
            insort(self._keys.setdefault(event.bucket, []), key)
        objects[key] = ObjectVersion(
            event.bucket,
            event.key,
            event.version_id,
            event.volume_id,
            event.size_bytes,
            event.etag,
            row.at_ms,
            event.location,
            event.checksum,
            event.metadata,
            event.checksums,
            event.parts,
        )

    def _version_removed(self, row: Recorded, event: VersionRemoved) -> None:
        volume = self._volumes.pop(event.volume_id, None)
        if volume is not None:
            self._free(row, volume.location)
            if volume.pending is not None:
                self._free_unfinished(row, volume.pending.to, volume.pending.copy_id)
        key, objects = event.key.encode(), self._objects.get(event.bucket, {})
        if key in objects and objects[key].volume_id == event.volume_id:
            del objects[key]
            _remove_sorted(self._keys[event.bucket], key)
        for upload_id, (volume_id, _) in list(self._completed.items()):
            if volume_id == event.volume_id:
                del self._completed[upload_id]

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

    def _upload_started(self, row: Recorded, event: UploadStarted) -> None:
        self._uploads[event.upload_id] = Upload(
            event.upload_id,
            event.bucket,
            event.key,
            row.at_ms,
            event.owner_id,
            event.owner_name,
            event.metadata,
            event.checksum_algorithm,
            event.checksum_type,
        )
        place = (event.key.encode(), str(event.upload_id))
        insort(self._upload_keys.setdefault(event.bucket, []), place)

    def _part_stored(self, row: Recorded, event: PartStored) -> None:
        if event.upload_id not in self._uploads:
            self._free(row, event.location)  # the upload is over: nobody can refer to it
            return
        parts = self._parts.setdefault(event.upload_id, {})
        if event.number in parts:
            self._free(row, parts[event.number].location)
        parts[event.number] = Part(
            event.upload_id,
            event.number,
            event.size_bytes,
            event.etag,
            event.location,
            event.checksum,
            row.at_ms,
            event.checksums,
        )

    def _upload_completed(self, row: Recorded, event: UploadCompleted) -> None:
        self._end_upload(row, event.upload_id, event.numbers)
        self._completed[event.upload_id] = (event.volume_id, event.numbers)

    def _upload_aborted(self, row: Recorded, event: UploadAborted) -> None:
        self._end_upload(row, event.upload_id, ())

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

    def _unpin(self, bucket: BucketName, prefix: str) -> None:
        pins = self._pins.get(bucket, [])
        pins[:] = [each for each in pins if each[1].prefix != prefix]

    def _end_upload(self, row: Recorded, upload_id: UploadId, kept: Sequence[int]) -> None:
        listed = frozenset(kept)
        for number, part in self._parts.pop(upload_id, {}).items():
            if number not in listed:
                self._free(row, part.location)
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            _remove_sorted(self._upload_keys[upload.bucket], (upload.key.encode(), upload_id))

    def _change(self, row: Recorded, volume_id: VolumeId, **changes: Any) -> Volume | None:
        volume = self._volumes.get(volume_id)
        if volume is None:
            return None
        changed = replace(volume, stream_version=row.version, **changes)
        self._volumes[volume_id] = changed
        return changed

    def _show_location(self, volume: Volume) -> None:
        key, objects = volume.key.encode(), self._objects.get(volume.bucket, {})
        if key in objects and objects[key].volume_id == volume.id:
            objects[key] = replace(objects[key], location=volume.location)

    def _free(self, row: Recorded, location: Location) -> None:
        self._garbage[copy_key(location)] = Garbage(location, row.at_ms)

    def _free_unfinished(self, row: Recorded, to: Tier, copy_id: ExtentId) -> None:
        left = unfinished_copy(to, copy_id)
        if left is not None:
            self._free(row, left)


def _listed(version: ObjectVersion) -> ListedObject:
    first = version.checksums[0] if version.checksums else None
    return ListedObject(
        version.key,
        version.size_bytes,
        version.etag,
        version.modified_at_ms,
        version.tier,
        first.algorithm if first else None,
        first.type if first else None,
    )


def _remove_sorted(items: list[Any], item: object) -> None:
    del items[bisect_left(items, item)]


_APPLY: dict[type, Callable[[MemoryCatalog, Recorded, Any], None]] = {
    BucketCreated: MemoryCatalog._bucket_created,
    BucketDeleted: MemoryCatalog._bucket_deleted,
    VersionCommitted: MemoryCatalog._version_committed,
    VersionRemoved: MemoryCatalog._version_removed,
    TierDecided: MemoryCatalog._tier_decided,
    VolumeMoved: MemoryCatalog._volume_moved,
    MoveAbandoned: MemoryCatalog._move_abandoned,
    ShardsRebuilt: MemoryCatalog._shards_rebuilt,
    UploadStarted: MemoryCatalog._upload_started,
    PartStored: MemoryCatalog._part_stored,
    UploadCompleted: MemoryCatalog._upload_completed,
    UploadAborted: MemoryCatalog._upload_aborted,
    CopiesReclaimed: MemoryCatalog._copies_reclaimed,
    DiskAdded: MemoryCatalog._disk_added,
    PricesAdopted: MemoryCatalog._prices_adopted,
    TierPinned: MemoryCatalog._tier_pinned,
    TierUnpinned: MemoryCatalog._tier_unpinned,
}


def _pinned_prefix(entry: tuple[bytes, Pin]) -> bytes:
    return entry[0]


def _waiting(garbage: Garbage) -> tuple[int, str]:
    return garbage.freed_at_ms, copy_key(garbage.location)
