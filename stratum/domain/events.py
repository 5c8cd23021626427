"""Everything that happens, as facts in the past tense. The journal of these is the truth.

An event names the stream it belongs to. Its topic (class name and schema number) is what is
stored: a class may move or be renamed in code, its topic may not. A new field needs a default;
anything more is a new class with the next number. Times and actors are in the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, UploadId, VolumeId
from stratum.domain.tiering import Decision
from stratum.domain.volume import (
    CompletedPart,
    Location,
    Metadata,
)


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
class VersionCommitted:
    """An object version is durable and visible: the commit point of a PUT, copy or completion."""

    TOPIC: ClassVar[str] = "VersionCommitted.1"
    volume_id: VolumeId
    bucket: BucketName
    key: ObjectKey
    version_id: str
    size_bytes: int
    etag: str
    checksum: str
    location: Location
    metadata: Metadata = Metadata()
    checksums: tuple[Checksum, ...] = ()
    parts: tuple[CompletedPart, ...] = ()

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class VersionRemoved:
    """The version can't be read any more; its copy is reclaimed later."""

    TOPIC: ClassVar[str] = "VersionRemoved.1"
    volume_id: VolumeId
    bucket: BucketName
    key: ObjectKey
    version_id: str
    reason: str
    """`deleted` or `overwritten`."""

    @property
    def stream(self) -> str:
        return self.volume_id


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
class UploadStarted:
    TOPIC: ClassVar[str] = "UploadStarted.1"
    upload_id: UploadId
    bucket: BucketName
    key: ObjectKey
    owner_id: str
    owner_name: str
    metadata: Metadata = Metadata()
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None

    @property
    def stream(self) -> str:
        return f"upload/{self.upload_id}"


@dataclass(frozen=True)
class PartStored:
    """A part is durable. A part with the same number stored before is thereby garbage."""

    TOPIC: ClassVar[str] = "PartStored.1"
    upload_id: UploadId
    number: int
    size_bytes: int
    etag: str
    checksum: str
    location: Location
    checksums: tuple[Checksum, ...] = ()

    @property
    def stream(self) -> str:
        return f"upload/{self.upload_id}"


@dataclass(frozen=True)
class UploadCompleted:
    """The listed parts became the volume; parts not listed are garbage."""

    TOPIC: ClassVar[str] = "UploadCompleted.1"
    upload_id: UploadId
    bucket: BucketName
    key: ObjectKey
    volume_id: VolumeId
    numbers: tuple[int, ...]

    @property
    def stream(self) -> str:
        return f"upload/{self.upload_id}"


@dataclass(frozen=True)
class UploadAborted:
    TOPIC: ClassVar[str] = "UploadAborted.1"
    upload_id: UploadId

    @property
    def stream(self) -> str:
        return f"upload/{self.upload_id}"


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


Event = (
    BucketCreated
    | BucketDeleted
    | VersionCommitted
    | VersionRemoved
    | TierDecided
    | VolumeMoved
    | MoveAbandoned
    | ShardsRebuilt
    | UploadStarted
    | PartStored
    | UploadCompleted
    | UploadAborted
    | CopiesReclaimed
    | DiskAdded
    | PricesAdopted
    | TierPinned
    | TierUnpinned
)

ALL: tuple[type[Event], ...] = (
    BucketCreated,
    BucketDeleted,
    VersionCommitted,
    VersionRemoved,
    TierDecided,
    VolumeMoved,
    MoveAbandoned,
    ShardsRebuilt,
    UploadStarted,
    PartStored,
    UploadCompleted,
    UploadAborted,
    CopiesReclaimed,
    DiskAdded,
    PricesAdopted,
    TierPinned,
    TierUnpinned,
)


@dataclass(frozen=True)
class Recorded:
    """An event with its envelope: its place in the journal and its stream, when, by whom."""

    seq: int
    stream: str
    version: int
    at_ms: int
    """Unix time in ms; never goes back along the journal."""
    by: str
    """An access key's account name, `policy`, `operator` or `system`."""
    event: Event
