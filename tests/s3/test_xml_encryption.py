"""The XML of a bucket's default encryption, there and back."""

import pytest

from stratum.adapters.s3.errors import S3Error, translate
from stratum.adapters.s3.xml_encryption import (
    parse_encryption,
    parse_object_encryption,
    render_encryption,
)
from stratum.domain.encryption import EncryptionConfiguration, EncryptionWish, SseMethod


def rule(inner):
    return (
        "<ServerSideEncryptionConfiguration><Rule>"
        f"{inner}</Rule></ServerSideEncryptionConfiguration>"
    ).encode()


def default(algorithm, key_id=""):
    key = f"<KMSMasterKeyID>{key_id}</KMSMasterKeyID>" if key_id else ""
    return (
        "<ApplyServerSideEncryptionByDefault>"
        f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>{key}</ApplyServerSideEncryptionByDefault>"
    )


BUCKET_KEY = "<BucketKeyEnabled>true</BucketKeyEnabled>"
BLOCKED = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"


@pytest.mark.parametrize(
    ("inner", "configuration"),
    [
        (default("AES256"), EncryptionConfiguration(SseMethod.S3)),
        (default("aws:kms"), EncryptionConfiguration(SseMethod.KMS)),
        (default("aws:kms", "mine"), EncryptionConfiguration(SseMethod.KMS, "mine")),
        (
            default("aws:kms", "a&amp;b") + BUCKET_KEY,
            EncryptionConfiguration(SseMethod.KMS, "a&b", bucket_key=True),
        ),
        (BUCKET_KEY, EncryptionConfiguration(SseMethod.S3, bucket_key=True)),
        (BLOCKED, EncryptionConfiguration(SseMethod.S3, blocks_customer_keys=True)),
    ],
)
def test_what_is_read_is_rendered_and_read_again(inner, configuration):
    assert parse_encryption(rule(inner)) == configuration
    assert parse_encryption(render_encryption(configuration)) == configuration


def test_another_key_for_an_object():
    body = (
        b"<ObjectEncryption><SSE-KMS><KMSKeyArn>mine</KMSKeyArn>"
        b"<BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS></ObjectEncryption>"
    )
    assert parse_object_encryption(body) == EncryptionWish(SseMethod.KMS, "mine")
    for wrong in (b"<ObjectEncryption/>", body.replace(b"mine", b""), b"<SSE-KMS/>"):
        with pytest.raises(S3Error):
            parse_object_encryption(wrong)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<ServerSideEncryptionConfiguration/>", "MalformedXML"),
        (rule("</Rule><Rule>"), "MalformedXML"),
        (rule(default("AES128")), "MalformedXML"),
        (rule(default("")), "MalformedXML"),
        (rule(default("AES256") * 2), "MalformedXML"),
        (rule("<ApplyServerSideEncryptionByDefault/>"), "MalformedXML"),
        (rule("<BucketKeyEnabled>maybe</BucketKeyEnabled>"), "MalformedXML"),
        (rule(BLOCKED.replace("SSE-C", "ROT13")), "MalformedXML"),
        (rule(default("aws:kms:dsse")), "NotImplemented"),
        (rule(default("AES256", "mine")), "InvalidArgument"),
    ],
)
def test_what_is_none_is_refused(body, code):
    with pytest.raises(Exception) as refusal:
        parse_encryption(body)
    assert translate(refusal.value).code == code
