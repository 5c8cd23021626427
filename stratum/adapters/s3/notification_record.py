"""What a notification says, as JSON.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
from urllib.parse import quote_plus

from stratum.adapters.s3.dates import format_iso_date
from stratum.domain.names import BucketName
from stratum.domain.notification import Cause, Message

EVENT_VERSION = "2.1"
SCHEMA_VERSION = "1.0"
SERVICE = "Stratum S3"


def render_record(message: Message, region: str) -> bytes:
    """One change as a document with one record; keys are percent-encoded, a space is a plus."""
    change, cause = message.change, message.cause
    described: dict[str, object] = {"key": quote_plus(change.key, safe="/")}
    if change.size_bytes is not None:
        described["size"] = change.size_bytes
    if change.etag is not None:
        described["eTag"] = change.etag
    if change.version_id is not None:
        described["versionId"] = change.version_id
    described["sequencer"] = message.sequencer
    record = {
        "eventVersion": EVENT_VERSION,
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": format_iso_date(message.at_ms),
        "eventName": change.event.removeprefix("s3:"),
        "userIdentity": {"principalId": cause.principal_id},
        "requestParameters": {"sourceIPAddress": cause.source_ip},
        "responseElements": {"x-amz-request-id": cause.request_id, "x-amz-id-2": ""},
        "s3": {
            "s3SchemaVersion": SCHEMA_VERSION,
            "configurationId": message.target.id,
            "bucket": {
                "name": change.bucket,
                "ownerIdentity": {"principalId": message.owner_id},
                "arn": f"arn:aws:s3:::{change.bucket}",
            },
            "object": described,
        },
    }
    return json.dumps({"Records": [record]}, ensure_ascii=False).encode()


def render_test_event(bucket: BucketName, cause: Cause, at_ms: int) -> bytes:
    """What a target hears when a bucket begins to name it."""
    return json.dumps(
        {
            "Service": SERVICE,
            "Event": "s3:TestEvent",
            "Time": format_iso_date(at_ms),
            "Bucket": bucket,
            "RequestId": cause.request_id,
            "HostId": "",
        }
    ).encode()
