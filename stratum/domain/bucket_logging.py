"""Server access logs: where those of a bucket go, and how they are named there.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stratum.domain.names import BucketName

DAY_MS = 86_400_000
PREFIX_LENGTH_MAX_BYTES = 800
"""So that date and unique part fit into a key."""


class PartitionSource(StrEnum):
    """Which date a partitioned name has: that of the requests, or of the delivery."""

    EVENT_TIME = "EventTime"
    DELIVERY_TIME = "DeliveryTime"


@dataclass(frozen=True)
class LoggingConfiguration:
    """Log objects are `prefix` + date + unique part; with `partition`, account, region, bucket and
    date as folders stand between."""

    target_bucket: BucketName
    target_prefix: str = ""
    partition: PartitionSource | None = None


@dataclass(frozen=True)
class LogFile:
    """Lines that go into one object: of one bucket, under one configuration, for a partition by
    the requests' date also of one day (Unix days)."""

    bucket: BucketName
    owner_id: str
    configuration: LoggingConfiguration
    day: int | None
