"""The catalog in SQLite: `domain.catalog.Catalog` over one connection.

Whether answers are the writer's exact view inside its transaction, one consistent snapshot or the
newest committed state depends on the connection. Every method reads its rows to the end, so that
none leaves a read transaction open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from stratum.adapters.catalog_listing import BYTES_END, list_objects
from stratum.adapters.catalog_schema import CHECKSUMS, DETAILS, LOCATION, METADATA, NUMBERS, PENDING
from stratum.adapters.sqlite_connection import meaning_of
from stratum.domain.catalog import Bucket, DiskLabel, ListedObject, TierTotals, copy_key
from stratum.domain.checksums import ChecksumAlgorithm, ChecksumType
from stratum.domain.listing import ListRequest, Page, Position, after_prefix, paginate
from stratum.domain.names import BucketName, Caller, ObjectKey, Tier, UploadId, VolumeId
from stratum.domain.pin import Pin, longest_pin
from stratum.domain.volume import Garbage, ObjectVersion, Part, Upload, Volume

_UPLOAD = (
    "SELECT id, bucket, key, started_at_ms, owner_id, owner_name, metadata, checksum_algorithm,"
    " checksum_type FROM uploads"
)
_VOLUME = (
    "SELECT id, bucket, key, size_bytes, checksum, location, created_at_ms, placed_at_ms,"
    " stream_version, pending FROM volumes"
)
_PIN = "SELECT bucket, prefix, tier, pinned_by, pinned_at_ms, seq, why FROM pins"


class SqliteCatalog:
    """Implements Catalog. Methods raise DiskFailed or JournalCorrupt if SQLite can't answer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise meaning_of(error) from error

    # -- namespace ------------------------------------------------------------------------------
    def bucket(self, name: BucketName) -> Bucket | None:
        for row in self._rows(
            "SELECT name, owner_id, owner_name, region, created_at_ms FROM buckets WHERE name=?",
            (name,),
        ):
            return _bucket(*row)
        return None

    def buckets(self) -> Sequence[Bucket]:
        rows = self._rows(
            "SELECT name, owner_id, owner_name, region, created_at_ms FROM buckets ORDER BY name"
        )
        return [_bucket(*row) for row in rows]

    def is_empty(self, bucket: BucketName) -> bool:
        ((occupied,),) = self._rows(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket=?)"
            " OR EXISTS (SELECT 1 FROM uploads WHERE bucket=?)",
            (bucket, bucket),
        )
        return not occupied

    def version(self, bucket: BucketName, key: ObjectKey) -> ObjectVersion | None:
        for row in self._rows(
            "SELECT version_id, volume_id, objects.size_bytes, etag, modified_at_ms, location,"
            " checksum, details FROM objects JOIN volumes ON volumes.id=objects.volume_id"
            " WHERE objects.bucket=? AND objects.key=?",
            (bucket, key.encode()),
        ):
            version_id, volume_id, size_bytes, etag, modified_at_ms, location, checksum, blob = row
            details = DETAILS.decode(blob)
            return ObjectVersion(
                bucket,
                key,
                version_id,
                volume_id,
                size_bytes,
                etag,
                modified_at_ms,
                LOCATION.decode(location),
                checksum,
                details.metadata,
                details.checksums,
                details.parts,
            )
        return None

    def list_objects(self, bucket: BucketName, request: ListRequest) -> Page[ListedObject]:
        try:
            return list_objects(self._connection, bucket, request)
        except sqlite3.Error as error:
            raise meaning_of(error) from error

    def upload(self, upload_id: UploadId) -> Upload | None:
        for row in self._rows(f"{_UPLOAD} WHERE id=?", (upload_id,)):
            return _upload(*row)
        return None

    def parts(self, upload_id: UploadId, after: int = 0, limit: int = 10_000) -> Sequence[Part]:
        rows = self._rows(
            "SELECT number, size_bytes, etag, location, checksum, modified_at_ms, checksums"
            " FROM parts WHERE upload_id=? AND number>? ORDER BY number LIMIT ?",
            (upload_id, after, limit),
        )
        return [
            Part(
                upload_id,
                number,
                size_bytes,
                etag,
                LOCATION.decode(location),
                checksum,
                modified_at_ms,
                CHECKSUMS.decode(checksums),
            )
            for number, size_bytes, etag, location, checksum, modified_at_ms, checksums in rows
        ]

    def list_uploads(
        self, bucket: BucketName, request: ListRequest, after_upload: str = ""
    ) -> Page[Upload]:
        if after_upload and request.after is not None:
            request = replace(request, after=Position(request.after.key, within=after_upload))
        upper = after_prefix(request.prefix.encode()) if request.prefix else BYTES_END
        start = request.start
        first_id = start.within or "" if start is not None else ""

        def seek(lower: bytes) -> Iterator[Upload]:
            # Past the ids already listed, if it is the first key; below the prefix's end always.
            above = first_id if lower == request.lower_bound else ""
            while rows := self._rows(
                f"{_UPLOAD} WHERE bucket=? AND (key, id) > (?, ?) AND key<?"
                " ORDER BY key, id LIMIT ?",
                (bucket, lower, above, upper, request.max_keys + 1),
            ):
                yield from (_upload(*row) for row in rows)
                lower, above = rows[-1][2], rows[-1][0]

        return paginate(seek, request, lambda upload: upload.key, lambda upload: upload.id)

    def completed(self, upload_id: UploadId) -> tuple[VolumeId, tuple[int, ...]] | None:
        for volume_id, numbers in self._rows(
            "SELECT volume_id, numbers FROM completed WHERE upload_id=?", (upload_id,)
        ):
            return volume_id, NUMBERS.decode(numbers)
        return None

    # -- placements -----------------------------------------------------------------------------
    def volume(self, volume_id: VolumeId) -> Volume | None:
        for row in self._rows(f"{_VOLUME} WHERE id=?", (volume_id,)):
            return _volume(*row)
        return None

    def volumes(self, after: str = "", limit: int = 1000) -> Sequence[Volume]:
        rows = self._rows(f"{_VOLUME} WHERE id>? ORDER BY id LIMIT ?", (after, limit))
        return [_volume(*row) for row in rows]

    def pending_moves(self) -> Sequence[Volume]:
        return [
            _volume(*row) for row in self._rows(f"{_VOLUME} WHERE pending IS NOT NULL ORDER BY id")
        ]

    def garbage(
        self, freed_before_ms: int, limit: int, after: Garbage | None = None
    ) -> Sequence[Garbage]:
        behind = (after.freed_at_ms, copy_key(after.location)) if after else (-1, "")
        rows = self._rows(
            "SELECT location, freed_at_ms FROM garbage"
            " WHERE freed_at_ms<=? AND (freed_at_ms, copy) > (?,?)"
            " ORDER BY freed_at_ms, copy LIMIT ?",
            (freed_before_ms, *behind, limit),
        )
        return [Garbage(LOCATION.decode(location), freed_at_ms) for location, freed_at_ms in rows]

    def totals(self) -> dict[Tier, TierTotals]:
        volumes, sizes = dict.fromkeys(Tier, 0), dict.fromkeys(Tier, 0)
        missing: dict[Tier, dict[int, int]] = {tier: {} for tier in Tier}
        for name, lost, count, size_bytes in self._rows(
            "SELECT tier, missing, volumes, size_bytes FROM totals WHERE volumes>0"
        ):
            tier = Tier(name)
            volumes[tier] += count
            sizes[tier] += size_bytes
            missing[tier][lost] = count
        return {tier: TierTotals(volumes[tier], sizes[tier], missing[tier]) for tier in Tier}

    def disks(self) -> Sequence[DiskLabel]:
        rows = self._rows("SELECT tier, disk, disk_id FROM disks ORDER BY tier, disk")
        return [DiskLabel(Tier(tier), index, disk_id) for tier, index, disk_id in rows]

    def prices(self, version: str = "") -> tuple[str, str] | None:
        if version:
            sql, parameters = "SELECT version, document FROM prices WHERE version=?", (version,)
        else:
            sql = "SELECT version, document FROM prices ORDER BY adopted_seq DESC LIMIT 1"
            parameters = ()  # type: ignore[assignment]
        for own_version, document in self._rows(sql, parameters):
            return own_version, document
        return None

    def pin_of(self, bucket: BucketName, key: ObjectKey) -> Pin | None:
        def at_or_below(sought: bytes) -> Pin | None:
            for row in self._rows(
                f"{_PIN} WHERE bucket=? AND prefix<=? ORDER BY prefix DESC LIMIT 1",
                (bucket, sought),
            ):
                return _pin(*row)
            return None

        return longest_pin(key.encode(), at_or_below)

    def pins(self, bucket: BucketName | None = None) -> Sequence[Pin]:
        if bucket is None:
            rows = self._rows(f"{_PIN} ORDER BY bucket, prefix")
        else:
            rows = self._rows(f"{_PIN} WHERE bucket=? ORDER BY prefix", (bucket,))
        return [_pin(*row) for row in rows]


def _bucket(name: str, owner_id: str, owner_name: str, region: str, created_at_ms: int) -> Bucket:
    return Bucket(BucketName(name), Caller(owner_id, owner_name), region, created_at_ms)


def _pin(bucket: str, prefix: bytes, tier: str, by: str, at_ms: int, seq: int, why: str) -> Pin:
    return Pin(BucketName(bucket), prefix.decode(), Tier(tier), by, at_ms, seq, why)


def _upload(
    upload_id: str,
    bucket: str,
    key: bytes,
    started_at_ms: int,
    owner_id: str,
    owner_name: str,
    metadata: bytes,
    algorithm: str | None,
    kind: str | None,
) -> Upload:
    return Upload(
        UploadId(upload_id),
        BucketName(bucket),
        ObjectKey(key.decode()),
        started_at_ms,
        owner_id,
        owner_name,
        METADATA.decode(metadata),
        ChecksumAlgorithm(algorithm) if algorithm else None,
        ChecksumType(kind) if kind else None,
    )


def _volume(
    volume_id: str,
    bucket: str,
    key: bytes,
    size_bytes: int,
    checksum: str,
    location: bytes,
    created_at_ms: int,
    placed_at_ms: int,
    stream_version: int,
    pending: bytes | None,
) -> Volume:
    return Volume(
        VolumeId(volume_id),
        BucketName(bucket),
        ObjectKey(key.decode()),
        size_bytes,
        checksum,
        LOCATION.decode(location),
        created_at_ms,
        placed_at_ms,
        stream_version,
        PENDING.decode(pending) if pending is not None else None,
    )
