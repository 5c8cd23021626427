"""What a bucket is configured to do: one optional value per sub-resource of S3.

The event that changes one carries a `BucketSettings` with just that field set, so a new
sub-resource is a value in its own module, a field here at the end, and its handlers. None means
that it was never configured, or was deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum

from stratum.domain.acl import Acl
from stratum.domain.bucket_logging import LoggingConfiguration
from stratum.domain.cors import CorsConfiguration
from stratum.domain.encryption import EncryptionConfiguration
from stratum.domain.lifecycle import Lifecycle
from stratum.domain.notification import NotificationConfiguration
from stratum.domain.object_lock import ObjectLock
from stratum.domain.ownership import BucketPolicy, ObjectOwnership, PublicAccessBlock
from stratum.domain.request_payment import Payer
from stratum.domain.website import WebsiteConfiguration


class Versioning(StrEnum):
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html"""

    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


@dataclass(frozen=True)
class BucketSettings:
    """All settings of a bucket. A new field goes at the end, with None as its default."""

    versioning: Versioning | None = None
    cors: CorsConfiguration | None = None
    website: WebsiteConfiguration | None = None
    logging: LoggingConfiguration | None = None
    notification: NotificationConfiguration | None = None
    request_payment: Payer | None = None
    acl: Acl | None = None
    policy: BucketPolicy | None = None
    ownership: ObjectOwnership | None = None
    public_access_block: PublicAccessBlock | None = None
    encryption: EncryptionConfiguration | None = None
    tags: dict[str, str] | None = None
    object_lock: ObjectLock | None = None
    """That there is one means that locks are enabled: it is never removed."""
    lifecycle: Lifecycle | None = None

    def changed(self, setting: str, value: BucketSettings) -> BucketSettings:
        """These settings with `setting` taken from `value`. A setting this version of the program
        does not know is left alone."""
        if setting not in SETTINGS:
            return self
        return replace(self, **{setting: getattr(value, setting)})

    def configured(self) -> tuple[str, ...]:
        """The names of what is configured."""
        return tuple(name for name in SETTINGS if getattr(self, name) is not None)

    def only(self, setting: str) -> BucketSettings:
        """Just this one of them."""
        return NO_SETTINGS.changed(setting, self)


SETTINGS = tuple(field.name for field in fields(BucketSettings))
NO_SETTINGS = BucketSettings()
