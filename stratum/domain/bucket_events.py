"""What happens to buckets. The rules are in `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stratum.domain.names import BucketName


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
