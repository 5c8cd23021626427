"""Request headers parsed into domain values: conditions, ranges, copy sources, storage classes.

`refuse_unsupported` is part of every operation that writes: a client that asks for a lock must
hear that it is not there rather than get an object without it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from stratum.adapters.s3.dates import parse_http_date, parse_iso_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers, decode_utf8
from stratum.domain.conditions import NO_CONDITIONS, Conditions, EntityTags
from stratum.domain.errors import InvalidArgument
from stratum.domain.names import BucketName, ObjectKey, bucket_name, object_key
from stratum.domain.ranges import ByteRange, parse_copy_range, parse_range

MD5_LENGTH_BYTES = 16
COPY_SOURCE_PREFIX = "x-amz-copy-source-"

UNSUPPORTED_HEADERS = {
    "x-amz-mfa",
    "x-amz-object-annotation-directive",
    "x-amz-rename-source",
    "x-amz-write-offset-bytes",
}
UNSUPPORTED_UNLESS = {
    "x-amz-bucket-namespace": ("global",),
}
"""Headers that change nothing with these values."""

CONDITIONAL_HEADERS = frozenset(
    ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range")
)

_LENGTH = re.compile("[0-9]{1,18}").fullmatch


@dataclass(frozen=True)
class CopySource:
    """What x-amz-copy-source names."""

    bucket: BucketName
    key: ObjectKey
    version_id: str | None = None


def refuse_unsupported(headers: Headers) -> None:
    """Raise NotImplemented for a header that asks for a feature this server does not have."""
    for name, value in headers.items():
        if not name.startswith("x-amz-"):
            continue
        allowed: Sequence[str] = UNSUPPORTED_UNLESS.get(name, (value,))
        if name in UNSUPPORTED_HEADERS or value not in allowed:
            raise _not_implemented(name)


def conditions(headers: Headers, prefix: str = "") -> Conditions:
    """If-Match, If-None-Match, If-(Un)modified-Since and If-Range, each with `prefix` before it.

    Use COPY_SOURCE_PREFIX for those of a copy's source. Dates that cannot be read do not count
    (RFC 9110 §13.1.3, §13.1.4).
    """
    if not prefix and CONDITIONAL_HEADERS.isdisjoint(headers):
        return NO_CONDITIONS
    return Conditions(
        if_match=_entity_tags(headers.get(f"{prefix}if-match")),
        if_none_match=_entity_tags(headers.get(f"{prefix}if-none-match")),
        if_modified_since_ms=_date_ms(headers.get(f"{prefix}if-modified-since")),
        if_unmodified_since_ms=_date_ms(headers.get(f"{prefix}if-unmodified-since")),
        if_range=_if_range(headers.get(f"{prefix}if-range")),
    )


def enables_lock(headers: Headers) -> bool:
    """Whether a new bucket is to have object lock; raise InvalidArgument."""
    name = "x-amz-bucket-object-lock-enabled"
    wish = headers.get(name, "false").lower()
    if wish not in ("true", "false"):
        raise InvalidArgument("Object lock is enabled with true or false", name, wish[:100])
    return wish == "true"


def delete_conditions(headers: Headers) -> Conditions:
    """If-Match and x-amz-if-match-size, -last-modified-time; raise InvalidArgument."""
    return Conditions(
        if_match=_entity_tags(headers.get("if-match")),
        if_match_size_bytes=_size(headers),
        if_match_modified_ms=_modified_ms(headers),
    )


def _size(headers: Headers) -> int | None:
    text = headers.get("x-amz-if-match-size")
    if text is None:
        return None
    if not _LENGTH(text):
        raise InvalidArgument("The size is not a number", "x-amz-if-match-size", text[:100])
    return int(text)


def _modified_ms(headers: Headers) -> int | None:
    name = "x-amz-if-match-last-modified-time"
    text = headers.get(name)
    if text is None:
        return None
    unix_s = parse_http_date(text)
    at_ms = parse_iso_date(text) if unix_s is None else unix_s * 1000
    if at_ms is None:
        raise InvalidArgument("The time is not a date", name, text[:100])
    return at_ms


def byte_range(headers: Headers) -> ByteRange | None:
    """The Range asked for; None for the whole object."""
    text = headers.get("range")
    return None if text is None else parse_range(text)


def copy_range(headers: Headers) -> ByteRange | None:
    """The range of UploadPartCopy; raise InvalidArgument."""
    text = headers.get("x-amz-copy-source-range")
    return None if text is None else parse_copy_range(text)


def copy_source(headers: Headers) -> CopySource:
    """Parse x-amz-copy-source: `[/]BUCKET/KEY[?versionId=ID]`, percent-encoded.

    Raises InvalidArgument, InvalidBucketName, KeyTooLong; S3Error InvalidURI if it is not UTF-8.
    """
    text = headers.get("x-amz-copy-source", "")
    # A `?` of the key itself is sent as %3F, so the version is split off before decoding.
    path, has_version, version = text.partition("?versionId=")
    decoded = decode_utf8(unquote_to_bytes(path.encode("latin-1", "replace")))
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not slash or not bucket or not key:
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            "x-amz-copy-source",
            text[:100],
        )
    return CopySource(bucket_name(bucket), object_key(key), version if has_version else None)


def replaces_metadata(headers: Headers) -> bool:
    """Whether a copy takes its metadata from the request; raise InvalidArgument."""
    directive = headers.get("x-amz-metadata-directive", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument(
            "Unknown metadata directive.", "x-amz-metadata-directive", directive[:100]
        )
    return directive == "REPLACE"


def content_md5(headers: Headers) -> bytes | None:
    """The MD5 digest the body must have; raise InvalidDigest if it is not one."""
    text = headers.get("content-md5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeError, binascii.Error):
        digest = b""
    if len(digest) != MD5_LENGTH_BYTES:
        raise S3Error("InvalidDigest", fields={"Content-MD5": text[:100]})
    return digest


def content_length(headers: Headers) -> int | None:
    """The length of the body as sent; raise InvalidArgument if it is not one."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not _LENGTH(text):
        raise InvalidArgument("Content-Length is not a length", "Content-Length", text[:100])
    return int(text)


def _not_implemented(header: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        "A header you provided implies functionality that is not implemented",
        fields={"Header": header},
    )


def _entity_tags(text: str | None) -> EntityTags | None:
    return EntityTags.parse(text) if text else None


def _date_ms(text: str | None) -> int | None:
    unix_s = parse_http_date(text) if text else None
    return None if unix_s is None else unix_s * 1000


def _if_range(text: str | None) -> EntityTags | int | None:
    if not text:
        return None
    date_ms = _date_ms(text)
    return EntityTags.parse(text) if date_ms is None else date_ms
