"""The catalog in memory: dictionaries, and sorted keys for listings. For simulations and tests."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from stratum.adapters.memory_placements import APPLY_PLACEMENTS, MemoryPlacements
from stratum.adapters.memory_versions import MemoryVersions
from stratum.domain.catalog import Bucket, ListedObject, ListedVersion
from stratum.domain.events import (
    BucketConfigured,
    BucketCreated,
    BucketDeleted,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    JournalRecovered,
    PartStored,
    Recorded,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
)
from stratum.domain.identity_events import IDENTITY_EVENTS
from stratum.domain.listing import ListRequest, Page, Position, paginate
from stratum.domain.names import BucketName, Caller, ObjectKey, UploadId, VolumeId
from stratum.domain.volume import DeleteMarker, ObjectVersion, Part, Upload, Volume


class MemoryCatalog(MemoryPlacements):
    """Implements Catalog; `apply` is the only thing that changes it."""

    def __init__(self) -> None:
        super().__init__()
        self._buckets: dict[str, Bucket] = {}
        self._versions = MemoryVersions()
        self._uploads: dict[str, Upload] = {}
        self._upload_keys: dict[str, list[tuple[bytes, str]]] = {}
        self._parts: dict[str, dict[int, Part]] = {}
        self._completed: dict[str, tuple[VolumeId, tuple[int, ...]]] = {}

    def bucket(self, name: BucketName) -> Bucket | None:
        return self._buckets.get(name)

    def buckets(self) -> Sequence[Bucket]:
        return [self._buckets[name] for name in sorted(self._buckets)]

    def is_empty(self, bucket: BucketName) -> bool:
        return self._versions.is_empty(bucket) and not self._upload_keys.get(bucket)

    def version(self, bucket: BucketName, key: ObjectKey) -> ObjectVersion | None:
        latest = self._versions.latest(bucket, key)
        return latest if isinstance(latest, ObjectVersion) else None

    def delete_marker(self, bucket: BucketName, key: ObjectKey) -> DeleteMarker | None:
        latest = self._versions.latest(bucket, key)
        return latest if isinstance(latest, DeleteMarker) else None

    def version_by_id(
        self, bucket: BucketName, key: ObjectKey, version_id: str
    ) -> ObjectVersion | DeleteMarker | None:
        return self._versions.by_id(bucket, key, version_id)

    def version_of(self, volume_id: VolumeId) -> ObjectVersion | None:
        return self._versions.of_volume(volume_id)

    def list_objects(self, bucket: BucketName, request: ListRequest) -> Page[ListedObject]:
        return self._versions.list_objects(bucket, request)

    def list_versions(self, bucket: BucketName, request: ListRequest) -> Page[ListedVersion]:
        return self._versions.list_versions(bucket, request)

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

    def _bucket_configured(self, row: Recorded, event: BucketConfigured) -> None:
        bucket = self._buckets.get(event.bucket)
        if bucket is not None:
            settings = bucket.settings.changed(event.setting, event.value)
            self._buckets[event.bucket] = replace(bucket, settings=settings)

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
            storage_class=event.attributes.storage_class,
            restored_until_ms=event.attributes.restored_until_ms,
        )
        version = ObjectVersion(
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
            event.attributes,
        )
        self._versions.push(row.seq, version)

    def _version_removed(self, row: Recorded, event: VersionRemoved) -> None:
        volume = self._volumes.pop(event.volume_id, None)
        if volume is not None:
            self._free(row, volume.location)
            if volume.pending is not None:
                self._free_unfinished(row, volume.pending.to, volume.pending.copy_id)
        self._versions.remove(event.bucket, event.key, event.volume_id)
        for upload_id, (volume_id, _) in list(self._completed.items()):
            if volume_id == event.volume_id:
                del self._completed[upload_id]

    def _version_changed(self, row: Recorded, event: VersionChanged) -> None:
        version = self._versions.of_volume(event.volume_id)
        if version is not None:
            attributes = version.attributes.changed(event.attribute, event.value)
            self._versions.change(replace(version, attributes=attributes))
            self._change(
                row,
                event.volume_id,
                storage_class=attributes.storage_class,
                restored_until_ms=attributes.restored_until_ms,
            )

    def _marker_created(self, row: Recorded, event: DeleteMarkerCreated) -> None:
        marker = DeleteMarker(
            event.bucket,
            event.key,
            event.version_id,
            event.marker_id,
            row.at_ms,
            event.owner_id,
            event.owner_name,
        )
        self._versions.push(row.seq, marker)

    def _marker_removed(self, row: Recorded, event: DeleteMarkerRemoved) -> None:
        self._versions.remove(event.bucket, event.key, event.marker_id)

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
            event.attributes,
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
            event.salt,
        )

    def _upload_completed(self, row: Recorded, event: UploadCompleted) -> None:
        self._end_upload(row, event.upload_id, event.numbers)
        self._completed[event.upload_id] = (event.volume_id, event.numbers)

    def _upload_aborted(self, row: Recorded, event: UploadAborted) -> None:
        self._end_upload(row, event.upload_id, ())

    def _end_upload(self, row: Recorded, upload_id: UploadId, kept: Sequence[int]) -> None:
        listed = frozenset(kept)
        for number, part in self._parts.pop(upload_id, {}).items():
            if number not in listed:
                self._free(row, part.location)
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            _remove_sorted(self._upload_keys[upload.bucket], (upload.key.encode(), upload_id))

    def _show_location(self, volume: Volume) -> None:
        self._versions.relocate(volume.id, volume.location)


def _remove_sorted(items: list[Any], item: object) -> None:
    del items[bisect_left(items, item)]


_APPLY: dict[type, Callable[[MemoryCatalog, Recorded, Any], None]] = {
    **APPLY_PLACEMENTS,
    **dict.fromkeys((*IDENTITY_EVENTS, JournalRecovered), lambda _catalog, _row, _event: None),
    BucketCreated: MemoryCatalog._bucket_created,
    BucketDeleted: MemoryCatalog._bucket_deleted,
    BucketConfigured: MemoryCatalog._bucket_configured,
    VersionCommitted: MemoryCatalog._version_committed,
    VersionRemoved: MemoryCatalog._version_removed,
    VersionChanged: MemoryCatalog._version_changed,
    DeleteMarkerCreated: MemoryCatalog._marker_created,
    DeleteMarkerRemoved: MemoryCatalog._marker_removed,
    UploadStarted: MemoryCatalog._upload_started,
    PartStored: MemoryCatalog._part_stored,
    UploadCompleted: MemoryCatalog._upload_completed,
    UploadAborted: MemoryCatalog._upload_aborted,
}
