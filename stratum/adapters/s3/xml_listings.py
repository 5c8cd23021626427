"""The listings: objects (both versions), multipart uploads, parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stratum.adapters.s3.dates import format_iso_date
from stratum.adapters.s3.queries import ObjectsQuery, PartsQuery, UploadsQuery, VersionsQuery
from stratum.adapters.s3.xml_responses import (
    document,
    element,
    optional,
    quoted,
    render_caller,
    render_checksums,
)
from stratum.adapters.s3.xml_text import url_encode
from stratum.domain.catalog import ListedObject, ListedVersion
from stratum.domain.listing import Page, encode_token
from stratum.domain.names import BucketName, Caller
from stratum.domain.storage_class import STANDARD, shown_class
from stratum.domain.volume import DeleteMarker, Part, Upload

Encode = Callable[[str], str]


def render_objects(
    bucket: BucketName, query: ObjectsQuery, page: Page[ListedObject], owner: Caller
) -> bytes:
    """ListBucketResult of version 1 or 2. `owner`: the bucket's, for objects without one."""
    encode = _encoder(query.url_encoded)
    # As Amazon does it, and botocore therefore: only version 2 encodes the prefix, too.
    encode_prefix = encode if query.version == 2 else _as_is
    shown_owner = owner if query.fetch_owner else None
    rows = "".join(_object(entry, encode, shown_owner) for entry in page.entries)
    following = _following_v2 if query.version == 2 else _following_v1
    return document(
        "ListBucketResult",
        element("Name", bucket),
        element("Prefix", encode_prefix(query.request.prefix)),
        following(query, page, encode),
        element("MaxKeys", query.request.max_keys),
        _delimiter(query.request.delimiter, encode),
        _encoding_type(query.url_encoded),
        element("IsTruncated", _boolean(page.truncated)),
        rows,
        _common_prefixes(page.common_prefixes, encode),
    )


def _following_v1(query: ObjectsQuery, page: Page[ListedObject], encode: Encode) -> str:
    # Amazon sends NextMarker only with a delimiter; without one clients take the last key.
    next_marker = page.next.key if page.next and query.request.delimiter else None
    return element("Marker", encode(query.marker or "")) + optional(
        "NextMarker", None if next_marker is None else encode(next_marker)
    )


def _following_v2(query: ObjectsQuery, page: Page[ListedObject], encode: Encode) -> str:
    return (
        optional("StartAfter", None if query.marker is None else encode(query.marker))
        + optional("ContinuationToken", query.token)
        + optional("NextContinuationToken", encode_token(page.next) if page.next else None)
        + element("KeyCount", len(page.entries) + len(page.common_prefixes))
    )


def _object(entry: ListedObject, encode: Encode, owner: Caller | None) -> str:
    shown_owner = _owner_element(entry, owner) if owner is not None else ""
    return f"<Contents>{element('Key', encode(entry.key))}{_facts(entry)}{shown_owner}</Contents>"


def _facts(entry: ListedObject) -> str:
    return (
        f"<LastModified>{format_iso_date(entry.modified_at_ms)}</LastModified>"
        f"{element('ETag', quoted(entry.etag))}"
        f"{optional('ChecksumAlgorithm', entry.checksum_algorithm)}"
        f"{optional('ChecksumType', entry.checksum_type)}"
        f"<Size>{entry.size_bytes}</Size>"
        f"<StorageClass>{shown_class(entry.storage_class, entry.tier)}</StorageClass>"
    )


def render_versions(
    bucket: BucketName, query: VersionsQuery, page: Page[ListedVersion], owner: Caller
) -> bytes:
    """ListVersionsResult. The marker for the next page is a place among the versions of a key, not
    an id: it still works when that version has been deleted meanwhile."""
    encode = _encoder(query.url_encoded)
    following = page.next
    return document(
        "ListVersionsResult",
        element("Name", bucket),
        element("Prefix", encode(query.request.prefix)),
        element("KeyMarker", encode(query.key_marker)),
        element("VersionIdMarker", query.version_id_marker),
        optional("NextKeyMarker", encode(following.key) if following else None),
        optional("NextVersionIdMarker", (following.within or "") if following else None),
        element("MaxKeys", query.request.max_keys),
        _delimiter(query.request.delimiter, encode),
        _encoding_type(query.url_encoded),
        element("IsTruncated", _boolean(page.truncated)),
        "".join(_version(entry, encode, owner) for entry in page.entries),
        _common_prefixes(page.common_prefixes, encode),
    )


def _version(entry: ListedVersion, encode: Encode, owner: Caller) -> str:
    shown = entry.shown
    name = "DeleteMarker" if isinstance(shown, DeleteMarker) else "Version"
    facts = (
        f"<LastModified>{format_iso_date(shown.modified_at_ms)}</LastModified>"
        if isinstance(shown, DeleteMarker)
        else _facts(shown)
    )
    return (
        f"<{name}>{element('Key', encode(entry.key))}{element('VersionId', entry.version_id)}"
        f"{element('IsLatest', _boolean(entry.is_latest))}{facts}"
        f"{_owner_element(shown, owner)}</{name}>"
    )


def _owner_element(shown: ListedObject | DeleteMarker, owner: Caller) -> str:
    own = Caller(shown.owner_id, shown.owner_name) if shown.owner_id else owner
    return render_caller("Owner", own)


def render_uploads(
    bucket: BucketName, query: UploadsQuery, page: Page[Upload], owner: Caller
) -> bytes:
    """ListMultipartUploadsResult. `owner`: the bucket's."""
    encode = _encoder(query.url_encoded)
    rows = "".join(_upload(upload, encode, owner) for upload in page.entries)
    following = page.next
    return document(
        "ListMultipartUploadsResult",
        element("Bucket", bucket),
        element("KeyMarker", encode(query.key_marker)),
        element("UploadIdMarker", query.upload_id_marker),
        element("NextKeyMarker", encode(following.key) if following else ""),
        element("NextUploadIdMarker", (following.within or "") if following else ""),
        element("Prefix", encode(query.request.prefix)),
        _delimiter(query.request.delimiter, encode),
        _encoding_type(query.url_encoded),
        element("MaxUploads", query.request.max_keys),
        element("IsTruncated", _boolean(page.truncated)),
        rows,
        _common_prefixes(page.common_prefixes, encode),
    )


def _upload(upload: Upload, encode: Encode, owner: Caller) -> str:
    initiator = Caller(upload.owner_id, upload.owner_name)
    return (
        f"<Upload>{element('Key', encode(upload.key))}{element('UploadId', upload.id)}"
        f"{render_caller('Initiator', initiator)}"
        f"{render_caller('Owner', _owner_to_be(upload, owner))}"
        f"{element('StorageClass', upload.attributes.storage_class or STANDARD)}"
        f"{element('Initiated', format_iso_date(upload.started_at_ms))}"
        f"{optional('ChecksumAlgorithm', upload.checksum_algorithm)}"
        f"{optional('ChecksumType', upload.checksum_type)}</Upload>"
    )


def _owner_to_be(upload: Upload, owner: Caller) -> Caller:
    """Whose the object will be; `owner` is the bucket's."""
    attributes = upload.attributes
    if not attributes.owner_id:
        return owner
    return Caller(attributes.owner_id, attributes.owner_name)


def render_parts(
    upload: Upload, query: PartsQuery, parts: Sequence[Part], owner: Caller, *, truncated: bool
) -> bytes:
    """ListPartsResult. `owner`: the bucket's."""
    initiator = Caller(upload.owner_id, upload.owner_name)
    last = parts[-1].number if parts else query.after
    rows = "".join(
        f"<Part>{element('PartNumber', part.number)}"
        f"{element('LastModified', format_iso_date(part.modified_at_ms))}"
        f"{element('ETag', quoted(part.etag))}{element('Size', part.size_bytes)}"
        f"{render_checksums(part.checksums, with_type=False)}</Part>"
        for part in parts
    )
    return document(
        "ListPartsResult",
        element("Bucket", upload.bucket),
        element("Key", upload.key),
        element("UploadId", upload.id),
        render_caller("Initiator", initiator),
        render_caller("Owner", _owner_to_be(upload, owner)),
        element("StorageClass", upload.attributes.storage_class or STANDARD),
        element("PartNumberMarker", query.after),
        element("NextPartNumberMarker", last),
        element("MaxParts", query.max_parts),
        element("IsTruncated", _boolean(truncated)),
        optional("ChecksumAlgorithm", upload.checksum_algorithm),
        optional("ChecksumType", upload.checksum_type),
        rows,
    )


def _encoder(url_encoded: bool) -> Encode:
    return url_encode if url_encoded else _as_is


def _as_is(text: str) -> str:
    return text


def _delimiter(delimiter: str, encode: Encode) -> str:
    return element("Delimiter", encode(delimiter)) if delimiter else ""


def _encoding_type(url_encoded: bool) -> str:
    return element("EncodingType", "url") if url_encoded else ""


def _common_prefixes(prefixes: Sequence[str], encode: Encode) -> str:
    return "".join(
        f"<CommonPrefixes>{element('Prefix', encode(prefix))}</CommonPrefixes>"
        for prefix in prefixes
    )


def _boolean(value: bool) -> str:
    return "true" if value else "false"
