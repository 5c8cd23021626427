"""The XML of a bucket's default encryption, and of an object's new one.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionRule.html
"""

from __future__ import annotations

from stratum.adapters.s3.encryption_headers import DOUBLE_LAYER, KEY_ID_LENGTH_MAX, sse_method
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.xml_requests import Element, boolean, parse_document
from stratum.adapters.s3.xml_responses import document, element, optional
from stratum.domain.encryption import EncryptionConfiguration, EncryptionWish, SseMethod
from stratum.domain.errors import InvalidArgument

ROOT = "ServerSideEncryptionConfiguration"


def parse_encryption(body: bytes) -> EncryptionConfiguration:
    """Exactly one rule. Raises S3Error MalformedXML, NotImplemented (DSSE); InvalidArgument."""
    rules = list(parse_document(body, ROOT).all("Rule"))
    if len(rules) != 1:
        raise S3Error("MalformedXML")
    rule = rules[0]
    default = rule.only("ApplyServerSideEncryptionByDefault")
    method, key_id = (SseMethod.S3, "") if default is None else _by_default(default)
    return EncryptionConfiguration(
        method,
        key_id,
        bucket_key=boolean(rule.one("BucketKeyEnabled")),
        blocks_customer_keys=_blocks_customer_keys(rule.only("BlockedEncryptionTypes")),
    )


def render_encryption(configuration: EncryptionConfiguration) -> bytes:
    blocked = "SSE-C" if configuration.blocks_customer_keys else "NONE"
    default = element("SSEAlgorithm", configuration.method.value)
    default += optional("KMSMasterKeyID", configuration.key_id or None)
    return document(
        ROOT,
        "<Rule><ApplyServerSideEncryptionByDefault>",
        default,
        "</ApplyServerSideEncryptionByDefault>",
        element("BucketKeyEnabled", "true" if configuration.bucket_key else "false"),
        f"<BlockedEncryptionTypes>{element('EncryptionType', blocked)}</BlockedEncryptionTypes>",
        "</Rule>",
    )


def parse_object_encryption(body: bytes) -> EncryptionWish:
    """What UpdateObjectEncryption asks for, always SSE-KMS with a key. Raises S3Error
    MalformedXML."""
    chosen = parse_document(body, "ObjectEncryption").only("SSE-KMS")
    key_id = (chosen.one("KMSKeyArn") or "").strip() if chosen else ""
    if chosen is None or not key_id:
        raise S3Error("MalformedXML")
    boolean(chosen.one("BucketKeyEnabled"))
    return EncryptionWish(SseMethod.KMS, key_id[:KEY_ID_LENGTH_MAX])


def _by_default(default: Element) -> tuple[SseMethod, str]:
    algorithm = (default.one("SSEAlgorithm") or "").strip()
    if algorithm not in (SseMethod.S3, SseMethod.KMS, DOUBLE_LAYER):
        raise S3Error("MalformedXML")
    method = sse_method(algorithm)
    key_id = (default.one("KMSMasterKeyID") or "").strip()
    if key_id and method is not SseMethod.KMS:
        raise InvalidArgument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or"
            " aws:kms:dsse",
            "KMSMasterKeyID",
            key_id[:100],
        )
    return method, key_id[:KEY_ID_LENGTH_MAX]


def _blocks_customer_keys(blocked: Element | None) -> bool:
    types = [] if blocked is None else [each.text.strip() for each in blocked.all("EncryptionType")]
    if any(each not in ("SSE-C", "NONE") for each in types):
        raise S3Error("MalformedXML")
    return "SSE-C" in types
