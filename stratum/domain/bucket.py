"""Decisions about buckets: what happened, or why it may not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stratum.domain.catalog import Bucket, Catalog, Namespace
from stratum.domain.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    NoSuchBucket,
)
from stratum.domain.events import BucketConfigured, BucketCreated, BucketDeleted, UploadAborted
from stratum.domain.listing import ListRequest
from stratum.domain.names import BucketName, Caller
from stratum.domain.settings import NO_SETTINGS, BucketSettings

UPLOADS_ABORTED_MAX = 1000
"""Uploads that the deletion of a bucket aborts, all in one transaction."""

Check = Callable[[Catalog, Bucket], None]
"""Raises if a bucket's new setting contradicts the state."""


def require_bucket(catalog: Namespace, name: BucketName) -> Bucket:
    """The bucket; raises NoSuchBucket."""
    bucket = catalog.bucket(name)
    if bucket is None:
        raise NoSuchBucket("The specified bucket does not exist")
    return bucket


def create_bucket(
    catalog: Catalog,
    *,
    name: BucketName,
    owner: Caller,
    region: str,
    settings: BucketSettings = NO_SETTINGS,
) -> Sequence[BucketCreated | BucketConfigured]:
    """A new bucket with these settings.

    Raises BucketAlreadyOwnedByYou, or BucketAlreadyExists: somebody else's, or with another ACL,
    which creating it again would seem to change.
    """
    existing = catalog.bucket(name)
    if existing is not None:
        if existing.owner.id == owner.id and existing.settings.acl == settings.acl:
            raise BucketAlreadyOwnedByYou(
                "Your previous request to create the named bucket succeeded and you already own it."
            )
        raise BucketAlreadyExists(
            "The requested bucket name is not available. Please select a different name."
        )
    configured = (
        BucketConfigured(name, setting, settings.only(setting)) for setting in settings.configured()
    )
    return [BucketCreated(name, owner.id, owner.name, region), *configured]


def configure_bucket(
    catalog: Catalog,
    *,
    name: BucketName,
    setting: str,
    value: BucketSettings,
    check: Check | None = None,
) -> Sequence[BucketConfigured]:
    """Change the one `setting` to what it is in `value`; None there removes it. No event if it is
    so already. Raises NoSuchBucket and what `check` raises."""
    bucket = require_bucket(catalog, name)
    if check is not None:
        check(catalog, bucket)
    if bucket.settings.changed(setting, value) == bucket.settings:
        return []
    return [BucketConfigured(name, setting, value.only(setting))]


def delete_bucket(catalog: Catalog, *, name: BucketName) -> Sequence[BucketDeleted | UploadAborted]:
    """Raises NoSuchBucket or BucketNotEmpty.

    Uploads in progress don't keep a bucket alive, as in Amazon S3: they are aborted with it.
    """
    require_bucket(catalog, name)
    if catalog.is_empty(name):
        return [BucketDeleted(name)]
    if catalog.list_versions(name, ListRequest(max_keys=1)).entries:
        raise BucketNotEmpty("The bucket you tried to delete is not empty")
    uploads = catalog.list_uploads(name, ListRequest(max_keys=UPLOADS_ABORTED_MAX))
    if uploads.truncated:
        raise BucketNotEmpty(
            f"The bucket has more than {UPLOADS_ABORTED_MAX} multipart uploads in progress; abort"
            " some of them first"
        )
    return [*(UploadAborted(upload.id) for upload in uploads.entries), BucketDeleted(name)]
