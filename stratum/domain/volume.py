"""A volume: the data of one object version, wherever it lies.

A move changes a volume's location and nothing else: not its id, not the key, not the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stratum.domain.attributes import NO_ATTRIBUTES, VersionAttributes
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from stratum.domain.names import BucketName, ExtentId, ObjectKey, Tier, UploadId, VolumeId

VOLUMES_FOLDER = "volumes/"
"""What the names of copies in the remote tier begin with."""
NULL_VERSION = "null"
"""The version id of what is written to a bucket without versioning, as S3 calls it."""


@dataclass(frozen=True)
class Extent:
    """Bytes coded together: the same shard file name on each disk of a tier.

    `missing` lists shard indices that were not durable when the extent was committed (a disk was
    down and the write quorum was met without it). `whole` is the index of the shard that holds all
    bytes in one piece besides its cell, so that a small extent is read with one read; None if
    there is none.
    """

    id: ExtentId
    size_bytes: int
    stripe_size_bytes: int
    missing: tuple[int, ...] = ()
    whole: int | None = None


@dataclass(frozen=True)
class RemoteObject:
    """One object in the remote tier; `payload_offset_bytes` skips the frame before the data."""

    name: str
    payload_offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Location:
    """Where a volume's bytes are: extents on the disks of a tier, or one remote object."""

    tier: Tier
    extents: tuple[Extent, ...] = ()
    remote: RemoteObject | None = None

    def __post_init__(self) -> None:
        assert bool(self.extents) != bool(self.remote), "local extents or a remote object"

    @property
    def size_bytes(self) -> int:
        """Of what is stored; more than the volume's where that is encrypted."""
        if self.remote:
            return self.remote.size_bytes
        return sum(extent.size_bytes for extent in self.extents)


@dataclass(frozen=True)
class Metadata:
    """What the client said about the object: header names in lower case, values as text."""

    system: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CompletedPart:
    """One part of a completed multipart upload, as GetObjectAttributes and `partNumber` need it."""

    number: int
    size_bytes: int
    checksum: Checksum | None = None
    salt: str = ""
    """Names the part among those under one data key, if it is encrypted."""


@dataclass(frozen=True)
class ObjectVersion:
    """One version of a key, as the catalog knows it."""

    bucket: BucketName
    key: ObjectKey
    version_id: str
    volume_id: VolumeId
    size_bytes: int
    etag: str
    """Without quotes: 32 hex digits, or 32 hex digits, `-` and the number of parts."""
    modified_at_ms: int
    location: Location
    checksum: str
    """CRC-64/NVME of all bytes as they are stored, 16 hex digits: what a move and an audit verify
    against."""
    metadata: Metadata = Metadata()
    checksums: tuple[Checksum, ...] = ()
    parts: tuple[CompletedPart, ...] = ()
    attributes: VersionAttributes = NO_ATTRIBUTES

    @property
    def tier(self) -> Tier:
        return self.location.tier


@dataclass(frozen=True)
class DeleteMarker:
    """A version without data that hides those below it from whoever names none."""

    bucket: BucketName
    key: ObjectKey
    version_id: str
    marker_id: str
    modified_at_ms: int
    owner_id: str
    owner_name: str


@dataclass(frozen=True)
class Volume:
    """The placement side of an object version: what tiering looks at."""

    id: VolumeId
    bucket: BucketName
    key: ObjectKey
    size_bytes: int
    checksum: str
    location: Location
    created_at_ms: int
    placed_at_ms: int
    """Since when it has been at this location."""
    stream_version: int
    """Number of events in its stream: a move prepared against an older one is void."""
    pending: PendingMove | None = None
    storage_class: str = ""
    """The class asked for, as in the version's attributes."""
    restored_until_ms: int = 0

    @property
    def tier(self) -> Tier:
        return self.location.tier


@dataclass(frozen=True)
class PendingMove:
    """A move decided and not yet carried out. `copy_id` names the copy being made."""

    to: Tier
    copy_id: ExtentId
    decided_at_ms: int
    sentence: str


def remote_name(copy_id: ExtentId) -> str:
    """The name of a copy in the remote tier; it says nothing of bucket or key."""
    return f"{VOLUMES_FOLDER}{copy_id[-2:]}/{copy_id}"


def unfinished_copy(to: Tier, copy_id: ExtentId) -> Location | None:
    """What a move that came to nothing may have left in the remote tier; None for the local ones,
    where recovery finds it among the staged shards."""
    if to is not Tier.COLD:
        return None
    return Location(Tier.COLD, remote=RemoteObject(remote_name(copy_id), 0, 0))


@dataclass(frozen=True)
class Garbage:
    """A copy nobody refers to any more, kept for a while for readers in flight."""

    location: Location
    freed_at_ms: int


@dataclass(frozen=True)
class Part:
    """One stored part of an upload in progress."""

    upload_id: UploadId
    number: int
    size_bytes: int
    etag: str
    location: Location
    checksum: str
    """CRC-64/NVME of the part as it is stored, 16 hex digits."""
    modified_at_ms: int
    checksums: tuple[Checksum, ...] = ()
    salt: str = ""


@dataclass(frozen=True)
class Upload:
    """A multipart upload in progress."""

    id: UploadId
    bucket: BucketName
    key: ObjectKey
    started_at_ms: int
    owner_id: str
    owner_name: str
    metadata: Metadata = Metadata()
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None
    attributes: VersionAttributes = NO_ATTRIBUTES
    """Those of the version to be."""


@dataclass(frozen=True)
class ShardRecord:
    """What the end of every shard says, so that a store can be rebuilt without its journal.

    For a part of an upload, `upload_id` and `part_number` are set, and `etag` and `checksum` are
    the part's. `extents` lists the ids and sizes that make up the volume, in order.
    """

    volume_id: VolumeId
    extent_id: ExtentId
    bucket: BucketName
    key: ObjectKey
    version_id: str
    size_bytes: int
    etag: str
    checksum: str
    created_at_ms: int
    tier: Tier
    generation: int
    """How many times the volume had been placed before: the highest one is the truth."""
    metadata: Metadata = Metadata()
    checksums: tuple[Checksum, ...] = ()
    parts: tuple[CompletedPart, ...] = ()
    extents: tuple[Extent, ...] = ()
    upload_id: UploadId | None = None
    part_number: int = 0
    attributes: VersionAttributes = NO_ATTRIBUTES
    """As they were when the copy was written; later changes are in the journal only."""
