"""What events on buckets, object versions and uploads do to the catalog's tables."""

from __future__ import annotations

from stratum.adapters.catalog_schema import (
    CHECKSUMS,
    DETAILS,
    LOCATION,
    METADATA,
    NUMBERS,
    PENDING,
    Details,
)
from stratum.adapters.projection_placements import (
    Execute,
    Projection,
    count_volumes,
    free_copy,
    free_unfinished,
)
from stratum.domain.catalog import missing_shards
from stratum.domain.events import (
    BucketCreated,
    BucketDeleted,
    PartStored,
    Recorded,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionCommitted,
    VersionRemoved,
)


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
    count_volumes(execute, tier, missing, 1, event.size_bytes)


def _version_removed(execute: Execute, row: Recorded, event: VersionRemoved) -> None:
    for tier, missing, size_bytes, location, pending in execute(
        "DELETE FROM volumes WHERE id=? RETURNING tier, missing, size_bytes, location, pending",
        (event.volume_id,),
    ).fetchall():
        count_volumes(execute, tier, missing, -1, -size_bytes)
        free_copy(execute, row, LOCATION.decode(location))
        if pending is not None:
            move = PENDING.decode(pending)
            free_unfinished(execute, row, move.to, move.copy_id)
    execute(
        "DELETE FROM objects WHERE bucket=? AND key=? AND volume_id=?",
        (event.bucket, event.key.encode(), event.volume_id),
    )
    execute("DELETE FROM completed WHERE volume_id=?", (event.volume_id,))


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
        free_copy(execute, row, event.location)  # the upload is over: nobody can refer to it
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


def _free_parts(execute: Execute, row: Recorded, upload_id: str, numbers: set[int]) -> None:
    for number in numbers:
        for (location,) in execute(
            "DELETE FROM parts WHERE upload_id=? AND number=? RETURNING location",
            (upload_id, number),
        ).fetchall():
            free_copy(execute, row, LOCATION.decode(location))


PROJECTIONS: dict[type, Projection] = {
    BucketCreated: _bucket_created,
    BucketDeleted: _bucket_deleted,
    VersionCommitted: _version_committed,
    VersionRemoved: _version_removed,
    UploadStarted: _upload_started,
    PartStored: _part_stored,
    UploadCompleted: _upload_completed,
    UploadAborted: _upload_aborted,
}
