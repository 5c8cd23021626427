"""What each event does to the catalog's tables.

A pure mapping from events to row changes: live commits, a rebuild and a state in the past all go
through `project`. Every table is clustered on its primary key. Keys are BLOBs, so that they
compare by their UTF-8 bytes as S3 demands, with no collation in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from stratum.adapters.positional import PositionalCodec
from stratum.domain.catalog import copy_key, missing_shards
from stratum.domain.checksums import Checksum
from stratum.domain.events import (
    BucketCreated,
    BucketDeleted,
    CopiesReclaimed,
    DiskAdded,
    MoveAbandoned,
    PartStored,
    PricesAdopted,
    Recorded,
    ShardsRebuilt,
    TierDecided,
    TierPinned,
    TierUnpinned,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionCommitted,
    VersionRemoved,
    VolumeMoved,
)
from stratum.domain.names import ExtentId, Tier
from stratum.domain.redundancy import with_shards
from stratum.domain.volume import CompletedPart, Location, Metadata, PendingMove, unfinished_copy

CATALOG_VERSION = 4
"""Number it up when a table or what an event does to it changes: the catalog is then rebuilt."""

TABLES: dict[str, tuple[str, ...]] = {
    "buckets": ("name",),
    "objects": ("bucket", "key"),
    "volumes": ("id",),
    "uploads": ("bucket", "key", "id"),
    "parts": ("upload_id", "number"),
    "completed": ("upload_id",),
    "garbage": ("copy",),
    "totals": ("tier", "missing"),
    "disks": ("tier", "disk"),
    "prices": ("version",),
    "pins": ("bucket", "prefix"),
}
"""Every table with its primary key."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS buckets(
        name TEXT PRIMARY KEY, owner_id TEXT NOT NULL, owner_name TEXT NOT NULL,
        region TEXT NOT NULL, created_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    # The columns of a listing only: narrow rows keep a page of 1,000 keys in few database pages.
    """CREATE TABLE IF NOT EXISTS objects(
        bucket TEXT NOT NULL, key BLOB NOT NULL, version_id TEXT NOT NULL,
        volume_id TEXT NOT NULL, size_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
        modified_at_ms INTEGER NOT NULL, tier TEXT NOT NULL, checksum_algorithm TEXT,
        checksum_type TEXT, PRIMARY KEY(bucket, key)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS volumes(
        id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL,
        size_bytes INTEGER NOT NULL, checksum TEXT NOT NULL, tier TEXT NOT NULL,
        missing INTEGER NOT NULL, location BLOB NOT NULL, created_at_ms INTEGER NOT NULL,
        placed_at_ms INTEGER NOT NULL, stream_version INTEGER NOT NULL, pending BLOB,
        details BLOB NOT NULL) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS pending_moves ON volumes(id) WHERE pending IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS uploads(
        bucket TEXT NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL,
        started_at_ms INTEGER NOT NULL, owner_id TEXT NOT NULL, owner_name TEXT NOT NULL,
        metadata BLOB NOT NULL, checksum_algorithm TEXT, checksum_type TEXT,
        PRIMARY KEY(bucket, key, id)) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX IF NOT EXISTS upload_ids ON uploads(id)",
    """CREATE TABLE IF NOT EXISTS parts(
        upload_id TEXT NOT NULL, number INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
        etag TEXT NOT NULL, checksum TEXT NOT NULL, modified_at_ms INTEGER NOT NULL,
        location BLOB NOT NULL, checksums BLOB NOT NULL,
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
)


@dataclass(frozen=True)
class Details:
    """What only a look-up of one object wants to know of it."""

    metadata: Metadata
    checksums: tuple[Checksum, ...]
    parts: tuple[CompletedPart, ...]


LOCATION = PositionalCodec(Location)
DETAILS = PositionalCodec(Details)
PENDING = PositionalCodec(PendingMove)
METADATA = PositionalCodec(Metadata)
CHECKSUMS = PositionalCodec(tuple[Checksum, ...])
NUMBERS = PositionalCodec(tuple[int, ...])

Execute = Callable[..., sqlite3.Cursor]


def project(cursor: sqlite3.Cursor, recorded: Iterable[Recorded]) -> None:
    """Change the tables as the events say. Raises sqlite3.Error."""
    execute = cursor.execute
    for row in recorded:
        _PROJECTIONS[type(row.event)](execute, row, row.event)


def _bucket_created(execute: Execute, row: Recorded, event: BucketCreated) -> None:
    execute(
        "INSERT OR REPLACE INTO buckets VALUES (?,?,?,?,?)",
        (event.bucket, event.owner_id, event.owner_name, event.region, row.at_ms),
    )


def _bucket_deleted(execute: Execute, row: Recorded, event: BucketDeleted) -> None:
    execute("DELETE FROM buckets WHERE name=?", (event.bucket,))
    execute("DELETE FROM pins WHERE bucket=?", (event.bucket,))


def _version_committed(execute: Execute, row: Recorded, event: VersionCommitted) -> None:
    key, location = event.key.encode(), event.location
    tier, missing = location.tier.value, missing_shards(location)
    execute(
        "INSERT INTO volumes VALUES (?,?,?,?,?,?,?,?,?,?,?,NULL,?)",
        (
            event.volume_id,
            event.bucket,
            key,
            event.size_bytes,
            event.checksum,
            tier,
            missing,
            LOCATION.encode(location),
            row.at_ms,
            row.at_ms,
            row.version,
            DETAILS.encode(Details(event.metadata, event.checksums, event.parts)),
        ),
    )
    first = event.checksums[0] if event.checksums else None
    execute(
        "INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            event.bucket,
            key,
            event.version_id,
            event.volume_id,
            event.size_bytes,
            event.etag,
            row.at_ms,
            tier,
            first.algorithm.value if first else None,
            first.type.value if first else None,
        ),
    )
    _count(execute, tier, missing, 1, event.size_bytes)


def _version_removed(execute: Execute, row: Recorded, event: VersionRemoved) -> None:
    for tier, missing, size_bytes, location, pending in execute(
        "DELETE FROM volumes WHERE id=? RETURNING tier, missing, size_bytes, location, pending",
        (event.volume_id,),
    ).fetchall():
        _count(execute, tier, missing, -1, -size_bytes)
        _free(execute, row, LOCATION.decode(location))
        if pending is not None:
            move = PENDING.decode(pending)
            _free_unfinished(execute, row, move.to, move.copy_id)
    execute(
        "DELETE FROM objects WHERE bucket=? AND key=? AND volume_id=?",
        (event.bucket, event.key.encode(), event.volume_id),
    )
    execute("DELETE FROM completed WHERE volume_id=?", (event.volume_id,))


def _tier_decided(execute: Execute, row: Recorded, event: TierDecided) -> None:
    decision = event.decision
    pending = PendingMove(decision.target, event.copy_id, row.at_ms, decision.sentence)
    execute(
        "UPDATE volumes SET pending=?, stream_version=? WHERE id=?",
        (PENDING.encode(pending), row.version, event.volume_id),
    )


def _volume_moved(execute: Execute, row: Recorded, event: VolumeMoved) -> None:
    target = event.target
    tier, missing = target.tier.value, missing_shards(target)
    for bucket, key, size_bytes, old_tier, old_missing in execute(
        "SELECT bucket, key, size_bytes, tier, missing FROM volumes WHERE id=?",
        (event.volume_id,),
    ).fetchall():
        execute(
            "UPDATE volumes SET tier=?, missing=?, location=?, placed_at_ms=?, stream_version=?,"
            " pending=NULL WHERE id=?",
            (tier, missing, LOCATION.encode(target), row.at_ms, row.version, event.volume_id),
        )
        execute(
            "UPDATE objects SET tier=? WHERE bucket=? AND key=? AND volume_id=?",
            (tier, bucket, key, event.volume_id),
        )
        _count(execute, old_tier, old_missing, -1, -size_bytes)
        _count(execute, tier, missing, 1, size_bytes)
        _free(execute, row, event.source)


def _move_abandoned(execute: Execute, row: Recorded, event: MoveAbandoned) -> None:
    execute(
        "UPDATE volumes SET pending=NULL, stream_version=? WHERE id=?",
        (row.version, event.volume_id),
    )
    _free_unfinished(execute, row, event.to, event.copy_id)


def _shards_rebuilt(execute: Execute, row: Recorded, event: ShardsRebuilt) -> None:
    for blob, size_bytes, tier, old_missing in execute(
        "SELECT location, size_bytes, tier, missing FROM volumes WHERE id=?", (event.volume_id,)
    ).fetchall():
        location = with_shards(LOCATION.decode(blob), event.extent_id, event.indices)
        missing = missing_shards(location)
        execute(
            "UPDATE volumes SET missing=?, location=?, stream_version=? WHERE id=?",
            (missing, LOCATION.encode(location), row.version, event.volume_id),
        )
        _count(execute, tier, old_missing, -1, -size_bytes)
        _count(execute, tier, missing, 1, size_bytes)


def _upload_started(execute: Execute, row: Recorded, event: UploadStarted) -> None:
    execute(
        "INSERT INTO uploads VALUES (?,?,?,?,?,?,?,?,?)",
        (
            event.bucket,
            event.key.encode(),
            event.upload_id,
            row.at_ms,
            event.owner_id,
            event.owner_name,
            METADATA.encode(event.metadata),
            event.checksum_algorithm.value if event.checksum_algorithm else None,
            event.checksum_type.value if event.checksum_type else None,
        ),
    )


def _part_stored(execute: Execute, row: Recorded, event: PartStored) -> None:
    if not execute("SELECT 1 FROM uploads WHERE id=?", (event.upload_id,)).fetchall():
        _free(execute, row, event.location)  # the upload is over: nobody can refer to it
        return
    _free_parts(execute, row, event.upload_id, {event.number})
    execute(
        "INSERT INTO parts VALUES (?,?,?,?,?,?,?,?)",
        (
            event.upload_id,
            event.number,
            event.size_bytes,
            event.etag,
            event.checksum,
            row.at_ms,
            LOCATION.encode(event.location),
            CHECKSUMS.encode(event.checksums),
        ),
    )


def _upload_completed(execute: Execute, row: Recorded, event: UploadCompleted) -> None:
    numbers = execute("SELECT number FROM parts WHERE upload_id=?", (event.upload_id,)).fetchall()
    unlisted = {number for (number,) in numbers}.difference(event.numbers)
    _free_parts(execute, row, event.upload_id, unlisted)
    execute("DELETE FROM parts WHERE upload_id=?", (event.upload_id,))
    execute("DELETE FROM uploads WHERE id=?", (event.upload_id,))
    execute(
        "INSERT OR REPLACE INTO completed VALUES (?,?,?)",
        (event.upload_id, event.volume_id, NUMBERS.encode(event.numbers)),
    )


def _upload_aborted(execute: Execute, row: Recorded, event: UploadAborted) -> None:
    numbers = execute("SELECT number FROM parts WHERE upload_id=?", (event.upload_id,)).fetchall()
    _free_parts(execute, row, event.upload_id, {number for (number,) in numbers})
    execute("DELETE FROM uploads WHERE id=?", (event.upload_id,))


def _copies_reclaimed(execute: Execute, row: Recorded, event: CopiesReclaimed) -> None:
    for copy in event.copies:
        execute("DELETE FROM garbage WHERE copy=?", (copy,))


def _disk_added(execute: Execute, row: Recorded, event: DiskAdded) -> None:
    execute(
        "INSERT OR REPLACE INTO disks VALUES (?,?,?)",
        (event.tier.value, event.index, event.disk_id),
    )


def _prices_adopted(execute: Execute, row: Recorded, event: PricesAdopted) -> None:
    execute(
        "INSERT OR REPLACE INTO prices VALUES (?,?,?)",
        (event.version, event.document, row.seq),
    )


def _tier_pinned(execute: Execute, row: Recorded, event: TierPinned) -> None:
    execute(
        "INSERT OR REPLACE INTO pins VALUES (?,?,?,?,?,?,?)",
        (
            event.bucket,
            event.prefix.encode(),
            event.tier.value,
            row.by,
            row.at_ms,
            row.seq,
            event.why,
        ),
    )


def _tier_unpinned(execute: Execute, row: Recorded, event: TierUnpinned) -> None:
    execute("DELETE FROM pins WHERE bucket=? AND prefix=?", (event.bucket, event.prefix.encode()))


def _count(execute: Execute, tier: str, missing: int, volumes: int, size_bytes: int) -> None:
    execute(
        "INSERT INTO totals VALUES (?,?,?,?) ON CONFLICT(tier, missing) DO UPDATE"
        " SET volumes=volumes+excluded.volumes, size_bytes=size_bytes+excluded.size_bytes",
        (tier, missing, volumes, size_bytes),
    )


def _free(execute: Execute, row: Recorded, location: Location) -> None:
    execute(
        "INSERT OR REPLACE INTO garbage VALUES (?,?,?)",
        (copy_key(location), row.at_ms, LOCATION.encode(location)),
    )


def _free_unfinished(execute: Execute, row: Recorded, to: Tier, copy_id: ExtentId) -> None:
    """The move may have left a copy behind that a crash made us forget."""
    left = unfinished_copy(to, copy_id)
    if left is not None:
        _free(execute, row, left)


def _free_parts(execute: Execute, row: Recorded, upload_id: str, numbers: set[int]) -> None:
    for number in numbers:
        for (location,) in execute(
            "DELETE FROM parts WHERE upload_id=? AND number=? RETURNING location",
            (upload_id, number),
        ).fetchall():
            _free(execute, row, LOCATION.decode(location))


_PROJECTIONS: dict[type, Callable[[Execute, Recorded, Any], None]] = {
    BucketCreated: _bucket_created,
    BucketDeleted: _bucket_deleted,
    VersionCommitted: _version_committed,
    VersionRemoved: _version_removed,
    TierDecided: _tier_decided,
    VolumeMoved: _volume_moved,
    MoveAbandoned: _move_abandoned,
    ShardsRebuilt: _shards_rebuilt,
    UploadStarted: _upload_started,
    PartStored: _part_stored,
    UploadCompleted: _upload_completed,
    UploadAborted: _upload_aborted,
    CopiesReclaimed: _copies_reclaimed,
    DiskAdded: _disk_added,
    PricesAdopted: _prices_adopted,
    TierPinned: _tier_pinned,
    TierUnpinned: _tier_unpinned,
}
