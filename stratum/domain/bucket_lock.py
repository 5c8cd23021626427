"""What object lock and versioning demand of each other: a locked version must stay a version.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
"""

from __future__ import annotations

from stratum.domain.bucket import Check
from stratum.domain.catalog import Bucket, Catalog
from stratum.domain.errors import InvalidBucketState
from stratum.domain.settings import Versioning


def check_lockable(_: Catalog, bucket: Bucket) -> None:
    """Locks need versioning. Raises InvalidBucketState."""
    if bucket.settings.versioning is not Versioning.ENABLED:
        raise InvalidBucketState(
            "Versioning must be 'Enabled' on the bucket to apply an Object Lock configuration"
        )


def check_versioning(wanted: Versioning) -> Check:
    """A check that versioning may become so: with locks it stays on. It raises
    InvalidBucketState."""

    def check(_: Catalog, bucket: Bucket) -> None:
        if bucket.settings.object_lock is not None and wanted is not Versioning.ENABLED:
            raise InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state"
                " cannot be changed."
            )

    return check
