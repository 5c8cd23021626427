"""Handlers for operations on objects: S3 requests to use cases and back."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.s3 import checksum_headers as checksums
from stratum.adapters.s3 import encryption_headers as encryption
from stratum.adapters.s3 import headers as s3_headers
from stratum.adapters.s3.dates import format_http_date
from stratum.adapters.s3.headers import COPY_SOURCE_PREFIX
from stratum.adapters.s3.metadata import (
    copied_metadata,
    metadata_headers,
    object_metadata,
    response_overrides,
)
from stratum.adapters.s3.object_attributes import attributes_query, render_attributes
from stratum.adapters.s3.queries import part_number
from stratum.adapters.s3.xml_object_lock import bypasses_governance
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES, DeleteEntry, parse_delete
from stratum.adapters.s3.xml_responses import (
    DeletedEntry,
    FailedEntry,
    render_deleted,
    render_object_copied,
)
from stratum.adapters.s3.xml_tagging import replaces_tags
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document, stated_payload
from stratum.adapters.web.restore_handlers import STORAGE_CLASS_HEADER, class_headers
from stratum.adapters.web.version_headers import (
    asked_attributes,
    attribute_headers,
    expires_header,
    new_version_header,
    version_header,
)
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.app.storage_classes import StorageClasses
from stratum.domain.attributes import VersionAttributes
from stratum.domain.conditions import NO_CONDITIONS, Conditions, range_applies
from stratum.domain.encryption import CustomerKey
from stratum.domain.errors import StratumError
from stratum.domain.names import object_key
from stratum.domain.notification import EventName, ObjectChange
from stratum.domain.object import Target
from stratum.domain.parts import resolve
from stratum.domain.ranges import ByteRange, Span
from stratum.domain.storage_class import shown_class
from stratum.domain.volume import ObjectVersion

BYPASS_ACTION = "s3:BypassGovernanceRetention"


class ObjectHandlers:
    def __init__(self, buckets: Buckets, objects: Objects, classes: StorageClasses) -> None:
        self._buckets = buckets
        self._objects = objects
        self._classes = classes

    async def get(self, request: S3Request) -> S3Response:
        asked, number = _asked(request)
        conditions = s3_headers.conditions(request.head.headers)
        version, customer_key = self._found(request, conditions)
        if asked and not range_applies(conditions, version.etag, version.modified_at_ms):
            asked = None
        span = resolve(version, asked, number)
        pieces = await request.stack.enter_async_context(
            self._objects.read(version, span, customer_key)
        )
        status, headers = self._described(request, version, span, asked, number)
        return S3Response(status, headers, pieces=pieces)

    async def head(self, request: S3Request) -> S3Response:
        asked, number = _asked(request)
        conditions = s3_headers.conditions(request.head.headers)
        version, _ = self._found(request, conditions)
        if asked and not range_applies(conditions, version.etag, version.modified_at_ms):
            asked = None
        span = resolve(version, asked, number)
        return S3Response(*self._described(request, version, span, asked, number))

    async def attributes(self, request: S3Request) -> S3Response:
        query = attributes_query(request.head.headers)
        version, _ = self._found(request, NO_CONDITIONS)
        headers = {
            "last-modified": format_http_date(version.modified_at_ms // 1000),
            **version_header(self._buckets.get(version.bucket), version),
        }
        storage_class = shown_class(version.attributes.storage_class, version.tier)
        return xml(render_attributes(version, query, storage_class), headers)

    async def put(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        _check_wishes(request)
        wish = encryption.encryption_wish(headers)
        attributes = self._new_attributes(request)
        source, stated = stated_payload(request)
        version = await self._objects.put(
            request.caller,
            request.bucket,
            request.key,
            source,
            stated,
            object_metadata(headers),
            s3_headers.conditions(headers),
            attributes,
            wish=wish,
        )
        return S3Response(200, self.stored_headers(version, wish.customer_key))

    async def copy(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        _check_wishes(request)
        source = s3_headers.copy_source(headers)
        replaces = s3_headers.replaces_metadata(headers)
        wish = encryption.encryption_wish(headers)
        original = self._objects.source(
            source.bucket,
            source.key,
            source.version_id,
            s3_headers.conditions(headers, COPY_SOURCE_PREFIX),
        )
        tags = None if replaces_tags(headers) else original.attributes.tags
        attributes = self._new_attributes(request, tags)
        version = await self._objects.copy(
            request.caller,
            original,
            (request.bucket, request.key),
            object_metadata(headers) if replaces else copied_metadata(original.metadata, headers),
            checksums.requested_algorithm(headers),
            s3_headers.conditions(headers),
            attributes,
            wish=wish,
            changed=tags is None or _other_class(request, original, attributes),
            source_key=encryption.customer_key(headers, encryption.SOURCE_CUSTOMER),
        )
        result = render_object_copied(version.etag, version.modified_at_ms, version.checksums)
        answer = self.stored_headers(version, wish.customer_key)
        del answer["etag"]  # it is in the document
        from_bucket = self._buckets.get(source.bucket)
        if from_bucket.settings.versioning is not None:
            answer["x-amz-copy-source-version-id"] = original.version_id
        return xml(result, answer)

    async def delete(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        target = Target(
            request.bucket,
            request.key,
            s3_headers.delete_conditions(headers),
            request.version_id,
            bypasses_governance(headers),
        )
        done = await self._objects.delete(request.caller, target)
        answer = {"x-amz-version-id": done.version_id} if done.version_id is not None else {}
        if done.marker:
            answer["x-amz-delete-marker"] = "true"
        return S3Response(204, answer)

    async def delete_many(self, request: S3Request) -> S3Response:
        asked = parse_delete(await document(request, XML_LENGTH_MAX_BYTES))
        bypass = bypasses_governance(request.head.headers)
        failed: list[FailedEntry] = []
        targets: list[tuple[DeleteEntry, Target]] = []
        for entry in asked.entries:
            try:
                key = object_key(entry.key)
                request.authorize("s3:DeleteObject", request.bucket, key, entry.version_id)
                if bypass:
                    request.authorize(BYPASS_ACTION, request.bucket, key, entry.version_id)
                target = Target(request.bucket, key, entry.conditions, entry.version_id, bypass)
                targets.append((entry, target))
            except StratumError as error:
                failed.append(FailedEntry(entry.key, error, entry.version_id))
        results = await self._objects.delete_many(
            request.caller, request.bucket, [target for _, target in targets]
        )
        deleted: list[DeletedEntry] = []
        for (entry, _), result in zip(targets, results, strict=True):
            if isinstance(result, StratumError):
                failed.append(FailedEntry(entry.key, result, entry.version_id))
            else:
                marker = result.version_id if result.marker else None
                deleted.append(DeletedEntry(entry.key, entry.version_id, marker))
        answer = xml(render_deleted(deleted, failed, quiet=asked.quiet))
        return replace(answer, changes=tuple(_removal(request, entry) for entry in deleted))

    def _found(
        self, request: S3Request, conditions: Conditions
    ) -> tuple[ObjectVersion, CustomerKey | None]:
        """What a GET or HEAD is about, and the client's key to it."""
        headers = request.head.headers
        encryption.refuse_on_read(headers)
        customer_key = encryption.customer_key(headers)
        version = self._objects.head(
            request.bucket, request.key, conditions, request.version_id, request.found
        )
        number = part_number(request.query)
        if number is not None:
            resolve(version, None, number)  # what is not there needs no key
        return self._objects.unlocked(version, customer_key), customer_key

    def stored_headers(
        self, version: ObjectVersion, customer_key: CustomerKey | None = None
    ) -> dict[str, str]:
        """What a client learns of the object it has just stored."""
        bucket = self._buckets.get(version.bucket)
        return {
            "etag": f'"{version.etag}"',
            **checksums.checksum_headers(version.checksums),
            **encryption.encryption_headers(version.attributes.encryption, customer_key),
            **new_version_header(version),
            **expires_header(bucket, version),
            "x-stratum-volume-id": version.volume_id,
        }

    def _described(
        self,
        request: S3Request,
        version: ObjectVersion,
        span: Span,
        asked: ByteRange | None,
        number: int | None,
    ) -> tuple[int, dict[str, str]]:
        """Status and headers of a GET or HEAD."""
        bucket = self._buckets.get(version.bucket)
        headers = {
            **metadata_headers(version.metadata),
            "accept-ranges": "bytes",
            "content-length": str(span.length),
            "etag": f'"{version.etag}"',
            "last-modified": format_http_date(version.modified_at_ms // 1000),
            **version_header(bucket, version),
            **attribute_headers(bucket, version),
            **class_headers(self._classes, version),
            "x-stratum-tier": version.tier.value,
            "x-stratum-volume-id": version.volume_id,
            **response_overrides(request.query, anonymous=request.asked.who.is_anonymous),
        }
        if version.attributes.encryption is not None:
            customer_key = encryption.customer_key(request.head.headers)
            headers |= encryption.encryption_headers(version.attributes.encryption, customer_key)
        is_partial = asked is not None or number is not None
        if checksums.wants_checksums(request.head.headers) and asked is None:
            headers |= _checksum_headers(version, number)
        if number is not None and version.parts:
            headers["x-amz-mp-parts-count"] = str(len(version.parts))
        if is_partial and span.length:
            headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{version.size_bytes}"
        return (206 if is_partial else 200), headers

    def _new_attributes(
        self, request: S3Request, tags: dict[str, str] | None = None
    ) -> VersionAttributes:
        """Of the version that a request writes. Raises InvalidStorageClass too."""
        kept = self._classes.kept(request.head.headers.get(STORAGE_CLASS_HEADER))
        return replace(asked_attributes(request, tags), storage_class=kept)


def _asked(request: S3Request) -> tuple[ByteRange | None, int | None]:
    return s3_headers.byte_range(request.head.headers), part_number(request.query)


def _removal(request: S3Request, entry: DeletedEntry) -> ObjectChange:
    event = EventName.DELETE if entry.marker_id is None else EventName.DELETE_MARKER
    version_id = entry.version_id or entry.marker_id
    return ObjectChange(event, request.bucket, object_key(entry.key), version_id)


def _other_class(
    request: S3Request, original: ObjectVersion, attributes: VersionAttributes
) -> bool:
    """Whether a copy asks for a class that its source does not have, or is not said to have: where
    nobody asked for one, that depends on where the policy has put it."""
    asked = request.head.headers.get(STORAGE_CLASS_HEADER)
    had = original.attributes.storage_class
    shown = shown_class(had, original.tier)
    return asked is not None and (attributes.storage_class != had or asked != shown)


def _check_wishes(request: S3Request) -> None:
    """Refuse what would change an object in ways that aren't built, before any byte is read."""
    s3_headers.refuse_unsupported(request.head.headers)


def _checksum_headers(version: ObjectVersion, number: int | None) -> dict[str, str]:
    """Of what is sent: SDKs verify the bytes of a single part against them. The type is that of
    the object, as Amazon S3 answers."""
    sent = version.checksums
    if number is not None and version.parts:
        kind = next((checksum.type for checksum in sent), None)
        sent = tuple(
            replace(part.checksum, type=kind or part.checksum.type)
            for part in version.parts
            if part.number == number and part.checksum
        )
    return checksums.checksum_headers(sent)
