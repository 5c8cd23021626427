"""The catalog's tables, and how values are kept in their columns.

Every table is clustered on its primary key. Keys are BLOBs, so that they compare by their UTF-8
bytes as S3 demands, with no collation in between.
"""

from __future__ import annotations

from dataclasses import dataclass

from stratum.adapters.positional import PositionalCodec
from stratum.domain.attributes import VersionAttributes
from stratum.domain.checksums import Checksum
from stratum.domain.settings import BucketSettings
from stratum.domain.volume import CompletedPart, Location, Metadata, PendingMove

CATALOG_VERSION = 8
"""Number it up when a table or what an event does to it changes: the catalog is then rebuilt."""

TABLES: dict[str, tuple[str, ...]] = {
    "buckets": ("name",),
    "objects": ("bucket", "key"),
    "noncurrent": ("bucket", "key", "age"),
    "volumes": ("id",),
    "uploads": ("bucket", "key", "id"),
    "parts": ("upload_id", "number"),
    "completed": ("upload_id",),
    "garbage": ("copy",),
    "totals": ("tier", "missing"),
    "disks": ("tier", "disk"),
    "prices": ("version",),
    "pins": ("bucket", "prefix"),
    "remote_use": ("month",),
}
"""Every table with its primary key."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS buckets(
        name TEXT PRIMARY KEY, owner_id TEXT NOT NULL, owner_name TEXT NOT NULL,
        region TEXT NOT NULL, created_at_ms INTEGER NOT NULL,
        settings BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    # The columns of a listing only: narrow rows keep a page of 1,000 keys in few database pages.
    # `age` counts down along the journal, so that the newest version of a key comes first.
    """CREATE TABLE IF NOT EXISTS objects(
        bucket TEXT NOT NULL, key BLOB NOT NULL, version_id TEXT NOT NULL,
        volume_id TEXT NOT NULL, size_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
        modified_at_ms INTEGER NOT NULL, tier TEXT NOT NULL, checksum_algorithm TEXT,
        checksum_type TEXT, owner_id TEXT NOT NULL, owner_name TEXT NOT NULL,
        age INTEGER NOT NULL, storage_class TEXT NOT NULL,
        PRIMARY KEY(bucket, key)) STRICT, WITHOUT ROWID""",
    # All other versions, and all delete markers: a bucket without versioning has no rows here.
    """CREATE TABLE IF NOT EXISTS noncurrent(
        bucket TEXT NOT NULL, key BLOB NOT NULL, version_id TEXT NOT NULL,
        volume_id TEXT NOT NULL, size_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
        modified_at_ms INTEGER NOT NULL, tier TEXT NOT NULL, checksum_algorithm TEXT,
        checksum_type TEXT, owner_id TEXT NOT NULL, owner_name TEXT NOT NULL,
        age INTEGER NOT NULL, storage_class TEXT NOT NULL, marker INTEGER NOT NULL,
        PRIMARY KEY(bucket, key, age)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS noncurrent_ids ON noncurrent(bucket, key, version_id)",
    """CREATE TABLE IF NOT EXISTS volumes(
        id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL,
        size_bytes INTEGER NOT NULL, checksum TEXT NOT NULL, tier TEXT NOT NULL,
        missing INTEGER NOT NULL, location BLOB NOT NULL, created_at_ms INTEGER NOT NULL,
        placed_at_ms INTEGER NOT NULL, stream_version INTEGER NOT NULL, pending BLOB,
        details BLOB NOT NULL, storage_class TEXT NOT NULL,
        restored_until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS pending_moves ON volumes(id) WHERE pending IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS incomplete ON volumes(id) WHERE missing>0",
    """CREATE TABLE IF NOT EXISTS uploads(
        bucket TEXT NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL,
        started_at_ms INTEGER NOT NULL, owner_id TEXT NOT NULL, owner_name TEXT NOT NULL,
        metadata BLOB NOT NULL, checksum_algorithm TEXT, checksum_type TEXT,
        attributes BLOB NOT NULL, PRIMARY KEY(bucket, key, id)) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX IF NOT EXISTS upload_ids ON uploads(id)",
    """CREATE TABLE IF NOT EXISTS parts(
        upload_id TEXT NOT NULL, number INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        etag TEXT NOT NULL, checksum TEXT NOT NULL, modified_at_ms INTEGER NOT NULL,
        location BLOB NOT NULL, checksums BLOB NOT NULL, salt TEXT NOT NULL,
        PRIMARY KEY(upload_id, number)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS completed(
        upload_id TEXT PRIMARY KEY, volume_id TEXT NOT NULL, numbers BLOB NOT NULL)
        STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS completed_volumes ON completed(volume_id)",
    """CREATE TABLE IF NOT EXISTS garbage(
        copy TEXT PRIMARY KEY, freed_at_ms INTEGER NOT NULL, location BLOB NOT NULL)
        STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS garbage_by_age ON garbage(freed_at_ms, copy)",
    """CREATE TABLE IF NOT EXISTS totals(
        tier TEXT NOT NULL, missing INTEGER NOT NULL, volumes INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, PRIMARY KEY(tier, missing)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS disks(
        tier TEXT NOT NULL, disk INTEGER NOT NULL, disk_id TEXT NOT NULL,
        PRIMARY KEY(tier, disk)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS prices(
        version TEXT PRIMARY KEY, document TEXT NOT NULL, adopted_seq INTEGER NOT NULL)
        STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS pins(
        bucket TEXT NOT NULL, prefix BLOB NOT NULL, tier TEXT NOT NULL, pinned_by TEXT NOT NULL,
        pinned_at_ms INTEGER NOT NULL, seq INTEGER NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY(bucket, prefix)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS residents ON volumes(tier, placed_at_ms, id)",
    """CREATE TABLE IF NOT EXISTS remote_use(
        month TEXT PRIMARY KEY, puts INTEGER NOT NULL, gets INTEGER NOT NULL,
        egress_bytes INTEGER NOT NULL, capped INTEGER NOT NULL, seq INTEGER NOT NULL)
        STRICT, WITHOUT ROWID""",
)


@dataclass(frozen=True)
class Details:
    """What only a look-up of one object wants to know of it."""

    version_id: str
    etag: str
    metadata: Metadata
    checksums: tuple[Checksum, ...]
    parts: tuple[CompletedPart, ...]
    attributes: VersionAttributes


LOCATION = PositionalCodec(Location)
DETAILS = PositionalCodec(Details)
PENDING = PositionalCodec(PendingMove)
METADATA = PositionalCodec(Metadata)
CHECKSUMS = PositionalCodec(tuple[Checksum, ...])
ATTRIBUTES = PositionalCodec(VersionAttributes)
SETTINGS = PositionalCodec(BucketSettings)
NUMBERS = PositionalCodec(tuple[int, ...])
