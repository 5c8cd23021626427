"""One page of a bucket's versions and delete markers from SQLite.

Current versions are in one table, all others in another (see `catalog_schema`); both are clustered
so that SQLite merges them in the order of the listing, at the cost of the page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from stratum.adapters.catalog_listing import BYTES_END, row_to_listed
from stratum.domain.catalog import ListedVersion, is_version_order, version_order
from stratum.domain.listing import ListRequest, Page, Position, after_prefix, paginate
from stratum.domain.names import BucketName, ObjectKey
from stratum.domain.volume import DeleteMarker

_COLUMNS = (
    "key, age, version_id, volume_id, size_bytes, etag, modified_at_ms, tier, checksum_algorithm,"
    " checksum_type, owner_id, owner_name, storage_class"
)
_SCAN = (
    f"SELECT {_COLUMNS}, 0 FROM objects"  # noqa: S608 - column names are ours
    " WHERE bucket=:bucket AND (key, age) > (:lower, :above) AND key<:upper"
    f" UNION ALL SELECT {_COLUMNS}, marker FROM noncurrent"
    " WHERE bucket=:bucket AND (key, age) > (:lower, :above) AND key<:upper"
    " ORDER BY key, age LIMIT :limit"
)
_OF_ID = (
    "SELECT age FROM objects WHERE bucket=:bucket AND key=:key AND version_id=:id"
    " UNION ALL SELECT age FROM noncurrent WHERE bucket=:bucket AND key=:key AND version_id=:id"
)
BEFORE_ALL = -(2**63)


def list_versions(
    connection: sqlite3.Connection, bucket: str, request: ListRequest
) -> Page[ListedVersion]:
    """The page of `bucket` that `request` asks for. Raises sqlite3.Error."""
    request = _resolved(connection, bucket, request)
    upper = after_prefix(request.prefix.encode()) if request.prefix else BYTES_END
    start = request.start
    within = start.within if start is not None else None
    first_age = -_seq_of(within) if within else BEFORE_ALL

    def seek(lower: bytes) -> Iterator[ListedVersion]:
        # Past the versions already listed, if it is the first key.
        resumed = bool(within) and lower == request.lower_bound
        above = first_age if resumed else BEFORE_ALL
        previous = lower if resumed else None
        while rows := connection.execute(
            _SCAN,
            {
                "bucket": bucket,
                "lower": lower,
                "above": above,
                "upper": upper,
                "limit": request.max_keys + 1,
            },
        ).fetchall():
            for row in rows:
                yield _listed(bucket, row, is_latest=row[0] != previous)
                previous = row[0]
            lower, above = rows[-1][0], rows[-1][1]

    return paginate(seek, request, lambda each: each.key, lambda each: each.order)


def _resolved(connection: sqlite3.Connection, bucket: str, request: ListRequest) -> ListRequest:
    """The request with a version id in its position replaced by that version's order."""
    after = request.after
    if after is None or after.within is None or is_version_order(after.within):
        return request
    order = ""
    where = {"bucket": bucket, "key": after.key.encode(), "id": after.within}
    for (age,) in connection.execute(_OF_ID, where).fetchall():
        order = version_order(-age)
    return replace(request, after=Position(after.key, within=order))


def _seq_of(order: str) -> int:
    return -int(order) + int(version_order(0))


def _listed(bucket: str, row: tuple[Any, ...], *, is_latest: bool) -> ListedVersion:
    raw, age, version_id, volume_id, size_bytes, etag, at_ms, tier, *rest, marker = row
    key = ObjectKey(str(raw, "utf-8"))
    shown = (
        DeleteMarker(BucketName(bucket), key, version_id, volume_id, at_ms, *rest[-3:-1])
        if marker
        else row_to_listed(key, size_bytes, etag, at_ms, tier, *rest)
    )
    return ListedVersion(key, version_id, is_latest, version_order(-age), shown)
