"""What a bucket reports to others, as configured: access logs and notifications."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_logging import parse_logging, render_logging
from stratum.adapters.s3.xml_notification import (
    NOTIFICATION_LENGTH_MAX_BYTES,
    parse_notification,
    render_notification,
)
from stratum.adapters.s3.xml_requests import XML_LENGTH_MAX_BYTES
from stratum.adapters.web.messages import S3Request, S3Response, xml
from stratum.adapters.web.payloads import document
from stratum.app.buckets import Buckets
from stratum.app.notifications import Notifications
from stratum.domain.bucket_logging import LoggingConfiguration
from stratum.domain.catalog import Bucket, Catalog
from stratum.domain.notification import Cause, NotificationConfiguration, check_notification
from stratum.domain.settings import BucketSettings


class DeliveryHandlers:
    def __init__(self, buckets: Buckets, notifications: Notifications) -> None:
        self._buckets = buckets
        self._notifications = notifications

    async def get_logging(self, request: S3Request) -> S3Response:
        return xml(render_logging(self._buckets.get(request.bucket).settings.logging))

    async def put_logging(self, request: S3Request) -> S3Response:
        wanted = parse_logging(await document(request, XML_LENGTH_MAX_BYTES))

        def check(catalog: Catalog, bucket: Bucket) -> None:
            if wanted is not None and not _may_take_logs(catalog, bucket, wanted):
                raise S3Error(
                    "InvalidTargetBucketForLogging",
                    fields={"TargetBucket": wanted.target_bucket},
                )

        value = BucketSettings(logging=wanted)
        await self._buckets.configure(request.caller, request.bucket, "logging", value, check)
        return S3Response(200)

    async def get_notification(self, request: S3Request) -> S3Response:
        settings = self._buckets.get(request.bucket).settings
        return xml(render_notification(settings.notification or NotificationConfiguration()))

    async def put_notification(self, request: S3Request) -> S3Response:
        body = await document(request, NOTIFICATION_LENGTH_MAX_BYTES)
        wanted = parse_notification(body, self._notifications.new_id)
        check_notification(wanted, self._notifications.arns)
        value = BucketSettings(notification=wanted if wanted.targets else None)
        await self._buckets.configure(request.caller, request.bucket, "notification", value)
        cause = Cause(request.id, request.caller.id, "")
        self._notifications.test(request.bucket, wanted, cause)
        return S3Response(200)


def _may_take_logs(catalog: Catalog, bucket: Bucket, wanted: LoggingConfiguration) -> bool:
    """Logs go to a bucket of the same owner in the same region."""
    target = catalog.bucket(wanted.target_bucket)
    return (
        target is not None and target.owner.id == bucket.owner.id and target.region == bucket.region
    )
