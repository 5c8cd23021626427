"""Lifecycle rules in headers: from which size on objects move, and what becomes of one object.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html and the
pages of PutObject and CreateMultipartUpload.
"""

from __future__ import annotations

from urllib.parse import quote

from stratum.adapters.s3.dates import format_http_date
from stratum.adapters.s3.request import Headers
from stratum.domain.errors import InvalidArgument
from stratum.domain.lifecycle import TRANSITION_MINIMUM_BYTES, Lifecycle

MINIMUM_HEADER = "x-amz-transition-default-minimum-object-size"
VARIES = "varies_by_storage_class"
ALL_128K = "all_storage_classes_128K"


def transition_minimum(headers: Headers) -> int:
    """The size in bytes below which objects don't move; raise InvalidArgument.

    Unless a client asks for Amazon's 128 KB, small objects move, too: here that costs no fee.
    """
    wish = headers.get(MINIMUM_HEADER, VARIES)
    if wish not in (VARIES, ALL_128K):
        raise InvalidArgument(
            "Unknown default minimum size of transitions", MINIMUM_HEADER, wish[:100]
        )
    return TRANSITION_MINIMUM_BYTES if wish == ALL_128K else 0


def minimum_header(lifecycle: Lifecycle) -> str:
    """The value of x-amz-transition-default-minimum-object-size."""
    return ALL_128K if lifecycle.transition_minimum_bytes else VARIES


def expiration_header(expires: tuple[int, str] | None) -> dict[str, str]:
    """x-amz-expiration: the day (Unix ms) on which a version expires, and by which rule."""
    if expires is None:
        return {}
    date = format_http_date(expires[0] // 1000)
    rule = quote(expires[1], safe="")
    return {"x-amz-expiration": f'expiry-date="{date}", rule-id="{rule}"'}


def abort_headers(aborts: tuple[int, str] | None) -> dict[str, str]:
    """x-amz-abort-date and x-amz-abort-rule-id of an upload."""
    if aborts is None:
        return {}
    return {
        "x-amz-abort-date": format_http_date(aborts[0] // 1000),
        "x-amz-abort-rule-id": quote(aborts[1], safe=""),
    }
