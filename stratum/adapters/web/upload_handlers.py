"""Handlers for multipart uploads."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.s3 import checksum_headers as checksums
from stratum.adapters.s3 import encryption_headers as encryption
from stratum.adapters.s3 import headers as s3_headers
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.headers import COPY_SOURCE_PREFIX
from stratum.adapters.s3.metadata import object_metadata
from stratum.adapters.s3.queries import part_number, parts_query, uploads_query
from stratum.adapters.s3.xml_listings import render_parts, render_uploads
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES, parse_complete_upload
from stratum.adapters.s3.xml_responses import (
    render_part_copied,
    render_upload_completed,
    render_upload_started,
)
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document, stated_payload
from stratum.adapters.web.restore_handlers import STORAGE_CLASS_HEADER
from stratum.adapters.web.version_headers import (
    aborts_headers,
    asked_attributes,
    expires_header,
    new_version_header,
)
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.app.storage_classes import StorageClasses
from stratum.app.uploads import Uploads
from stratum.domain.events import UploadStarted
from stratum.domain.names import UploadId
from stratum.domain.volume import Upload


class UploadHandlers:
    def __init__(
        self, buckets: Buckets, objects: Objects, uploads: Uploads, classes: StorageClasses
    ) -> None:
        self._buckets = buckets
        self._objects = objects
        self._uploads = uploads
        self._classes = classes

    async def create(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        s3_headers.refuse_unsupported(headers)
        kept = self._classes.kept(headers.get(STORAGE_CLASS_HEADER))
        wanted = checksums.upload_checksum(headers)
        started = UploadStarted(
            upload_id=self._uploads.new_upload_id(),
            bucket=request.bucket,
            key=request.key,
            owner_id=request.caller.id,
            owner_name=request.caller.name,
            metadata=object_metadata(headers),
            checksum_algorithm=wanted[0] if wanted else None,
            checksum_type=wanted[1] if wanted else None,
            attributes=replace(asked_attributes(request), storage_class=kept),
        )
        wish = encryption.encryption_wish(headers)
        started = await self._uploads.start(request.caller, started, wish)
        answer = {
            **encryption.encryption_headers(started.attributes.encryption, wish.customer_key),
            **self._aborts(self._uploads.get(request.bucket, request.key, started.upload_id)),
        }
        if wanted:
            answer["x-amz-checksum-algorithm"], answer["x-amz-checksum-type"] = wanted
        return xml(render_upload_started(request.bucket, request.key, started.upload_id), answer)

    async def put_part(self, request: S3Request) -> S3Response:
        s3_headers.refuse_unsupported(request.head.headers)
        upload, number = self._upload(request), _number(request)
        source, stated = stated_payload(request, upload.checksum_algorithm)
        customer_key = encryption.customer_key(request.head.headers)
        stored = await self._uploads.put_part(
            request.caller, upload, number, source, stated, customer_key
        )
        answer = {
            "etag": f'"{stored.etag}"',
            **checksums.checksum_headers(stored.checksums),
            **encryption.encryption_headers(upload.attributes.encryption, customer_key),
        }
        return S3Response(200, answer)

    async def copy_part(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        s3_headers.refuse_unsupported(headers)
        source = s3_headers.copy_source(headers)
        original = self._objects.source(
            source.bucket,
            source.key,
            source.version_id,
            s3_headers.conditions(headers, COPY_SOURCE_PREFIX),
        )
        upload, customer_key = self._upload(request), encryption.customer_key(headers)
        stored, at_ms = await self._uploads.copy_part(
            request.caller,
            upload,
            _number(request),
            original,
            s3_headers.copy_range(headers),
            customer_key,
            encryption.customer_key(headers, encryption.SOURCE_CUSTOMER),
        )
        answer = encryption.encryption_headers(upload.attributes.encryption, customer_key)
        if self._buckets.get(source.bucket).settings.versioning is not None:
            answer["x-amz-copy-source-version-id"] = original.version_id
        return xml(render_part_copied(stored.etag, at_ms, stored.checksums), answer)

    async def complete(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        body = await document(request, XML_LENGTH_MAX_BYTES, checksum_is_the_objects=True)
        named = parse_complete_upload(body)
        customer_key = encryption.customer_key(headers)
        version = await self._uploads.complete(
            request.caller,
            request.bucket,
            request.key,
            UploadId(request.query["uploadId"]),
            named,
            stated=checksums.stated_checksum(headers),
            size_bytes=checksums.object_size(headers),
            conditions=s3_headers.conditions(headers),
            customer_key=customer_key,
        )
        found = self._buckets.get(version.bucket)
        answer = {
            "x-stratum-volume-id": version.volume_id,
            **encryption.encryption_headers(version.attributes.encryption, customer_key),
            **new_version_header(version),
            **expires_header(found, version),
        }
        location = f"http://{headers.get('host', '')}{request.head.raw_path.decode('latin-1')}"
        return xml(
            render_upload_completed(
                location, version.bucket, version.key, version.etag, version.checksums
            ),
            answer,
        )

    async def abort(self, request: S3Request) -> S3Response:
        await self._uploads.abort(
            request.caller, request.bucket, request.key, UploadId(request.query["uploadId"])
        )
        return S3Response(204)

    async def list_parts(self, request: S3Request) -> S3Response:
        query = parts_query(request.query)
        upload, parts = await self._uploads.listed_parts(
            request.bucket,
            request.key,
            UploadId(request.query["uploadId"]),
            query.after,
            query.max_parts + 1,
            encryption.customer_key(request.head.headers),
        )
        return xml(
            render_parts(
                upload,
                query,
                parts[: query.max_parts],
                self._buckets.get(request.bucket).owner,
                truncated=len(parts) > query.max_parts,
            ),
            self._aborts(upload),
        )

    async def list(self, request: S3Request) -> S3Response:
        query = uploads_query(request.query)
        page = await self._uploads.list(request.bucket, query.request)
        owner = self._buckets.get(request.bucket).owner
        return xml(render_uploads(request.bucket, query, page, owner))

    def _aborts(self, upload: Upload) -> dict[str, str]:
        """When a lifecycle rule aborts it."""
        return aborts_headers(self._buckets.get(upload.bucket), upload)

    def _upload(self, request: S3Request) -> Upload:
        upload_id = UploadId(request.query["uploadId"])
        return self._uploads.get(request.bucket, request.key, upload_id)


def _number(request: S3Request) -> int:
    number = part_number(request.query)
    if number is None:
        raise S3Error("InvalidArgument", "partNumber is missing")
    return number
