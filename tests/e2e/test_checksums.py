"""Checksums: verified, kept, returned, and refused when wrong."""

import base64
import hashlib
import io
import zlib

import pytest
from awscrt.checksums import crc32c, crc64nvme
from botocore.config import Config

from tests.support.payloads import payload
from tests.support.refusals import refused

MIB = 1 << 20


def encode(digest):
    return base64.b64encode(digest).decode()


def checksum(algorithm, data):
    """As S3 writes it."""
    match algorithm:
        case "CRC32":
            return encode(zlib.crc32(data).to_bytes(4))
        case "CRC32C":
            return encode(crc32c(data).to_bytes(4))
        case "CRC64NVME":
            return encode(crc64nvme(data).to_bytes(8))
        case _:
            return encode(hashlib.new(algorithm, data).digest())


ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
BODY = payload(1_300_000, 9)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("body", [b"", b"short", BODY], ids=["empty", "short", "long"])
def test_a_checksum_is_verified_kept_and_returned(s3, bucket, algorithm, body):
    name, expected = f"Checksum{algorithm}", checksum(algorithm, body)
    s3.put_object(Bucket=bucket, Key="computed", Body=body, ChecksumAlgorithm=algorithm)
    s3.put_object(Bucket=bucket, Key="given", Body=body, **{name: expected})
    for key in ("computed", "given"):
        got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert got["Body"].read() == body
        assert (got[name], got["ChecksumType"]) == (expected, "FULL_OBJECT")
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert head[name] == expected


def test_boto3_adds_a_checksum_by_itself(server, bucket):
    with server.client(config=Config()) as client:
        client.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(BODY))
        head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == checksum("CRC32", BODY)


def test_an_object_without_a_stated_checksum_gets_one(server, bucket):
    config = Config(request_checksum_calculation="when_required")
    with server.client(config=config) as client:
        client.put_object(Bucket=bucket, Key="k", Body=BODY)
        head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == checksum("CRC64NVME", BODY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum_stores_nothing(s3, bucket, algorithm):
    wrong = {f"Checksum{algorithm}": checksum(algorithm, b"other bytes")}
    for body in (b"bytes", BODY):
        with refused("BadDigest", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=body, **wrong)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


def test_a_wrong_content_md5_stores_nothing(s3, bucket):
    with refused("BadDigest", 400):
        s3.put_object(
            Bucket=bucket, Key="k", Body=b"x", ContentMD5=encode(hashlib.md5(b"y").digest())
        )
    for nonsense in ("not base64!", encode(b"too short")):
        with refused("InvalidDigest", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=nonsense)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=encode(hashlib.md5(b"x").digest()))


def test_a_body_other_than_was_signed(server, s3, bucket):
    path = f"/{bucket}/k"
    headers = server.signed("PUT", path, b"signed")
    status, _, body = server.request("PUT", path, b"stolen", headers)
    assert (status, b"XAmzContentSHA256Mismatch" in body) == (400, True)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


def test_a_range_comes_without_the_checksum_of_the_whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="CRC32")
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-9", ChecksumMode="ENABLED")
    assert got["Body"].read() == BODY[:10]
    assert "ChecksumCRC32" not in got


def test_listings_name_the_algorithm(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="CRC32C")
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == (["CRC32C"], "FULL_OBJECT")


# -- multipart ----------------------------------------------------------------------------------
PARTS = [payload(5 * MIB, 1), payload(321, 2)]
COMBINATIONS = [
    ("CRC32", "COMPOSITE"),
    ("CRC32", "FULL_OBJECT"),
    ("CRC32C", "COMPOSITE"),
    ("CRC32C", "FULL_OBJECT"),
    ("CRC64NVME", "FULL_OBJECT"),
    ("SHA1", "COMPOSITE"),
    ("SHA256", "COMPOSITE"),
]


def object_checksum(algorithm, kind):
    if kind == "FULL_OBJECT":
        return checksum(algorithm, b"".join(PARTS))
    joined = b"".join(base64.b64decode(checksum(algorithm, part)) for part in PARTS)
    return f"{checksum(algorithm, joined)}-{len(PARTS)}"


@pytest.mark.parametrize(("algorithm", "kind"), COMBINATIONS)
def test_checksums_of_parts_and_object(s3, bucket, algorithm, kind):
    name, expected = f"Checksum{algorithm}", object_checksum(algorithm, kind)
    started = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )
    assert (started["ChecksumAlgorithm"], started["ChecksumType"]) == (algorithm, kind)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": started["UploadId"]}
    listed = []
    for number, part in enumerate(PARTS, 1):
        answer = s3.upload_part(**upload, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        assert answer[name] == checksum(algorithm, part)
        listed.append(
            {"PartNumber": number, "ETag": answer["ETag"], name: checksum(algorithm, part)}
        )
    parts = s3.list_parts(**upload)["Parts"]
    assert [part[name] for part in parts] == [checksum(algorithm, part) for part in PARTS]
    wrong = [listed[0], {**listed[1], name: listed[0][name]}]
    with refused("InvalidPart", 400):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": wrong})
    answer = s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": listed}, ChecksumType=kind, **{name: expected}
    )
    assert (answer[name], answer["ChecksumType"]) == (expected, kind)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (expected, kind)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(PARTS)
    for number, part in enumerate(PARTS, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number, ChecksumMode="ENABLED")
        assert got["Body"].read() == part
        assert got[name] == checksum(algorithm, part)
        assert got["ChecksumType"] == kind


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA256", "FULL_OBJECT")]
)
def test_checksum_types_that_do_not_exist(s3, bucket, algorithm, kind):
    with refused("InvalidRequest", 400):
        s3.create_multipart_upload(
            Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
        )


def test_a_wrong_checksum_of_the_whole_object(s3, bucket):
    upload_id = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    upload = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    wrong = checksum("CRC32", b"y")
    with refused("BadDigest", 400):
        s3.complete_multipart_upload(
            **upload, MultipartUpload=listed, ChecksumType="FULL_OBJECT", ChecksumCRC32=wrong
        )
    s3.complete_multipart_upload(**upload, MultipartUpload=listed)


def test_a_part_with_a_wrong_or_another_checksum(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")[
        "UploadId"
    ]
    part = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "Body": b"x"}
    with refused("BadDigest", 400):
        s3.upload_part(**part, ChecksumSHA256=checksum("SHA256", b"y"))
    with refused("InvalidRequest", 400):
        s3.upload_part(**part, ChecksumCRC32=checksum("CRC32", b"x"))
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)
