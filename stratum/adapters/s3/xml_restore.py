"""RestoreObject: the document that asks, and the header that tells.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html
"""

from __future__ import annotations

from stratum.adapters.s3.dates import format_http_date
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import parse_document
from stratum.domain.errors import InvalidArgument

RESTORE_TIERS = ("Standard", "Bulk", "Expedited")
"""How fast the client wants it: all the same here."""
RESTORE_DAYS_MAX = 36_500


def parse_restore(body: bytes) -> int:
    """For how many days. Raises S3Error (MalformedXML, NotImplemented for queries),
    InvalidArgument."""
    root = parse_document(body, "RestoreRequest")
    if root.only("SelectParameters") or root.only("OutputLocation") or root.one("Type"):
        raise S3Error("NotImplemented", fields={"Element": "SelectParameters"})
    parameters = root.only("GlacierJobParameters")
    for wish in (root.one("Tier"), parameters.one("Tier") if parameters else None):
        if wish is not None and wish not in RESTORE_TIERS:
            raise S3Error("MalformedXML")
    days = root.integer("Days")
    if days is None:
        raise S3Error("MalformedXML")
    if not 1 <= days <= RESTORE_DAYS_MAX:
        raise InvalidArgument("restoration days must be at least 1", "Days", str(days))
    return days


def restore_header(ongoing: bool, until_ms: int) -> str:
    """The value of x-amz-restore."""
    if ongoing:
        return 'ongoing-request="true"'
    return f'ongoing-request="false", expiry-date="{format_http_date(until_ms // 1000)}"'
