"""Handlers for the lifecycle rules of a bucket."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.lifecycle_headers import (
    MINIMUM_HEADER,
    minimum_header,
    transition_minimum,
)
from stratum.adapters.s3.xml_lifecycle import parse_lifecycle, render_lifecycle
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.app.lifecycle import LifecycleWorker
from stratum.domain.lifecycle import Lifecycle
from stratum.domain.settings import BucketSettings


class LifecycleHandlers:
    def __init__(self, buckets: Buckets, worker: LifecycleWorker) -> None:
        self._buckets = buckets
        self._worker = worker

    async def get(self, request: S3Request) -> S3Response:
        lifecycle = self._buckets.get(request.bucket).settings.lifecycle
        if lifecycle is None:
            raise S3Error("NoSuchLifecycleConfiguration")
        return xml(render_lifecycle(lifecycle), {MINIMUM_HEADER: minimum_header(lifecycle)})

    async def put(self, request: S3Request) -> S3Response:
        minimum_bytes = transition_minimum(request.head.headers)
        rules = parse_lifecycle(await document(request, XML_LENGTH_MAX_BYTES))
        self._worker.check_classes(rules)
        lifecycle = Lifecycle(rules, minimum_bytes)
        await self._buckets.configure(
            request.caller, request.bucket, "lifecycle", BucketSettings(lifecycle=lifecycle)
        )
        self._worker.wake()
        return S3Response(200, {MINIMUM_HEADER: minimum_header(lifecycle)})

    async def delete(self, request: S3Request) -> S3Response:
        await self._buckets.configure(request.caller, request.bucket, "lifecycle", BucketSettings())
        return S3Response(204)
