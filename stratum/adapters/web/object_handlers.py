"""Handlers for operations on objects: S3 requests to use cases and back."""

from __future__ import annotations

from stratum.adapters.s3 import checksum_headers as checksums
from stratum.adapters.s3 import headers as s3_headers
from stratum.adapters.s3.dates import format_http_date
from stratum.adapters.s3.headers import COPY_SOURCE_PREFIX, TIER_STORAGE_CLASSES
from stratum.adapters.s3.metadata import metadata_headers, object_metadata, response_overrides
from stratum.adapters.s3.queries import part_number
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES, DeleteEntry, parse_delete
from stratum.adapters.s3.xml_responses import (
    DeletedEntry,
    FailedEntry,
    render_deleted,
    render_object_copied,
)
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document, stated_payload
from stratum.app.objects import Objects, resolve
from stratum.domain.conditions import range_applies
from stratum.domain.errors import StratumError
from stratum.domain.names import Tier, object_key
from stratum.domain.object import Target
from stratum.domain.ranges import ByteRange, Span
from stratum.domain.volume import ObjectVersion


class ObjectHandlers:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def get(self, request: S3Request) -> S3Response:
        asked, number = _asked(request)
        conditions = s3_headers.conditions(request.head.headers)
        version = self._objects.head(request.bucket, request.key, conditions)
        if asked and not range_applies(conditions, version.etag, version.modified_at_ms):
            asked = None
        span = resolve(version, asked, number)
        pieces = await request.stack.enter_async_context(self._objects.read(version, span))
        status, headers = _described(request, version, span, asked, number)
        return S3Response(status, headers, pieces=pieces)

    async def head(self, request: S3Request) -> S3Response:
        asked, number = _asked(request)
        conditions = s3_headers.conditions(request.head.headers)
        version = self._objects.head(request.bucket, request.key, conditions)
        if asked and not range_applies(conditions, version.etag, version.modified_at_ms):
            asked = None
        span = resolve(version, asked, number)
        return S3Response(*_described(request, version, span, asked, number))

    async def put(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        _check_wishes(request)
        source, stated = stated_payload(request)
        version = await self._objects.put(
            request.caller,
            request.bucket,
            request.key,
            source,
            stated,
            object_metadata(headers),
            s3_headers.conditions(headers),
        )
        return S3Response(200, stored_headers(version))

    async def copy(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        _check_wishes(request)
        source = s3_headers.copy_source(headers)
        s3_headers.require_null_version(source.version_id)
        replace = s3_headers.replaces_metadata(headers)
        version = await self._objects.copy(
            request.caller,
            (source.bucket, source.key),
            s3_headers.conditions(headers, COPY_SOURCE_PREFIX),
            (request.bucket, request.key),
            object_metadata(headers) if replace else None,
            checksums.requested_algorithm(headers),
            s3_headers.conditions(headers),
        )
        result = render_object_copied(version.etag, version.modified_at_ms, version.checksums)
        return xml(result, {"x-stratum-volume-id": version.volume_id})

    async def delete(self, request: S3Request) -> S3Response:
        s3_headers.require_null_version(request.query.get("versionId"))
        conditions = s3_headers.conditions(request.head.headers)
        await self._objects.delete(request.caller, Target(request.bucket, request.key, conditions))
        return S3Response(204)

    async def delete_many(self, request: S3Request) -> S3Response:
        asked = parse_delete(await document(request, XML_LENGTH_MAX_BYTES))
        failed: list[FailedEntry] = []
        targets: list[tuple[DeleteEntry, Target]] = []
        for entry in asked.entries:
            try:
                s3_headers.require_null_version(entry.version_id)
                target = Target(request.bucket, object_key(entry.key), entry.conditions)
                targets.append((entry, target))
            except StratumError as error:
                failed.append(FailedEntry(entry.key, error, entry.version_id))
        results = await self._objects.delete_many(
            request.caller, request.bucket, [target for _, target in targets]
        )
        deleted: list[DeletedEntry] = []
        for (entry, _), refusal in zip(targets, results, strict=True):
            if refusal is None:
                deleted.append(DeletedEntry(entry.key, entry.version_id))
            else:
                failed.append(FailedEntry(entry.key, refusal, entry.version_id))
        return xml(render_deleted(deleted, failed, quiet=asked.quiet))


def stored_headers(version: ObjectVersion) -> dict[str, str]:
    """What a client learns of the object it has just stored."""
    return {
        "etag": f'"{version.etag}"',
        **checksums.checksum_headers(version.checksums),
        "x-stratum-volume-id": version.volume_id,
    }


def _asked(request: S3Request) -> tuple[ByteRange | None, int | None]:
    s3_headers.require_null_version(request.query.get("versionId"))
    return s3_headers.byte_range(request.head.headers), part_number(request.query)


def _check_wishes(request: S3Request) -> None:
    """Refuse what would change an object in ways that aren't built, before any byte is read."""
    s3_headers.refuse_unsupported(request.head.headers)
    s3_headers.storage_class(request.head.headers)


def _described(
    request: S3Request,
    version: ObjectVersion,
    span: Span,
    asked: ByteRange | None,
    number: int | None,
) -> tuple[int, dict[str, str]]:
    """Status and headers of a GET or HEAD."""
    headers = {
        **metadata_headers(version.metadata),
        "accept-ranges": "bytes",
        "content-length": str(span.length),
        "etag": f'"{version.etag}"',
        "last-modified": format_http_date(version.modified_at_ms // 1000),
        "x-stratum-tier": version.tier.value,
        "x-stratum-volume-id": version.volume_id,
        **response_overrides(request.query, anonymous=False),
    }
    if version.tier is not Tier.HOT:
        headers["x-amz-storage-class"] = TIER_STORAGE_CLASSES[version.tier]
    is_partial = asked is not None or number is not None
    if checksums.wants_checksums(request.head.headers) and asked is None:
        headers |= _checksum_headers(version, number)
    if number is not None and version.parts:
        headers["x-amz-mp-parts-count"] = str(len(version.parts))
    if is_partial and span.length:
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{version.size_bytes}"
    return (206 if is_partial else 200), headers


def _checksum_headers(version: ObjectVersion, number: int | None) -> dict[str, str]:
    """Of what is sent: SDKs verify the bytes of a single part against them."""
    sent = version.checksums
    if number is not None and version.parts:
        sent = tuple(
            part.checksum for part in version.parts if part.number == number and part.checksum
        )
    return checksums.checksum_headers(sent)
