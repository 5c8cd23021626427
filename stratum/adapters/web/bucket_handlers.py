"""Handlers for operations on buckets."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.s3 import headers as s3_headers
from stratum.adapters.s3.acl_headers import asked_acl
from stratum.adapters.s3.queries import buckets_query, objects_query, versions_query
from stratum.adapters.s3.xml_access import object_ownership
from stratum.adapters.s3.xml_listings import render_objects, render_versions
from stratum.adapters.s3.xml_requests import (
    XML_LENGTH_MAX_BYTES,
    parse_create_bucket,
    parse_versioning,
)
from stratum.adapters.s3.xml_responses import render_buckets, render_location, render_versioning
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.app.objects import Objects
from stratum.domain.acl import private
from stratum.domain.bucket_lock import check_versioning
from stratum.domain.errors import InvalidArgument
from stratum.domain.granting import bucket_acl, check_ownership
from stratum.domain.object_lock import ObjectLock
from stratum.domain.ownership import NO_BLOCK, ObjectOwnership
from stratum.domain.settings import BucketSettings, Versioning


class BucketHandlers:
    def __init__(self, buckets: Buckets, objects: Objects) -> None:
        self._buckets = buckets
        self._objects = objects

    async def list_buckets(self, request: S3Request) -> S3Response:
        query = buckets_query(request.query)
        found = [
            bucket
            for bucket in self._buckets.owned_by(request.caller)
            if bucket.name > query.after
            and bucket.name.startswith(query.prefix or "")
            and query.region in (None, bucket.region)
        ]
        page, more = found[: query.max_buckets], len(found) > query.max_buckets
        return xml(render_buckets(request.caller, page, prefix=query.prefix, truncated=more))

    async def create(self, request: S3Request) -> S3Response:
        headers = request.head.headers
        s3_headers.refuse_unsupported(headers)
        region = parse_create_bucket(await document(request, XML_LENGTH_MAX_BYTES))
        if region not in (None, "", self._buckets.region):
            raise InvalidArgument(
                f"This server is in region {self._buckets.region}", "LocationConstraint", region
            )
        settings = self._initial_settings(request)
        if s3_headers.enables_lock(headers):
            settings = replace(settings, versioning=Versioning.ENABLED, object_lock=ObjectLock())
        await self._buckets.create(request.caller, request.bucket, settings)
        return S3Response(200, {"location": f"/{request.bucket}"})

    def _initial_settings(self, request: S3Request) -> BucketSettings:
        """Object ownership and ACL from the headers, or as this server is configured."""
        headers, owner = request.head.headers, request.caller
        ownership: ObjectOwnership | None = None
        if "x-amz-object-ownership" in headers:
            ownership = object_ownership(headers["x-amz-object-ownership"])
        elif self._buckets.default_ownership is not ObjectOwnership.OBJECT_WRITER:
            ownership = self._buckets.default_ownership
        wanted = asked_acl(headers)
        acl = bucket_acl(
            wanted, owner, ObjectOwnership.OBJECT_WRITER, NO_BLOCK, request.guard.accounts
        )
        if ownership is not None:
            check_ownership(ownership, acl, owner)
        is_private = acl is None or acl == private(owner)
        return BucketSettings(acl=None if is_private else acl, ownership=ownership)

    async def head(self, request: S3Request) -> S3Response:
        bucket = self._buckets.get(request.bucket)
        return S3Response(200, {"x-amz-bucket-region": bucket.region})

    async def location(self, request: S3Request) -> S3Response:
        return xml(render_location(self._buckets.get(request.bucket).region))

    async def delete(self, request: S3Request) -> S3Response:
        await self._buckets.delete(request.caller, request.bucket)
        return S3Response(204)

    async def list_objects(self, request: S3Request) -> S3Response:
        query = objects_query(request.query)
        page = await self._objects.list(request.bucket, query.request)
        owner = self._buckets.get(request.bucket).owner
        return xml(render_objects(request.bucket, query, page, owner))

    async def list_versions(self, request: S3Request) -> S3Response:
        query = versions_query(request.query)
        page = await self._objects.list_versions(request.bucket, query.request)
        owner = self._buckets.get(request.bucket).owner
        return xml(render_versions(request.bucket, query, page, owner))

    async def versioning(self, request: S3Request) -> S3Response:
        return xml(render_versioning(self._buckets.get(request.bucket).settings.versioning))

    async def put_versioning(self, request: S3Request) -> S3Response:
        s3_headers.refuse_unsupported(request.head.headers)
        status = parse_versioning(await document(request, XML_LENGTH_MAX_BYTES))
        await self._buckets.configure(
            request.caller,
            request.bucket,
            "versioning",
            BucketSettings(versioning=status),
            check_versioning(status),
        )
        return S3Response(200)
