"""BucketLoggingStatus and RequestPaymentConfiguration: two small documents about a bucket."""

from __future__ import annotations

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, parse_document
from stratum.adapters.s3.xml_responses import document, element
from stratum.domain.bucket_logging import (
    PREFIX_LENGTH_MAX_BYTES,
    LoggingConfiguration,
    PartitionSource,
)
from stratum.domain.errors import InvalidArgument
from stratum.domain.names import bucket_name
from stratum.domain.request_payment import Payer


def parse_logging(body: bytes) -> LoggingConfiguration | None:
    """Parse BucketLoggingStatus; None switches logging off.

    Raises S3Error MalformedXML, NotImplemented for grants; InvalidArgument, InvalidBucketName.
    """
    enabled = (
        parse_document(body, "BucketLoggingStatus").expect("LoggingEnabled").only("LoggingEnabled")
    )
    if enabled is None:
        return None
    enabled.expect("TargetBucket", "TargetPrefix", "TargetGrants", "TargetObjectKeyFormat")
    grants = enabled.only("TargetGrants")
    if grants is not None and grants.children:
        raise S3Error("NotImplemented", fields={"Element": "TargetGrants"})
    bucket, prefix = enabled.one("TargetBucket"), enabled.one("TargetPrefix")
    if bucket is None or prefix is None:
        raise S3Error("MalformedXML")
    if len(prefix.encode()) > PREFIX_LENGTH_MAX_BYTES:
        raise InvalidArgument("The target prefix is too long", "TargetPrefix")
    partition = _key_format(enabled.only("TargetObjectKeyFormat"))
    return LoggingConfiguration(bucket_name(bucket.strip()), prefix, partition)


def render_logging(configuration: LoggingConfiguration | None) -> bytes:
    """The configuration, with the format that is the default; empty without one."""
    if configuration is None:
        return document("BucketLoggingStatus")
    key_format = "<SimplePrefix/>"
    if configuration.partition is not None:
        source = element("PartitionDateSource", configuration.partition)
        key_format = f"<PartitionedPrefix>{source}</PartitionedPrefix>"
    return document(
        "BucketLoggingStatus",
        "<LoggingEnabled>",
        element("TargetBucket", configuration.target_bucket),
        element("TargetPrefix", configuration.target_prefix),
        f"<TargetObjectKeyFormat>{key_format}</TargetObjectKeyFormat>",
        "</LoggingEnabled>",
    )


def _key_format(parent: Element | None) -> PartitionSource | None:
    if parent is None:
        return None
    parent.expect("SimplePrefix", "PartitionedPrefix")
    simple, partitioned = parent.only("SimplePrefix"), parent.only("PartitionedPrefix")
    if (simple is None) == (partitioned is None):
        raise S3Error("MalformedXML")
    if partitioned is None:
        return None
    try:
        source = partitioned.expect("PartitionDateSource").one("PartitionDateSource")
        return PartitionSource((source or "").strip() or PartitionSource.DELIVERY_TIME)
    except ValueError:
        raise S3Error("MalformedXML") from None


def parse_request_payment(body: bytes) -> Payer:
    """Parse RequestPaymentConfiguration; raise S3Error MalformedXML."""
    root = parse_document(body, "RequestPaymentConfiguration").expect("Payer")
    try:
        return Payer((root.one("Payer") or "").strip())
    except ValueError:
        raise S3Error("MalformedXML") from None


def render_request_payment(payer: Payer | None) -> bytes:
    """RequestPaymentConfiguration; the owner pays where nothing was configured."""
    return document("RequestPaymentConfiguration", element("Payer", payer or Payer.BUCKET_OWNER))
