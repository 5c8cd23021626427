import pytest

from stratum.adapters.s3.checksum_headers import (
    PayloadChecksum,
    checksum_headers,
    object_size,
    payload_checksum,
    requested_algorithm,
    requested_type,
    stated_checksum,
    trailing_checksum,
    upload_checksum,
    wants_checksums,
)
from stratum.adapters.s3.errors import S3Error, translate
from stratum.domain.checksums import Checksum, ChecksumAlgorithm, ChecksumType

CRC32, CRC64, SHA256 = (
    ChecksumAlgorithm.CRC32,
    ChecksumAlgorithm.CRC64NVME,
    ChecksumAlgorithm.SHA256,
)
FULL, COMPOSITE = ChecksumType.FULL_OBJECT, ChecksumType.COMPOSITE


def code(function, *args):
    with pytest.raises(Exception) as error:
        function(*args)
    return translate(error.value).code


def test_a_checksum_in_a_header():
    headers = {
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-amz-checksum-mode": "ENABLED",
        "x-amz-checksum-type": "FULL_OBJECT",
        "x-amz-checksum-algorithm": "CRC32",
    }
    stated = Checksum(CRC32, "AAAAAA==")
    assert payload_checksum(headers) == PayloadChecksum(CRC32, stated)
    assert stated_checksum(headers) == stated
    assert payload_checksum({}) is None


def test_a_checksum_in_the_trailer():
    headers = {"x-amz-trailer": "X-Amz-Checksum-Crc64nvme", "x-amz-sdk-checksum-algorithm": ""}
    assert payload_checksum(headers) == PayloadChecksum(CRC64, None)
    trailers = {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}
    assert trailing_checksum(trailers, CRC64) == Checksum(CRC64, "AAAAAAAAAAA=")
    assert code(trailing_checksum, {}, CRC64) == "MalformedTrailerError"
    assert code(trailing_checksum, {"x-amz-checksum-crc32": "x"}, CRC32) == "BadDigest"


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"x-amz-checksum-crc32": "bad"}, "BadDigest"),
        ({"x-amz-checksum-crc32": ""}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "x"}, "InvalidRequest"),
        (
            {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32"},
            "InvalidRequest",
        ),
        ({"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"}, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-meta-a"}, "InvalidRequest"),
        ({"x-amz-checksum-xxhash3": "AAAA"}, "InvalidRequest"),
        ({"x-amz-checksum-md5": "AAAA"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        (
            {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "AAAAAA=="},
            "InvalidRequest",
        ),
        (
            {"x-amz-sdk-checksum-algorithm": "ROT13", "x-amz-checksum-crc32": "AAAAAA=="},
            "InvalidRequest",
        ),
    ],
)
def test_checksums_that_are_refused(headers, refusal):
    assert code(payload_checksum, headers) == refusal


def test_what_an_upload_shall_keep():
    assert upload_checksum({}) is None
    assert upload_checksum({"x-amz-checksum-algorithm": "CRC32"}) == (CRC32, COMPOSITE)
    assert upload_checksum({"x-amz-checksum-algorithm": "crc64nvme"}) == (CRC64, FULL)
    both = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
    assert upload_checksum(both) == (CRC32, FULL)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "HALF"},
        {"x-amz-checksum-algorithm": "XXHASH3"},
        {"x-amz-checksum-type": "FULL_OBJECT"},
    ],
)
def test_uploads_that_cannot_be(headers):
    with pytest.raises(S3Error) as error:
        upload_checksum(headers)
    assert error.value.code == "InvalidRequest"


def test_single_values():
    assert requested_algorithm({"x-amz-checksum-algorithm": "sha256"}) is SHA256
    assert requested_algorithm({}) is None
    assert requested_type({"x-amz-checksum-type": "composite"}) is COMPOSITE
    assert object_size({}) is None
    assert object_size({"x-amz-mp-object-size": "12"}) == 12
    assert code(object_size, {"x-amz-mp-object-size": "-1"}) == "InvalidRequest"
    assert not wants_checksums({})
    assert wants_checksums({"x-amz-checksum-mode": "enabled"})
    assert code(wants_checksums, {"x-amz-checksum-mode": "maybe"}) == "InvalidArgument"


def test_checksums_in_answers():
    composite = Checksum(SHA256, "x-2", COMPOSITE)
    assert checksum_headers([composite]) == {
        "x-amz-checksum-sha256": "x-2",
        "x-amz-checksum-type": "COMPOSITE",
    }
    assert checksum_headers([]) == {}
