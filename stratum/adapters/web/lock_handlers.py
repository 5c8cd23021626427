"""Handlers for object lock: a bucket's configuration, a version's retention and legal hold."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_object_lock import (
    bypasses_governance,
    parse_legal_hold,
    parse_lock_configuration,
    parse_retention,
    render_legal_hold,
    render_lock_configuration,
    render_retention,
)
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.app.locks import Locks
from stratum.app.objects import Objects
from stratum.domain.object_lock import require_lock


class LockHandlers:
    def __init__(self, buckets: Buckets, objects: Objects, locks: Locks) -> None:
        self._buckets = buckets
        self._objects = objects
        self._locks = locks

    async def get_configuration(self, request: S3Request) -> S3Response:
        lock = self._buckets.get(request.bucket).settings.object_lock
        if lock is None:
            raise S3Error("ObjectLockConfigurationNotFoundError")
        return xml(render_lock_configuration(lock))

    async def put_configuration(self, request: S3Request) -> S3Response:
        lock = parse_lock_configuration(await document(request, XML_LENGTH_MAX_BYTES))
        await self._locks.configure(request.caller, request.bucket, lock)
        return S3Response(200)

    async def get_retention(self, request: S3Request) -> S3Response:
        require_lock(self._buckets.get(request.bucket).settings.object_lock)
        version = self._objects.head(request.bucket, request.key, version_id=request.version_id)
        if version.attributes.retention is None:
            raise S3Error("NoSuchObjectLockConfiguration")
        return xml(render_retention(version.attributes.retention))

    async def put_retention(self, request: S3Request) -> S3Response:
        retention = parse_retention(await document(request, XML_LENGTH_MAX_BYTES))
        await self._locks.retain(
            request.caller,
            request.bucket,
            request.key,
            request.version_id,
            retention,
            bypass=bypasses_governance(request.head.headers),
        )
        return S3Response(200)

    async def get_legal_hold(self, request: S3Request) -> S3Response:
        require_lock(self._buckets.get(request.bucket).settings.object_lock)
        version = self._objects.head(request.bucket, request.key, version_id=request.version_id)
        if version.attributes.legal_hold is None:
            raise S3Error("NoSuchObjectLockConfiguration")
        return xml(render_legal_hold(on=version.attributes.legal_hold))

    async def put_legal_hold(self, request: S3Request) -> S3Response:
        on = parse_legal_hold(await document(request, XML_LENGTH_MAX_BYTES))
        await self._locks.hold(
            request.caller, request.bucket, request.key, request.version_id, on=on
        )
        return S3Response(200)
