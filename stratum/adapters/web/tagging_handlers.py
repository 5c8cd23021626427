"""Handlers for the tags of objects and buckets."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.s3.xml_tagging import parse_tagging, render_tagging
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.adapters.web.version_headers import version_header
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.domain.attributes import VersionAttributes
from stratum.domain.settings import BucketSettings
from stratum.domain.tags import BUCKET_TAGS_MAX, OBJECT_TAGS_MAX


class TaggingHandlers:
    def __init__(self, buckets: Buckets, objects: Objects) -> None:
        self._buckets = buckets
        self._objects = objects

    async def get_object(self, request: S3Request) -> S3Response:
        version = self._objects.head(request.bucket, request.key, version_id=request.version_id)
        bucket = self._buckets.get(request.bucket)
        return xml(render_tagging(version.attributes.tags), version_header(bucket, version))

    async def put_object(self, request: S3Request) -> S3Response:
        tags = parse_tagging(await document(request, XML_LENGTH_MAX_BYTES), OBJECT_TAGS_MAX)
        request.guard.require_tagging(request.asked, tags)
        return S3Response(200, await self._change(request, tags))

    async def delete_object(self, request: S3Request) -> S3Response:
        return S3Response(204, await self._change(request, {}))

    async def _change(self, request: S3Request, tags: dict[str, str]) -> dict[str, str]:
        version = await self._objects.change(
            request.caller,
            request.bucket,
            request.key,
            request.version_id,
            "tags",
            VersionAttributes(tags=tags),
        )
        return version_header(self._buckets.get(request.bucket), version)

    async def get_bucket(self, request: S3Request) -> S3Response:
        tags = self._buckets.get(request.bucket).settings.tags
        if tags is None:
            raise S3Error("NoSuchTagSet")
        return xml(render_tagging(tags))

    async def put_bucket(self, request: S3Request) -> S3Response:
        tags = parse_tagging(await document(request, XML_LENGTH_MAX_BYTES), BUCKET_TAGS_MAX)
        await self._buckets.configure(
            request.caller, request.bucket, "tags", BucketSettings(tags=tags)
        )
        return S3Response(204)

    async def delete_bucket(self, request: S3Request) -> S3Response:
        await self._buckets.configure(request.caller, request.bucket, "tags", BucketSettings())
        return S3Response(204)
