"""Decisions about object versions. Each runs on the exact current state, inside the journal's
transaction, so a condition that holds here holds at the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Catalog, Namespace
from stratum.domain.conditions import NO_CONDITIONS, Conditions, check_write
from stratum.domain.errors import NoSuchKey
from stratum.domain.events import Event, VersionCommitted, VersionRemoved
from stratum.domain.names import BucketName, ObjectKey
from stratum.domain.volume import ObjectVersion

OBJECT_SIZE_MAX_BYTES = 5 * 1024**4
PUT_SIZE_MAX_BYTES = 5 * 1024**3
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

OVERWRITTEN = "overwritten"
DELETED = "deleted"


@dataclass(frozen=True)
class Target:
    """One object of a delete request."""

    bucket: BucketName
    key: ObjectKey
    conditions: Conditions = NO_CONDITIONS


def require_version(catalog: Namespace, bucket: BucketName, key: ObjectKey) -> ObjectVersion:
    """The current version of a key; raises NoSuchBucket or NoSuchKey."""
    version = catalog.version(bucket, key)
    if version is None:
        require_bucket(catalog, bucket)
        raise NoSuchKey("The specified key does not exist.")
    return version


def check_put(
    catalog: Namespace, bucket: BucketName, key: ObjectKey, conditions: Conditions
) -> None:
    """Refuse early what the commit would refuse: before the client sends its bytes."""
    require_bucket(catalog, bucket)
    if conditions:
        current = catalog.version(bucket, key)
        check_write(conditions, current.etag if current else None)


def commit_version(
    catalog: Catalog, *, committed: VersionCommitted, conditions: Conditions = NO_CONDITIONS
) -> Sequence[Event]:
    """Make a durable volume the key's current version; the one before is removed with it.

    Raises NoSuchBucket, PreconditionFailed, NoSuchKey (If-Match on a missing object).
    """
    require_bucket(catalog, committed.bucket)
    current = catalog.version(committed.bucket, committed.key)
    check_write(conditions, current.etag if current else None)
    if current is None:
        return [committed]
    return [committed, removal(current, OVERWRITTEN)]


def delete_version(catalog: Catalog, *, target: Target) -> Sequence[VersionRemoved]:
    """Delete a key's current version. A key that isn't there is no error, as in S3."""
    require_bucket(catalog, target.bucket)
    current = catalog.version(target.bucket, target.key)
    if target.conditions:
        check_write(target.conditions, current.etag if current else None)
    return [removal(current, DELETED)] if current else []


def removal(version: ObjectVersion, reason: str) -> VersionRemoved:
    """The event that takes a version away."""
    return VersionRemoved(
        version.volume_id, version.bucket, version.key, version.version_id, reason
    )
