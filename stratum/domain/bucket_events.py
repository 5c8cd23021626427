"""What happens to buckets. The rules are in `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stratum.domain.names import BucketName
from stratum.domain.settings import BucketSettings


@dataclass(frozen=True)
class BucketCreated:
    TOPIC: ClassVar[str] = "BucketCreated.1"
    bucket: BucketName
    owner_id: str
    owner_name: str
    region: str

    @property
    def stream(self) -> str:
        return f"bucket/{self.bucket}"


@dataclass(frozen=True)
class BucketDeleted:
    TOPIC: ClassVar[str] = "BucketDeleted.1"
    bucket: BucketName

    @property
    def stream(self) -> str:
        return f"bucket/{self.bucket}"


@dataclass(frozen=True)
class BucketConfigured:
    """One setting of a bucket was changed, or removed."""

    TOPIC: ClassVar[str] = "BucketConfigured.1"
    bucket: BucketName
    setting: str
    """The name of a field of `BucketSettings`."""
    value: BucketSettings
    """With only that field set; not even that when the setting was removed."""

    @property
    def stream(self) -> str:
        return f"bucket/{self.bucket}"
