"""The catalog in SQLite: `domain.catalog.Catalog` over one connection.

Whether answers are the writer's exact view inside its transaction, one consistent snapshot or the
newest committed state depends on the connection. Every method reads its rows to the end, so that
none leaves a read transaction open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stratum.adapters.catalog_listing import BYTES_END, list_objects
from stratum.adapters.catalog_placements import SqlitePlacements
from stratum.adapters.catalog_schema import (
    ATTRIBUTES,
    CHECKSUMS,
    DETAILS,
    LOCATION,
    METADATA,
    NUMBERS,
    SETTINGS,
)
from stratum.adapters.catalog_versions import list_versions
from stratum.adapters.sqlite_connection import meaning_of
from stratum.adapters.version_cache import VersionCache
from stratum.domain.catalog import (
    Bucket,
    ListedObject,
    ListedVersion,
)
from stratum.domain.checksums import ChecksumAlgorithm, ChecksumType
from stratum.domain.events import BucketConfigured, BucketCreated, BucketDeleted, Event
from stratum.domain.listing import ListRequest, Page, Position, after_prefix, paginate
from stratum.domain.names import BucketName, Caller, ObjectKey, UploadId, VolumeId
from stratum.domain.volume import DeleteMarker, ObjectVersion, Part, Upload

BUCKETS_CACHED_MAX = 10_000

_UPLOAD = (
    "SELECT id, bucket, key, started_at_ms, owner_id, owner_name, metadata, checksum_algorithm,"
    " checksum_type, attributes FROM uploads"
)
_BUCKET = "SELECT name, owner_id, owner_name, region, created_at_ms, settings FROM buckets"
_VERSION = (
    "SELECT volumes.bucket, volumes.key, id, volumes.size_bytes, created_at_ms, location, checksum,"
    " details FROM volumes"
)
_MARKER = (
    "SELECT bucket, key, version_id, volume_id, modified_at_ms, owner_id, owner_name,"
    " marker FROM noncurrent"
)


class SqliteCatalog(SqlitePlacements):
    """Implements Catalog. Methods raise DiskFailed or JournalCorrupt if SQLite can't answer."""

    def __init__(self, connection: sqlite3.Connection, *, caching: bool = False) -> None:
        """`caching`: keep buckets and versions in memory; whoever commits then calls `forget`."""
        super().__init__(connection)
        self._caching = caching
        self._cached: dict[str, Bucket] = {}
        self._versions = VersionCache()

    # -- namespace ------------------------------------------------------------------------------
    def bucket(self, name: BucketName) -> Bucket | None:
        if name in self._cached:
            return self._cached[name]
        for row in self._rows(f"{_BUCKET} WHERE name=?", (name,)):
            bucket = _bucket(*row)
            if self._caching:
                if len(self._cached) >= BUCKETS_CACHED_MAX:
                    self._cached.clear()
                self._cached[name] = bucket
            return bucket
        return None

    def forget(self, events: Sequence[Event] | None = None) -> None:
        """A transaction with these events (or who knows which) was committed: what they change is
        looked up anew."""
        if events is None:
            self._cached.clear()
            self._versions.clear()
            return
        self._versions.forget(events)
        for event in events:
            if isinstance(event, BucketCreated | BucketDeleted | BucketConfigured):
                self._cached.pop(event.bucket, None)

    def buckets(self) -> Sequence[Bucket]:
        return [_bucket(*row) for row in self._rows(f"{_BUCKET} ORDER BY name")]

    def is_empty(self, bucket: BucketName) -> bool:
        ((occupied,),) = self._rows(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket=?)"
            " OR EXISTS (SELECT 1 FROM noncurrent WHERE bucket=?)"
            " OR EXISTS (SELECT 1 FROM uploads WHERE bucket=?)",
            (bucket, bucket, bucket),
        )
        return not occupied

    def version(self, bucket: BucketName, key: ObjectKey) -> ObjectVersion | None:
        known = self._versions.get(bucket, key)
        if known is not None:
            return known
        for row in self._rows(
            f"{_VERSION} JOIN objects ON volumes.id=objects.volume_id"
            " WHERE objects.bucket=? AND objects.key=?",
            (bucket, key.encode()),
        ):
            version = _version(*row)
            if self._caching:
                self._versions.keep(version)
            return version
        return None

    def delete_marker(self, bucket: BucketName, key: ObjectKey) -> DeleteMarker | None:
        raw = key.encode()
        for *row, marker in self._rows(
            f"{_MARKER} WHERE bucket=? AND key=?"  # noqa: S608 - the columns are ours
            " AND NOT EXISTS (SELECT 1 FROM objects WHERE bucket=? AND key=?)"
            " ORDER BY age LIMIT 1",
            (bucket, raw, bucket, raw),
        ):
            return _marker(*row) if marker else None
        return None

    def version_by_id(
        self, bucket: BucketName, key: ObjectKey, version_id: str
    ) -> ObjectVersion | DeleteMarker | None:
        where = (bucket, key.encode(), version_id)
        for (volume_id,) in self._rows(
            "SELECT volume_id FROM objects WHERE bucket=? AND key=? AND version_id=?", where
        ):
            return self.version_of(volume_id)
        for *row, marker in self._rows(
            f"{_MARKER} WHERE bucket=? AND key=? AND version_id=?",
            where,
        ):
            return _marker(*row) if marker else self.version_of(row[3])
        return None

    def version_of(self, volume_id: VolumeId) -> ObjectVersion | None:
        for row in self._rows(f"{_VERSION} WHERE id=?", (volume_id,)):
            return _version(*row)
        return None

    def list_versions(self, bucket: BucketName, request: ListRequest) -> Page[ListedVersion]:
        try:
            return list_versions(self._connection, bucket, request)
        except sqlite3.Error as error:
            raise meaning_of(error) from error

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
            "SELECT number, size_bytes, etag, location, checksum, modified_at_ms, checksums, salt"
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
                at_ms,
                CHECKSUMS.decode(checksums),
                salt,
            )
            for number, size_bytes, etag, location, checksum, at_ms, checksums, salt in rows
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


def _bucket(
    name: str, owner_id: str, owner_name: str, region: str, created_at_ms: int, settings: bytes
) -> Bucket:
    return Bucket(
        BucketName(name),
        Caller(owner_id, owner_name),
        region,
        created_at_ms,
        SETTINGS.decode(settings),
    )


def _version(
    bucket: str,
    key: bytes,
    volume_id: str,
    size_bytes: int,
    created_at_ms: int,
    location: bytes,
    checksum: str,
    blob: bytes,
) -> ObjectVersion:
    details = DETAILS.decode(blob)
    return ObjectVersion(
        BucketName(bucket),
        ObjectKey(key.decode()),
        details.version_id,
        VolumeId(volume_id),
        size_bytes,
        details.etag,
        created_at_ms,
        LOCATION.decode(location),
        checksum,
        details.metadata,
        details.checksums,
        details.parts,
        details.attributes,
    )


def _marker(
    bucket: str,
    key: bytes,
    version_id: str,
    marker_id: str,
    at_ms: int,
    owner_id: str,
    owner_name: str,
) -> DeleteMarker:
    where = BucketName(bucket), ObjectKey(key.decode())
    return DeleteMarker(*where, version_id, marker_id, at_ms, owner_id, owner_name)


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
    attributes: bytes,
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
        ATTRIBUTES.decode(attributes),
    )
