"""Errors on the wire: those that only the protocol knows, and how every error is answered.

`error_codes` is the one table from meanings to codes and statuses; nothing else in the project
chooses a status for an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stratum.adapters.s3.dates import format_http_date
from stratum.adapters.s3.error_codes import CODES, MEANINGS, RETRY_AFTER_S
from stratum.adapters.s3.xml_text import escape
from stratum.domain.errors import (
    DeleteMarkerNamed,
    InvalidArgument,
    InvalidObjectState,
    InvalidRange,
    InvalidStorageClass,
    InvalidTag,
    KeyDeleted,
    NoSuchKey,
    NotModified,
    PreconditionFailed,
    StratumError,
)


class S3Error(Exception):
    """A request the protocol refuses. `code` is one of `error_codes.CODES`.

    `fields` become further elements of the answer's XML, `headers` further headers. `status`
    overrides the table where Amazon answers one code with several statuses.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        default_status, default_message = CODES[code]
        self.code = code
        self.message = message or default_message
        self.status = status or default_status
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.message}")


@dataclass(frozen=True)
class ErrorResponse:
    """What to send: status, headers (names in lower case) and body."""

    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def credentials_required() -> S3Error:
    """A management request without credentials: 401, where S3 itself answers 403."""
    return S3Error("AccessDenied", "This path needs a signed request", status=401)


def translate(error: BaseException) -> S3Error:
    """The S3Error for any exception, by the total table; a stranger is InternalError.

    Messages of errors in the 500s stay in the log: they name disks, paths and remotes.
    """
    if isinstance(error, S3Error):
        return error
    if not isinstance(error, StratumError):
        return S3Error("InternalError")
    code = MEANINGS.get(type(error), "InternalError")
    headers: dict[str, str] = {}
    if code in RETRY_AFTER_S:
        headers["retry-after"] = str(RETRY_AFTER_S[code])
    if CODES[code][0] >= 500:
        return S3Error(code, headers=headers)
    fields: dict[str, str] = {}
    match error:
        case InvalidArgument():
            fields = {"ArgumentName": error.argument, "ArgumentValue": error.value}
        case InvalidTag():
            fields = {"TagKey": error.key, "TagValue": error.value}
        case InvalidStorageClass():
            fields = {"StorageClassRequested": error.asked[:100]}
        case InvalidObjectState():
            fields = {"StorageClass": error.storage_class}
        case PreconditionFailed():
            fields = {"Condition": error.condition}
        case InvalidRange():
            fields = {"ActualObjectSize": str(error.size_bytes), "RangeRequested": error.asked}
            headers["content-range"] = f"bytes */{error.size_bytes}"
        case NoSuchKey() if not isinstance(error, KeyDeleted):
            headers["x-amz-delete-marker"] = "false"
        case KeyDeleted():
            headers |= {"x-amz-delete-marker": "true", "x-amz-version-id": error.version_id}
        case DeleteMarkerNamed():
            headers |= {
                "x-amz-delete-marker": "true",
                "x-amz-version-id": error.version_id,
                "last-modified": format_http_date(error.modified_at_ms // 1000),
                "allow": "DELETE",
            }
        case NotModified():
            headers["etag"] = f'"{error.etag}"'
            headers["last-modified"] = format_http_date(error.modified_at_ms // 1000)
    fields = {name: value for name, value in fields.items() if value}
    return S3Error(code, str(error), fields=fields, headers=headers)


def render_error(
    error: BaseException,
    *,
    resource: str,
    request_id: str,
    host_id: str = "",
    bucket: str | None = None,
    key: str | None = None,
) -> ErrorResponse:
    """Answer any exception. 304 has no body; neither has, by the caller's doing, a HEAD."""
    wire = translate(error)
    headers = dict(wire.headers)
    if wire.status == 304:
        return ErrorResponse(304, wire.code, headers)
    named: dict[str, str | None] = {}
    if wire.code in ("NoSuchBucket", "BucketNotEmpty", "BucketAlreadyExists", "InvalidBucketName"):
        named["BucketName"] = bucket
    if wire.code in ("NoSuchKey", "NoSuchVersion"):
        named["Key"] = key
    elements = {
        "Code": wire.code,
        "Message": wire.message,
        **wire.fields,
        **{name: value for name, value in named.items() if value is not None},
        "Resource": resource,
        "RequestId": request_id,
        "HostId": host_id,
    }
    content = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
    headers["content-type"] = "application/xml"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{content}</Error>'.encode()
    return ErrorResponse(wire.status, wire.code, headers, body)
