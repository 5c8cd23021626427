"""Server access logs in Amazon's format: lines, and the names of the objects that hold them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html. Fields are separated by
blanks; what is not known is `-`. Texts of clients stand between quotes, with what could end a field
or a line percent-encoded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from stratum.adapters.s3.dates import MONTHS
from stratum.adapters.s3.operations import Operation
from stratum.domain.bucket_logging import DAY_MS, LogFile

UNKNOWN = "-"
_UNSAFE = re.compile(r'["\\\x00-\x1f\x7f-\xff]')
_SUBRESOURCES = {
    "Acl": "ACL",
    "Cors": "CORS",
    "Encryption": "ENCRYPTION",
    "Lifecycle": "LIFECYCLE",
    "LifecycleConfiguration": "LIFECYCLE",
    "Location": "LOCATION",
    "Logging": "LOGGING_STATUS",
    "NotificationConfiguration": "NOTIFICATION",
    "OwnershipControls": "OWNERSHIP_CONTROLS",
    "Policy": "BUCKETPOLICY",
    "PolicyStatus": "POLICY_STATUS",
    "RequestPayment": "REQUEST_PAYMENT",
    "Tagging": "TAGGING",
    "Versioning": "VERSIONING",
    "Website": "WEBSITE",
}
_NAMES: dict[Operation, str] = {
    Operation.ABORT_MULTIPART_UPLOAD: "UPLOAD",
    Operation.COMPLETE_MULTIPART_UPLOAD: "UPLOAD",
    Operation.COPY_OBJECT: "OBJECT",
    Operation.CREATE_BUCKET: "BUCKET",
    Operation.CREATE_MULTIPART_UPLOAD: "UPLOADS",
    Operation.DELETE_BUCKET: "BUCKET",
    Operation.DELETE_OBJECTS: "MULTI_OBJECT_DELETE",
    Operation.HEAD_BUCKET: "BUCKET",
    Operation.LIST_MULTIPART_UPLOADS: "UPLOADS",
    Operation.LIST_OBJECTS: "BUCKET",
    Operation.LIST_OBJECTS_V2: "BUCKET",
    Operation.LIST_OBJECT_VERSIONS: "BUCKETVERSIONS",
    Operation.LIST_PARTS: "UPLOAD",
    Operation.POST_OBJECT: "OBJECT",
    Operation.PREFLIGHT_REQUEST: "PREFLIGHT",
    Operation.UPLOAD_PART: "PART",
    Operation.UPLOAD_PART_COPY: "PART",
}


@dataclass(frozen=True)
class AccessLogEntry:
    """One request and its answer. Times are Unix ms and durations ms; texts may be empty."""

    bucket_owner: str
    bucket: str
    at_ms: int
    source_ip: str
    requester: str
    request_id: str
    method: str
    operation: Operation
    key: str
    target: str
    """Path and query as sent."""
    status: int
    error_code: str
    sent_bytes: int
    object_size_bytes: int | None
    total_ms: int
    referrer: str
    user_agent: str
    version_id: str
    authentication: str
    """`AuthHeader` or `QueryString`; empty for anonymous."""
    host: str


def log_line(entry: AccessLogEntry) -> str:
    """The line of one request, its end included."""
    size = entry.object_size_bytes
    fields = (
        entry.bucket_owner or UNKNOWN,
        entry.bucket or UNKNOWN,
        f"[{_log_time(entry.at_ms // 1000)}]",
        entry.source_ip or UNKNOWN,
        entry.requester or UNKNOWN,
        entry.request_id,
        f"REST.{entry.method}.{operation_name(entry.operation)}",
        quote(entry.key, safe="/~") or UNKNOWN,
        _quoted(f"{entry.method} {entry.target} HTTP/1.1"),
        str(entry.status),
        entry.error_code or UNKNOWN,
        str(entry.sent_bytes) if entry.sent_bytes else UNKNOWN,
        UNKNOWN if size is None else str(size),
        str(entry.total_ms),
        str(entry.total_ms),
        _quoted(entry.referrer),
        _quoted(entry.user_agent),
        entry.version_id or UNKNOWN,
        UNKNOWN,
        "SigV4" if entry.authentication else UNKNOWN,
        UNKNOWN,
        entry.authentication or UNKNOWN,
        _UNSAFE.sub(UNKNOWN, entry.host.replace(" ", "")) or UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
    )
    return " ".join(fields) + "\n"


def operation_name(operation: Operation) -> str:
    """What the log calls an operation's resource: OBJECT, BUCKET, CORS …"""
    if operation in _NAMES:
        return _NAMES[operation]
    name = re.sub("^(Get|Put|Delete|Head)", "", operation.value)
    of_object = name.startswith("Object")
    name = re.sub("^(Object|Bucket)(?=.)", "", name)
    known = _SUBRESOURCES.get(name)
    if known is None:
        known = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper()
    return f"OBJECT_{known}" if of_object and name != "Object" else known


def log_object_key(
    file: LogFile, delivery_ms: int, *, region: str, new_id: Callable[[], str]
) -> str:
    """The key of a log object: simple, or in folders by account, region, bucket and day."""
    configuration, unique = file.configuration, new_id()[-16:].upper()
    stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(delivery_ms // 1000))
    if configuration.partition is None:
        return f"{configuration.target_prefix}{stamp}-{unique}"
    day = time.gmtime((delivery_ms if file.day is None else file.day * DAY_MS) // 1000)
    folders = f"{file.owner_id}/{region}/{file.bucket}/{time.strftime('%Y/%m/%d', day)}"
    if file.day is not None:
        stamp = time.strftime("%Y-%m-%d-00-00-00", day)
    return f"{configuration.target_prefix}{folders}/{stamp}-{unique}"


def _quoted(text: str) -> str:
    if not text:
        return UNKNOWN
    return '"' + _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", text) + '"'


@lru_cache(maxsize=64)
def _log_time(unix_s: int) -> str:
    """`06/Feb/2019:00:00:38 +0000`, independent of the locale."""
    t = time.gmtime(unix_s)
    return (
        f"{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year:04}"
        f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    )
