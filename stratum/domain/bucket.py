"""Decisions about buckets: what happened, or why it may not."""

from __future__ import annotations

from collections.abc import Sequence

from stratum.domain.catalog import Bucket, Catalog, Namespace
from stratum.domain.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    NoSuchBucket,
)
from stratum.domain.events import BucketCreated, BucketDeleted
from stratum.domain.names import BucketName, Caller


def require_bucket(catalog: Namespace, name: BucketName) -> Bucket:
    """The bucket; raises NoSuchBucket."""
    bucket = catalog.bucket(name)
    if bucket is None:
        raise NoSuchBucket("The specified bucket does not exist")
    return bucket


def create_bucket(
    catalog: Catalog, *, name: BucketName, owner: Caller, region: str
) -> Sequence[BucketCreated]:
    """Raises BucketAlreadyOwnedByYou or BucketAlreadyExists."""
    existing = catalog.bucket(name)
    if existing is not None:
        if existing.owner.id == owner.id:
            raise BucketAlreadyOwnedByYou(
                "Your previous request to create the named bucket succeeded and you already own it."
            )
        raise BucketAlreadyExists(
            "The requested bucket name is not available. Please select a different name."
        )
    return [BucketCreated(name, owner.id, owner.name, region)]


def delete_bucket(catalog: Catalog, *, name: BucketName) -> Sequence[BucketDeleted]:
    """Raises NoSuchBucket or BucketNotEmpty."""
    require_bucket(catalog, name)
    if not catalog.is_empty(name):
        raise BucketNotEmpty("The bucket you tried to delete is not empty")
    return [BucketDeleted(name)]
