"""What shards that the journal knows nothing of mean for it: decisions of a recovery.

A shard describes the version it belongs to. Whether that version was acknowledged, the record
can't say, but where the copy lies can: it is published only after its commit. What is only
staged, and whole, may have been acknowledged or not; it counts unless something newer is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stratum.domain.catalog import Catalog
from stratum.domain.events import (
    BucketConfigured,
    BucketCreated,
    Event,
    PartStored,
    UploadCompleted,
    UploadStarted,
    VersionCommitted,
    VolumeMoved,
)
from stratum.domain.listing import ListRequest
from stratum.domain.names import Caller, UploadId
from stratum.domain.object import commit_version
from stratum.domain.settings import BucketSettings, Versioning
from stratum.domain.volume import NULL_VERSION, Location, ShardRecord


@dataclass(frozen=True)
class Copy:
    """A whole copy found on the disks or in the remote. `settled`: it was published."""

    record: ShardRecord
    location: Location
    settled: bool


@dataclass(frozen=True)
class Defaults:
    """What records don't say."""

    owner: Caller
    region: str


def in_order(copies: Sequence[Copy]) -> list[Copy]:
    """Oldest version first, copies of one in the order in which they were made."""
    return sorted(copies, key=lambda copy: (copy.record.created_at_ms, copy.record.generation))


def salvage_bucket(
    catalog: Catalog, *, record: ShardRecord, defaults: Defaults
) -> Sequence[BucketCreated | BucketConfigured]:
    """The bucket a copy belongs to, if it is not there. Versions with ids show that it kept
    versions."""
    bucket = catalog.bucket(record.bucket)
    events: list[BucketCreated | BucketConfigured] = []
    if bucket is None:
        owner = owner_of(record, defaults)
        events.append(BucketCreated(record.bucket, owner.id, owner.name, defaults.region))
    has_versions = record.upload_id is None and record.version_id != NULL_VERSION
    if has_versions and (bucket is None or bucket.settings.versioning is None):
        value = BucketSettings(versioning=Versioning.ENABLED)
        events.append(BucketConfigured(record.bucket, "versioning", value))
    return events


def salvage_version(catalog: Catalog, *, copy: Copy) -> Sequence[Event]:
    """A version the journal does not know, or another copy of one it does.

    No events if it has been superseded: a copy that was only staged, of a key that has a newer
    version by now. The bucket must be there.
    """
    record = copy.record
    volume = catalog.volume(record.volume_id)
    if volume is not None:
        if not copy.settled or volume.location == copy.location:
            return []
        return [VolumeMoved(volume.id, volume.location, copy.location, volume.checksum)]
    current = catalog.version(record.bucket, record.key)
    if not copy.settled and current and current.modified_at_ms > record.created_at_ms:
        return []
    committed = VersionCommitted(
        volume_id=record.volume_id,
        bucket=record.bucket,
        key=record.key,
        version_id=record.version_id,
        size_bytes=record.size_bytes,
        etag=record.etag,
        checksum=record.checksum,
        location=copy.location,
        metadata=record.metadata,
        checksums=record.checksums,
        parts=record.parts,
        attributes=record.attributes,
    )
    return [
        *commit_version(catalog, committed=committed),
        *_completed_uploads(catalog, record, copy.location),
    ]


def salvage_part(catalog: Catalog, *, copy: Copy, defaults: Defaults) -> Sequence[Event]:
    """A part of an upload, and the upload itself if the journal does not know it."""
    record = copy.record
    assert record.upload_id is not None, "the copy is a part"
    if catalog.completed(record.upload_id) is not None:
        return []
    events: list[Event] = []
    if catalog.upload(record.upload_id) is None:
        owner = owner_of(record, defaults)
        events.append(
            UploadStarted(
                record.upload_id,
                record.bucket,
                record.key,
                owner.id,
                owner.name,
                record.metadata,
                record.checksums[0].algorithm if record.checksums else None,
                record.checksums[0].type if record.checksums else None,
                record.attributes,
            )
        )
    stored = PartStored(
        record.upload_id,
        record.part_number,
        record.size_bytes,
        record.etag,
        record.checksum,
        copy.location,
        record.checksums,
        record.extent_id if record.attributes.encryption else "",
    )
    return [*events, stored]


def owner_of(record: ShardRecord, defaults: Defaults) -> Caller:
    """Whoever wrote it, if the record says."""
    attributes = record.attributes
    if not attributes.owner_id:
        return defaults.owner
    return Caller(attributes.owner_id, attributes.owner_name)


def _completed_uploads(
    catalog: Catalog, record: ShardRecord, location: Location
) -> Sequence[UploadCompleted]:
    """Uploads in progress whose parts this version is made of."""
    if not record.parts:
        return []
    used = {extent.id for extent in location.extents}
    found = []
    for upload_id in _uploads_of(catalog, record):
        numbers = tuple(
            part.number
            for part in catalog.parts(upload_id)
            if {extent.id for extent in part.location.extents} <= used
        )
        if numbers:
            found.append(
                UploadCompleted(upload_id, record.bucket, record.key, record.volume_id, numbers)
            )
    return found


def _uploads_of(catalog: Catalog, record: ShardRecord) -> Iterator[UploadId]:
    request: ListRequest | None = ListRequest(prefix=record.key)
    while request is not None:
        page = catalog.list_uploads(record.bucket, request)
        for upload in page.entries:
            if upload.key == record.key:
                yield upload.id
        request = replace(request, after=page.next) if page.next is not None else None
