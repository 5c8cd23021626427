"""What a decision may look at: the state all events so far add up to.

Synchronous and free of side effects. Inside a journal transaction the view is exact: nothing can
change between looking and appending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stratum.domain.checksums import ChecksumAlgorithm, ChecksumType
from stratum.domain.listing import ListRequest, Page
from stratum.domain.names import BucketName, Caller, ObjectKey, Tier, UploadId, VolumeId
from stratum.domain.pin import Pin
from stratum.domain.settings import NO_SETTINGS, BucketSettings
from stratum.domain.spending import RemoteUse
from stratum.domain.volume import (
    DeleteMarker,
    Garbage,
    Location,
    ObjectVersion,
    Part,
    Upload,
    Volume,
)

ORDER_MAX = 10**18
"""More events than a journal will have."""


@dataclass(frozen=True)
class Bucket:
    name: BucketName
    owner: Caller
    region: str
    created_at_ms: int
    settings: BucketSettings = NO_SETTINGS


@dataclass(frozen=True)
class ListedObject:
    """One row of a listing."""

    key: ObjectKey
    size_bytes: int
    etag: str
    modified_at_ms: int
    tier: Tier
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None
    owner_id: str = ""
    """Empty for the bucket's owner."""
    owner_name: str = ""
    storage_class: str = ""
    """The class asked for; empty: the tiering policy decides where it lies."""


@dataclass(frozen=True)
class ListedVersion:
    """One row of a listing of versions."""

    key: ObjectKey
    version_id: str
    is_latest: bool
    order: str
    """Sorts the versions of one key, newest first."""
    shown: ListedObject | DeleteMarker


@dataclass(frozen=True)
class TierTotals:
    """How much lies in a tier. `missing` maps a number of missing shards to a count of volumes."""

    volumes: int
    size_bytes: int
    missing: dict[int, int]


@dataclass(frozen=True)
class DiskLabel:
    tier: Tier
    index: int
    disk_id: str


class Namespace(Protocol):
    """Buckets, objects and uploads, as S3 shows them."""

    def bucket(self, name: BucketName) -> Bucket | None: ...

    def buckets(self) -> Sequence[Bucket]:
        """All buckets by name."""
        ...

    def is_empty(self, bucket: BucketName) -> bool:
        """True if the bucket has neither versions, delete markers nor uploads in progress."""
        ...

    def version(self, bucket: BucketName, key: ObjectKey) -> ObjectVersion | None:
        """The current version of a key; None without one, or if a delete marker hides it."""
        ...

    def delete_marker(self, bucket: BucketName, key: ObjectKey) -> DeleteMarker | None:
        """The delete marker that is the latest version of a key."""
        ...

    def version_by_id(
        self, bucket: BucketName, key: ObjectKey, version_id: str
    ) -> ObjectVersion | DeleteMarker | None:
        """Any version of a key."""
        ...

    def version_of(self, volume_id: VolumeId) -> ObjectVersion | None:
        """The version whose data a volume is."""
        ...

    def list_objects(self, bucket: BucketName, request: ListRequest) -> Page[ListedObject]:
        """One page in order of the keys' UTF-8 bytes; cost is that of the page, not the bucket."""
        ...

    def list_versions(self, bucket: BucketName, request: ListRequest) -> Page[ListedVersion]:
        """One page of versions and delete markers by key, the newest of a key first.

        `Position.within` is a version's `order`, or its id. If that is of no version (any more),
        the page begins with the newest of its key: nothing is left out.
        """
        ...

    def upload(self, upload_id: UploadId) -> Upload | None:
        """An upload in progress."""
        ...

    def parts(self, upload_id: UploadId, after: int = 0, limit: int = 10_000) -> Sequence[Part]:
        """Stored parts with a number above `after`, by number."""
        ...

    def list_uploads(self, bucket: BucketName, request: ListRequest) -> Page[Upload]:
        """Uploads in progress by key, then id (`Position.within` is the id)."""
        ...

    def completed(self, upload_id: UploadId) -> tuple[VolumeId, tuple[int, ...]] | None:
        """What an upload became, while that volume lives: a repeated completion gets its answer."""
        ...


class Placements(Protocol):
    """Volumes, as tiering, recovery and audit see them."""

    def volume(self, volume_id: VolumeId) -> Volume | None: ...

    def volumes(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        """All volumes by id: for audits only."""
        ...

    def residents(self, tier: Tier, limit: int, after: Volume | None = None) -> Sequence[Volume]:
        """Volumes of a tier, longest there first; only those behind `after`. Uses an index."""
        ...

    def pending_moves(self) -> Sequence[Volume]: ...

    def incomplete(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        """Volumes with shards that were missing at the commit, by id; uses an index."""
        ...

    def garbage(
        self, freed_before_ms: int, limit: int, after: Garbage | None = None
    ) -> Sequence[Garbage]:
        """Copies freed at or before a time, longest waiting first; only those behind `after`."""
        ...

    def totals(self) -> dict[Tier, TierTotals]: ...

    def disks(self) -> Sequence[DiskLabel]: ...

    def prices(self, version: str = "") -> tuple[str, str] | None:
        """(version, document) of a price list; of the one in force by default."""
        ...

    def remote_use(self, month: str = "") -> RemoteUse | None:
        """What was used of the remote tier in a month; in the latest one known by default."""
        ...

    def pin_of(self, bucket: BucketName, key: ObjectKey) -> Pin | None:
        """The pin that counts for a key: that of its longest pinned prefix. No scan: see
        `longest_pin`."""
        ...

    def pins(self, bucket: BucketName | None = None) -> Sequence[Pin]:
        """All pins, of one bucket or of all, by bucket and the prefix's UTF-8 bytes."""
        ...


class Catalog(Namespace, Placements, Protocol):
    """The whole read model."""


def copy_key(location: Location) -> str:
    """The name of a copy: its remote name, or the id of its first extent. No two copies share it,
    because every copy is written under fresh ids."""
    return location.remote.name if location.remote else location.extents[0].id


def version_order(seq: int) -> str:
    """The place among its key's versions of one that event `seq` brought: newest first."""
    return f"{ORDER_MAX - seq:018d}"


def is_version_order(text: str) -> bool:
    """Whether a text is a `version_order`; no version id is."""
    return len(text) == 18 and text.isascii() and text.isdecimal()


def missing_shards(location: Location) -> int:
    """How many shards the extent with the fewest lacks; a remote copy lacks none."""
    return max((len(extent.missing) for extent in location.extents), default=0)
