"""What happens to object versions and multipart uploads. The rules are in `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stratum.domain.attributes import NO_ATTRIBUTES, VersionAttributes
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from stratum.domain.names import BucketName, ObjectKey, UploadId, VolumeId
from stratum.domain.volume import CompletedPart, Location, Metadata


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
    attributes: VersionAttributes = NO_ATTRIBUTES

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
    """`deleted`, `overwritten` or `lifecycle rule ID`."""

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class VersionChanged:
    """One attribute of a version was changed; its bytes and metadata never are."""

    TOPIC: ClassVar[str] = "VersionChanged.1"
    volume_id: VolumeId
    bucket: BucketName
    key: ObjectKey
    version_id: str
    attribute: str
    """The name of a field of `VersionAttributes`."""
    value: VersionAttributes
    """With only that field set."""

    @property
    def stream(self) -> str:
        return self.volume_id


@dataclass(frozen=True)
class DeleteMarkerCreated:
    """A key of a bucket with versioning was deleted: the marker hides the versions below it."""

    TOPIC: ClassVar[str] = "DeleteMarkerCreated.1"
    marker_id: str
    bucket: BucketName
    key: ObjectKey
    version_id: str
    """`marker_id`, or `null` where versioning is suspended."""
    owner_id: str
    owner_name: str

    @property
    def stream(self) -> str:
        return self.marker_id


@dataclass(frozen=True)
class DeleteMarkerRemoved:
    """The marker is gone; what it hid shows again."""

    TOPIC: ClassVar[str] = "DeleteMarkerRemoved.1"
    marker_id: str
    bucket: BucketName
    key: ObjectKey
    version_id: str
    reason: str
    """As in `VersionRemoved`."""

    @property
    def stream(self) -> str:
        return self.marker_id


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
    attributes: VersionAttributes = NO_ATTRIBUTES
    """Those of the version to be."""

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
    salt: str = ""
    """Of the part's encryption."""

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
    reason: str = ""
    """Empty if a client asked for it, or its bucket was deleted; else the lifecycle rule."""

    @property
    def stream(self) -> str:
        return f"upload/{self.upload_id}"
