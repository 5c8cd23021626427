"""The XML documents S3 answers with, rendered straight from domain values.

Element order is Amazon's. A repeated element is simply repeated (S3 "flattens" its lists). With
encoding-type=url, keys, prefixes, delimiters and markers are percent-encoded; without it a
character XML cannot express is replaced (see `xml_text`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stratum.adapters.s3.dates import format_iso_date
from stratum.adapters.s3.errors import translate
from stratum.adapters.s3.xml_text import escape
from stratum.domain.catalog import Bucket
from stratum.domain.checksums import Checksum, ChecksumType
from stratum.domain.listing import Position, encode_token
from stratum.domain.names import Caller
from stratum.domain.settings import Versioning

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
REGION_WITHOUT_CONSTRAINT = "us-east-1"


@dataclass(frozen=True)
class DeletedEntry:
    """A key that is gone (or never was there). `version_id` is the one asked for, `marker_id` that
    of the delete marker that was made or removed."""

    key: str
    version_id: str | None = None
    marker_id: str | None = None


@dataclass(frozen=True)
class FailedEntry:
    """A key that could not be deleted, and why."""

    key: str
    error: BaseException
    version_id: str | None = None


def render_buckets(
    owner: Caller, buckets: Sequence[Bucket], *, prefix: str | None = None, truncated: bool = False
) -> bytes:
    """ListAllMyBucketsResult. When `truncated`, the token goes on after the last bucket."""
    rows = "".join(
        f"<Bucket>{element('Name', bucket.name)}"
        f"{element('CreationDate', format_iso_date(bucket.created_at_ms))}"
        f"{element('BucketRegion', bucket.region)}</Bucket>"
        for bucket in buckets
    )
    token = encode_token(Position(buckets[-1].name)) if truncated else None
    return document(
        "ListAllMyBucketsResult",
        render_caller("Owner", owner),
        f"<Buckets>{rows}</Buckets>",
        optional("ContinuationToken", token),
        optional("Prefix", prefix),
    )


def render_location(region: str) -> bytes:
    """LocationConstraint: empty for us-east-1, as ever."""
    constraint = "" if region == REGION_WITHOUT_CONSTRAINT else region
    text = f'<LocationConstraint xmlns="{NAMESPACE}">{escape(constraint)}</LocationConstraint>'
    return (DECLARATION + text).encode()


def render_versioning(status: Versioning | None) -> bytes:
    """VersioningConfiguration; empty for a bucket where it was never switched on."""
    return document("VersioningConfiguration", optional("Status", status))


def render_upload_started(bucket: str, key: str, upload_id: str) -> bytes:
    """InitiateMultipartUploadResult."""
    return document(
        "InitiateMultipartUploadResult",
        element("Bucket", bucket),
        element("Key", key),
        element("UploadId", upload_id),
    )


def render_upload_completed(
    location: str, bucket: str, key: str, etag: str, checksums: Iterable[Checksum] = ()
) -> bytes:
    """CompleteMultipartUploadResult; `location` is the object's URL."""
    return document(
        "CompleteMultipartUploadResult",
        element("Location", location),
        element("Bucket", bucket),
        element("Key", key),
        element("ETag", quoted(etag)),
        render_checksums(checksums, with_type=True),
    )


def render_object_copied(
    etag: str, modified_at_ms: int, checksums: Iterable[Checksum] = ()
) -> bytes:
    """CopyObjectResult."""
    return document(
        "CopyObjectResult",
        element("LastModified", format_iso_date(modified_at_ms)),
        element("ETag", quoted(etag)),
        render_checksums(checksums, with_type=True),
    )


def render_part_copied(etag: str, modified_at_ms: int, checksums: Iterable[Checksum] = ()) -> bytes:
    """CopyPartResult."""
    return document(
        "CopyPartResult",
        element("LastModified", format_iso_date(modified_at_ms)),
        element("ETag", quoted(etag)),
        render_checksums(checksums, with_type=False),
    )


def render_deleted(
    deleted: Iterable[DeletedEntry], failed: Iterable[FailedEntry], *, quiet: bool
) -> bytes:
    """DeleteResult; `quiet` leaves out what went well."""
    rows = [
        f"<Deleted>{element('Key', entry.key)}{optional('VersionId', entry.version_id)}"
        f"{_deleted_marker(entry.marker_id)}</Deleted>"
        for entry in ([] if quiet else deleted)
    ]
    for failure in failed:
        wire = translate(failure.error)
        rows.append(
            f"<Error>{element('Key', failure.key)}{optional('VersionId', failure.version_id)}"
            f"{element('Code', wire.code)}{element('Message', wire.message)}</Error>"
        )
    return document("DeleteResult", *rows)


def _deleted_marker(marker_id: str | None) -> str:
    if marker_id is None:
        return ""
    return element("DeleteMarker", "true") + element("DeleteMarkerVersionId", marker_id)


def document(root: str, *content: str) -> bytes:
    """A whole document in S3's namespace."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{"".join(content)}</{root}>'.encode()


def element(name: str, text: str | int) -> str:
    """One element with escaped text."""
    return f"<{name}>{escape(str(text))}</{name}>"


def optional(name: str, text: str | None) -> str:
    """An element, or nothing for None."""
    return "" if text is None else element(name, text)


def quoted(etag: str) -> str:
    """An entity tag as it appears on the wire."""
    return f'"{etag}"'


def render_caller(name: str, caller: Caller) -> str:
    """Owner or Initiator."""
    inner = element("ID", caller.id) + element("DisplayName", caller.name)
    return f"<{name}>{inner}</{name}>"


def render_checksums(checksums: Iterable[Checksum], *, with_type: bool) -> str:
    """ChecksumCRC32 and its like, followed by ChecksumType where the document has one."""
    kind: ChecksumType | None = None
    rows = ""
    for checksum in checksums:
        rows += element(f"Checksum{checksum.algorithm}", checksum.value)
        kind = checksum.type
    return rows + (element("ChecksumType", kind) if with_type and kind else "")
