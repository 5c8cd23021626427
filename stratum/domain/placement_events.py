"""What happens to placements: where bytes lie, and what decides it. Rules: see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stratum.domain.names import BucketName, ExtentId, Tier, VolumeId
from stratum.domain.tiering import Decision
from stratum.domain.volume import Location


@dataclass(frozen=True)
class TierDecided:
    """A move was decided, by the policy or by hand, on these numbers; the copy is `copy_id`."""

    TOPIC: ClassVar[str] = "TierDecided.1"
    volume_id: VolumeId
    decision: Decision
    copy_id: ExtentId

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class VolumeMoved:
    """The new copy was read back and verified, and is now the volume's location."""

    TOPIC: ClassVar[str] = "VolumeMoved.1"
    volume_id: VolumeId
    source: Location
    target: Location
    checksum: str

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class MoveAbandoned:
    """A decided move did not happen; the volume stays where it was."""

    TOPIC: ClassVar[str] = "MoveAbandoned.1"
    volume_id: VolumeId
    to: Tier
    copy_id: ExtentId
    reason: str

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class ShardsRebuilt:
    """Shards that were missing when an extent was committed are durable and published now."""

    TOPIC: ClassVar[str] = "ShardsRebuilt.1"
    volume_id: VolumeId
    extent_id: ExtentId
    indices: tuple[int, ...]

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class CopiesReclaimed:
    """Copies nobody refers to were deleted from disks and remote."""

    TOPIC: ClassVar[str] = "CopiesReclaimed.1"
    copies: tuple[str, ...]
    """Extent ids and remote object names."""

    @property
    def stream(self) -> str:
        return "reclaim"


@dataclass(frozen=True)
class DiskAdded:
    """A directory became disk number `index` of a tier, and carries `disk_id` in its label."""

    TOPIC: ClassVar[str] = "DiskAdded.1"
    tier: Tier
    index: int
    disk_id: str

    @property
    def stream(self) -> str:
        return f"disk/{self.tier}/{self.index}"


@dataclass(frozen=True)
class PricesAdopted:
    """From now on decisions use this price list. `version` is a digest of `document`."""

    TOPIC: ClassVar[str] = "PricesAdopted.1"
    version: str
    document: str
    """The list as canonical JSON, so that old decisions can be derived again."""

    @property
    def stream(self) -> str:
        return "prices"


@dataclass(frozen=True)
class TierPinned:
    """Somebody fixed the tier of all keys under a prefix; replaces an earlier pin of it."""

    TOPIC: ClassVar[str] = "TierPinned.1"
    bucket: BucketName
    prefix: str
    """Empty for the whole bucket."""
    tier: Tier
    why: str = ""
    """The reason in their words, or empty."""

    @property
    def stream(self) -> str:
        return f"pin/{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class TierUnpinned:
    """The prefix's pin is gone; a pin of a shorter prefix may now count."""

    TOPIC: ClassVar[str] = "TierUnpinned.1"
    bucket: BucketName
    prefix: str

    @property
    def stream(self) -> str:
        return f"pin/{self.bucket}/{self.prefix}"
