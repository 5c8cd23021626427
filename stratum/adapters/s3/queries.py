"""Query parameters of listings and parts, parsed into domain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stratum.domain.errors import InvalidArgument
from stratum.domain.listing import PAGE_LENGTH_MAX, ListRequest, Position, decode_token
from stratum.domain.upload import check_part_number

BUCKETS_PAGE_MAX = 10_000

_INTEGER = re.compile("[+-]?[0-9]{1,10}").fullmatch
INTEGER_MAX = 2**31 - 1

Query = Mapping[str, str]


@dataclass(frozen=True)
class ObjectsQuery:
    """ListObjects (`version` 1) or ListObjectsV2 (2).

    `marker` is V1's marker or V2's start-after, as sent; `token` V2's continuation token.
    """

    version: int
    request: ListRequest
    marker: str | None = None
    token: str | None = None
    fetch_owner: bool = False
    url_encoded: bool = False


@dataclass(frozen=True)
class VersionsQuery:
    """ListObjectVersions; `request.after.within` holds the version marker, as sent."""

    request: ListRequest
    key_marker: str = ""
    version_id_marker: str = ""
    url_encoded: bool = False


@dataclass(frozen=True)
class UploadsQuery:
    """ListMultipartUploads; `request.after.within` holds the upload id to go on behind."""

    request: ListRequest
    key_marker: str = ""
    upload_id_marker: str = ""
    url_encoded: bool = False


@dataclass(frozen=True)
class PartsQuery:
    """ListParts: up to `max_parts` parts with a number above `after`."""

    after: int
    max_parts: int


@dataclass(frozen=True)
class BucketsQuery:
    """ListBuckets: up to `max_buckets` names with `prefix`, after the name `after`."""

    prefix: str | None = None
    after: str = ""
    max_buckets: int = BUCKETS_PAGE_MAX
    region: str | None = None


def objects_query(query: Query) -> ObjectsQuery:
    """Parse ListObjects, or ListObjectsV2 when `list-type` is 2; raise InvalidArgument."""
    version = 2 if query.get("list-type") == "2" else 1
    marker = query.get("start-after" if version == 2 else "marker")
    token = query.get("continuation-token") if version == 2 else None
    after = Position(marker) if marker else None
    if token:
        after = decode_token(token)
    return ObjectsQuery(
        version=version,
        request=ListRequest(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=after,
            max_keys=_page_length(query, "max-keys"),
        ),
        marker=marker,
        token=token,
        fetch_owner=version == 1 or query.get("fetch-owner") == "true",
        url_encoded=_url_encoded(query),
    )


def versions_query(query: Query) -> VersionsQuery:
    """Parse ListObjectVersions; raise InvalidArgument."""
    key_marker = query.get("key-marker", "")
    version_id_marker = query.get("version-id-marker", "")
    if version_id_marker and not key_marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            "version-id-marker",
            version_id_marker[:100],
        )
    after = Position(key_marker, within=version_id_marker or None) if key_marker else None
    return VersionsQuery(
        request=ListRequest(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=after,
            max_keys=_page_length(query, "max-keys"),
        ),
        key_marker=key_marker,
        version_id_marker=version_id_marker,
        url_encoded=_url_encoded(query),
    )


def uploads_query(query: Query) -> UploadsQuery:
    """Parse ListMultipartUploads; raise InvalidArgument. An upload id needs its key beside it."""
    key_marker = query.get("key-marker", "")
    upload_id_marker = query.get("upload-id-marker", "") if key_marker else ""
    after = Position(key_marker, within=upload_id_marker or None) if key_marker else None
    return UploadsQuery(
        request=ListRequest(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=after,
            max_keys=_page_length(query, "max-uploads"),
        ),
        key_marker=key_marker,
        upload_id_marker=upload_id_marker,
        url_encoded=_url_encoded(query),
    )


def parts_query(query: Query) -> PartsQuery:
    """Parse ListParts; raise InvalidArgument."""
    after = _integer(query, "part-number-marker", 0)
    return PartsQuery(after=after, max_parts=_page_length(query, "max-parts"))


def buckets_query(query: Query) -> BucketsQuery:
    """Parse ListBuckets; raise InvalidArgument."""
    token = query.get("continuation-token")
    asked = _integer(query, "max-buckets", BUCKETS_PAGE_MAX)
    if not 1 <= asked <= BUCKETS_PAGE_MAX:
        raise InvalidArgument(
            f"Argument max-buckets must be an integer between 1 and {BUCKETS_PAGE_MAX}",
            "max-buckets",
            str(asked),
        )
    return BucketsQuery(
        prefix=query.get("prefix"),
        after=decode_token(token).key if token else "",
        max_buckets=asked,
        region=query.get("bucket-region"),
    )


def part_number(query: Query) -> int | None:
    """`partNumber` of an upload or a read; raise InvalidArgument beyond 1…10,000."""
    if "partNumber" not in query:
        return None
    return check_part_number(_integer(query, "partNumber", 0))


def _page_length(query: Query, name: str) -> int:
    return min(_integer(query, name, PAGE_LENGTH_MAX), PAGE_LENGTH_MAX)


def _integer(query: Query, name: str, default: int) -> int:
    """A non-negative integer; S3 takes an empty value as none."""
    text = query.get(name, "")
    if not text:
        return default
    if not _INTEGER(text):
        raise InvalidArgument(
            f"Provided {name} not an integer or within integer range", name, text[:100]
        )
    if not 0 <= int(text) <= INTEGER_MAX:
        raise InvalidArgument(
            f"Argument {name} must be an integer between 0 and {INTEGER_MAX}", name, text[:100]
        )
    return int(text)


def _url_encoded(query: Query) -> bool:
    encoding = query.get("encoding-type", "")
    if encoding.lower() not in ("", "url"):
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request", "encoding-type", encoding[:100]
        )
    return bool(encoding)
