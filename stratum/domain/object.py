"""Decisions about object versions. Each runs on the exact current state, inside the journal's
transaction, so a condition that holds here holds at the commit.

Versioning is https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html: what is written
while it is on has an id of its own; what is written without it, or while it is suspended, is the
key's one `null` version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stratum.domain.attributes import VersionAttributes
from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Bucket, Catalog, Namespace
from stratum.domain.conditions import NO_CONDITIONS, Conditions, check_delete, check_write
from stratum.domain.errors import (
    Conflict,
    DeleteMarkerNamed,
    KeyDeleted,
    NoSuchKey,
    NoSuchVersion,
)
from stratum.domain.events import (
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    Event,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
)
from stratum.domain.names import BucketName, Caller, ObjectKey, VolumeId
from stratum.domain.object_lock import check_removal
from stratum.domain.settings import Versioning
from stratum.domain.volume import NULL_VERSION, DeleteMarker, ObjectVersion

OBJECT_SIZE_MAX_BYTES = 5 * 1024**4
PUT_SIZE_MAX_BYTES = 5 * 1024**3
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

CheckVersion = Callable[[Bucket, ObjectVersion], None]
"""Raises if a version's new attribute contradicts the state."""

OVERWRITTEN = "overwritten"
DELETED = "deleted"


@dataclass(frozen=True)
class Target:
    """One object of a delete request; without a version id its current version."""

    bucket: BucketName
    key: ObjectKey
    conditions: Conditions = NO_CONDITIONS
    version_id: str | None = None
    bypass: bool = False
    """The caller wants to, and may, delete what is locked in GOVERNANCE mode."""


@dataclass(frozen=True)
class Deletion:
    """What a deletion did. `marker`: the version named here is a delete marker, made or removed."""

    version_id: str | None = None
    marker: bool = False


def new_version_id(bucket: Bucket, volume_id: VolumeId) -> str:
    """The id of a version about to be written to a bucket."""
    return volume_id if bucket.settings.versioning is Versioning.ENABLED else NULL_VERSION


def require_version(
    catalog: Namespace, bucket: BucketName, key: ObjectKey, version_id: str | None = None
) -> ObjectVersion:
    """A version of a key, the current one without an id.

    Raises NoSuchBucket, NoSuchKey, KeyDeleted (a delete marker hides the key), NoSuchVersion,
    DeleteMarkerNamed (the id is that of a delete marker).
    """
    if version_id is not None:
        return _require_id(catalog, bucket, key, version_id)
    version = catalog.version(bucket, key)
    if version is None:
        require_bucket(catalog, bucket)
        marker = catalog.delete_marker(bucket, key)
        if marker is not None:
            raise KeyDeleted(marker.version_id)
        raise NoSuchKey("The specified key does not exist.")
    return version


def _require_id(
    catalog: Namespace, bucket: BucketName, key: ObjectKey, version_id: str
) -> ObjectVersion:
    found = catalog.version_by_id(bucket, key, version_id)
    if isinstance(found, DeleteMarker):
        raise DeleteMarkerNamed(found.version_id, found.modified_at_ms)
    if found is None:
        require_bucket(catalog, bucket)
        raise NoSuchVersion("The specified version does not exist.")
    return found


def check_put(
    catalog: Namespace, bucket: BucketName, key: ObjectKey, conditions: Conditions
) -> Bucket:
    """Refuse early what the commit would refuse: before the client sends its bytes."""
    found = require_bucket(catalog, bucket)
    if conditions:
        current = catalog.version(bucket, key)
        check_write(conditions, current.etag if current else None)
    return found


def commit_version(
    catalog: Catalog, *, committed: VersionCommitted, conditions: Conditions = NO_CONDITIONS
) -> Sequence[Event]:
    """Make a durable volume the key's current version. Of versions with the id `null` there is
    one: the one before is removed with it.

    Raises NoSuchBucket, PreconditionFailed, NoSuchKey (If-Match on a missing object); Conflict if
    object lock, and versioning with it, was enabled after the write began.
    """
    bucket = require_bucket(catalog, committed.bucket)
    current = catalog.version(committed.bucket, committed.key)
    check_write(conditions, current.etag if current else None)
    if committed.version_id != NULL_VERSION:
        return [committed]
    if bucket.settings.object_lock is not None:
        raise Conflict("Object lock was enabled while the object was written. Please try again.")
    return [*_without_null(catalog, bucket, committed.key, current), committed]


def delete_version(
    catalog: Catalog,
    *,
    target: Target,
    marker_id: str,
    by: Caller,
    now_ms: int,
    reason: str = DELETED,
) -> Sequence[Event]:
    """Delete the version a target names. Without an id: in a bucket with versioning make a delete
    marker (`marker_id` is its id), otherwise delete the object. What isn't there is no error, as
    in S3, whatever the conditions. Raises NoSuchBucket, PreconditionFailed; AccessDenied for a
    version that is locked.
    """
    bucket = require_bucket(catalog, target.bucket)
    if target.version_id is not None:
        found = catalog.version_by_id(target.bucket, target.key, target.version_id)
        _check_deletion(target.conditions, found)
        if isinstance(found, ObjectVersion):
            check_removal(found.attributes.protection, now_ms, bypass=target.bypass)
        return [removal(found, reason)] if found else []
    current = catalog.version(target.bucket, target.key)
    if target.conditions:
        hidden_by = catalog.delete_marker(target.bucket, target.key)
        if current is None and hidden_by is None:
            return []  # not even a marker: there is nothing the condition could be about
        _check_deletion(target.conditions, current or hidden_by)
    versioning = bucket.settings.versioning
    if versioning is None:
        return [removal(current, reason)] if current else []
    if versioning is Versioning.ENABLED:
        return [_marker(target, marker_id, marker_id, by)]
    return [
        *_without_null(catalog, bucket, target.key, current),
        _marker(target, marker_id, NULL_VERSION, by),
    ]


def deletion_of(events: Sequence[Event], target: Target) -> Deletion:
    """What S3 says of the events that `delete_version` returned."""
    match events[-1] if events else None:
        case (
            DeleteMarkerCreated(version_id=version_id) | DeleteMarkerRemoved(version_id=version_id)
        ):
            return Deletion(version_id, marker=True)
    return Deletion(target.version_id)


def change_version(
    catalog: Catalog,
    *,
    bucket: BucketName,
    key: ObjectKey,
    version_id: str | None,
    attribute: str,
    value: VersionAttributes,
    check: CheckVersion | None = None,
) -> Sequence[VersionChanged]:
    """Change one attribute of a version. No event if it is so already. Raises what
    `require_version` and `check` raise."""
    version = require_version(catalog, bucket, key, version_id)
    if check is not None:
        check(require_bucket(catalog, bucket), version)
    if version.attributes.changed(attribute, value) == version.attributes:
        return []
    only = VersionAttributes().changed(attribute, value)
    return [VersionChanged(version.volume_id, bucket, key, version.version_id, attribute, only)]


def removal(
    version: ObjectVersion | DeleteMarker, reason: str
) -> VersionRemoved | DeleteMarkerRemoved:
    """The event that takes a version away."""
    where = (version.bucket, version.key, version.version_id, reason)
    if isinstance(version, DeleteMarker):
        return DeleteMarkerRemoved(version.marker_id, *where)
    return VersionRemoved(version.volume_id, *where)


def _check_deletion(conditions: Conditions, found: ObjectVersion | DeleteMarker | None) -> None:
    if isinstance(found, ObjectVersion):
        check_delete(conditions, found.etag, found.size_bytes, found.modified_at_ms)
    elif found is not None:
        check_delete(conditions, "", 0, found.modified_at_ms)


def _without_null(
    catalog: Catalog, bucket: Bucket, key: ObjectKey, current: ObjectVersion | None
) -> Sequence[Event]:
    """The events that make room for another `null` version of a key."""
    null: ObjectVersion | DeleteMarker | None = current
    # Without versioning, ever, there is nothing but the current version to look at.
    if bucket.settings.versioning is not None and (
        current is None or current.version_id != NULL_VERSION
    ):
        null = catalog.version_by_id(bucket.name, key, NULL_VERSION)
    return [removal(null, OVERWRITTEN)] if null else []


def _marker(target: Target, marker_id: str, version_id: str, by: Caller) -> DeleteMarkerCreated:
    return DeleteMarkerCreated(marker_id, target.bucket, target.key, version_id, by.id, by.name)
