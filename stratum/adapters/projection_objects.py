"""What events on buckets, object versions and uploads do to the catalog's tables."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.catalog_schema import (
    ATTRIBUTES,
    CHECKSUMS,
    DETAILS,
    LOCATION,
    METADATA,
    NUMBERS,
    PENDING,
    SETTINGS,
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
    BucketConfigured,
    BucketCreated,
    BucketDeleted,
    DeleteMarkerCreated,
    DeleteMarkerRemoved,
    PartStored,
    Recorded,
    UploadAborted,
    UploadCompleted,
    UploadStarted,
    VersionChanged,
    VersionCommitted,
    VersionRemoved,
)
from stratum.domain.settings import NO_SETTINGS


def _bucket_created(execute: Execute, row: Recorded, event: BucketCreated) -> None:
    execute(
        "INSERT OR REPLACE INTO buckets VALUES (?,?,?,?,?,?)",
        (
            event.bucket,
            event.owner_id,
            event.owner_name,
            event.region,
            row.at_ms,
            SETTINGS.encode(NO_SETTINGS),
        ),
    )


def _bucket_deleted(execute: Execute, row: Recorded, event: BucketDeleted) -> None:
    execute("DELETE FROM buckets WHERE name=?", (event.bucket,))
    execute("DELETE FROM pins WHERE bucket=?", (event.bucket,))


def _bucket_configured(execute: Execute, row: Recorded, event: BucketConfigured) -> None:
    for (blob,) in execute("SELECT settings FROM buckets WHERE name=?", (event.bucket,)).fetchall():
        settings = SETTINGS.decode(blob).changed(event.setting, event.value)
        execute(
            "UPDATE buckets SET settings=? WHERE name=?", (SETTINGS.encode(settings), event.bucket)
        )


def _version_committed(execute: Execute, row: Recorded, event: VersionCommitted) -> None:
    key, location, attributes = event.key.encode(), event.location, event.attributes
    tier, missing = location.tier.value, missing_shards(location)
    details = Details(
        event.version_id, event.etag, event.metadata, event.checksums, event.parts, attributes
    )
    execute(
        "INSERT INTO volumes VALUES (?,?,?,?,?,?,?,?,?,?,?,NULL,?,?,?)",
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
            DETAILS.encode(details),
            attributes.storage_class,
            attributes.restored_until_ms,
        ),
    )
    first = event.checksums[0] if event.checksums else None
    shown = (
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
        attributes.owner_id,
        attributes.owner_name,
        -row.seq,
        attributes.storage_class,
    )
    if execute(_SHOW, shown).rowcount == 0:
        _hide_current(execute, event.bucket, key)
        execute(_SHOW, shown)
    count_volumes(execute, tier, missing, 1, event.size_bytes)


_SHOW = "INSERT OR IGNORE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"


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
    key = event.key.encode()
    shown = execute(
        "DELETE FROM objects WHERE bucket=? AND key=? AND volume_id=?",
        (event.bucket, key, event.volume_id),
    )
    if shown.rowcount:
        _show_newest(execute, event.bucket, key)
    else:
        _forget_noncurrent(execute, event.bucket, key, event.version_id, event.volume_id)
    execute("DELETE FROM completed WHERE volume_id=?", (event.volume_id,))


def _version_changed(execute: Execute, row: Recorded, event: VersionChanged) -> None:
    for (blob,) in execute("SELECT details FROM volumes WHERE id=?", (event.volume_id,)).fetchall():
        details = DETAILS.decode(blob)
        changed = replace(
            details, attributes=details.attributes.changed(event.attribute, event.value)
        )
        own = changed.attributes
        execute(
            "UPDATE volumes SET details=?, storage_class=?, restored_until_ms=?, stream_version=?"
            " WHERE id=?",
            (
                DETAILS.encode(changed),
                own.storage_class,
                own.restored_until_ms,
                row.version,
                event.volume_id,
            ),
        )
        if own.storage_class != details.attributes.storage_class:
            shown = (own.storage_class, event.bucket, event.key.encode(), event.volume_id)
            for table in ("objects", "noncurrent"):
                execute(
                    f"UPDATE {table} SET storage_class=?"  # noqa: S608 - the names are ours
                    " WHERE bucket=? AND key=? AND volume_id=?",
                    shown,
                )


def _marker_created(execute: Execute, row: Recorded, event: DeleteMarkerCreated) -> None:
    key = event.key.encode()
    _hide_current(execute, event.bucket, key)
    execute(
        "INSERT INTO noncurrent VALUES (?,?,?,?,0,'',?,'',NULL,NULL,?,?,?,'',1)",
        (
            event.bucket,
            key,
            event.version_id,
            event.marker_id,
            row.at_ms,
            event.owner_id,
            event.owner_name,
            -row.seq,
        ),
    )


def _marker_removed(execute: Execute, row: Recorded, event: DeleteMarkerRemoved) -> None:
    key = event.key.encode()
    _forget_noncurrent(execute, event.bucket, key, event.version_id, event.marker_id)
    _show_newest(execute, event.bucket, key)


def _hide_current(execute: Execute, bucket: str, key: bytes) -> None:
    """A newer version or a delete marker comes on top of a key's current version."""
    execute(
        "INSERT INTO noncurrent SELECT *, 0 FROM objects WHERE bucket=? AND key=?", (bucket, key)
    )
    execute("DELETE FROM objects WHERE bucket=? AND key=?", (bucket, key))


def _show_newest(execute: Execute, bucket: str, key: bytes) -> None:
    """Of a key without a current version the newest becomes that, unless it is a marker."""
    for *shown, age, storage_class, marker in execute(
        "SELECT * FROM noncurrent WHERE bucket=? AND key=? ORDER BY age LIMIT 1", (bucket, key)
    ).fetchall():
        if not marker and execute(_SHOW, (*shown, age, storage_class)).rowcount:
            execute("DELETE FROM noncurrent WHERE bucket=? AND key=? AND age=?", (bucket, key, age))


def _forget_noncurrent(
    execute: Execute, bucket: str, key: bytes, version_id: str, volume_id: str
) -> None:
    execute(
        "DELETE FROM noncurrent WHERE bucket=? AND key=? AND version_id=? AND volume_id=?",
        (bucket, key, version_id, volume_id),
    )


def _upload_started(execute: Execute, row: Recorded, event: UploadStarted) -> None:
    execute(
        "INSERT INTO uploads VALUES (?,?,?,?,?,?,?,?,?,?)",
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
            ATTRIBUTES.encode(event.attributes),
        ),
    )


def _part_stored(execute: Execute, row: Recorded, event: PartStored) -> None:
    if not execute("SELECT 1 FROM uploads WHERE id=?", (event.upload_id,)).fetchall():
        free_copy(execute, row, event.location)  # the upload is over: nobody can refer to it
        return
    _free_parts(execute, row, event.upload_id, {event.number})
    execute(
        "INSERT INTO parts VALUES (?,?,?,?,?,?,?,?,?)",
        (
            event.upload_id,
            event.number,
            event.size_bytes,
            event.etag,
            event.checksum,
            row.at_ms,
            LOCATION.encode(event.location),
            CHECKSUMS.encode(event.checksums),
            event.salt,
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
    BucketConfigured: _bucket_configured,
    VersionCommitted: _version_committed,
    VersionRemoved: _version_removed,
    VersionChanged: _version_changed,
    DeleteMarkerCreated: _marker_created,
    DeleteMarkerRemoved: _marker_removed,
    UploadStarted: _upload_started,
    PartStored: _part_stored,
    UploadCompleted: _upload_completed,
    UploadAborted: _upload_aborted,
}
