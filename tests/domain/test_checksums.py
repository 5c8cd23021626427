import base64
import hashlib
import zlib

import pytest

from stratum.domain.checksums import (
    DIGEST_LENGTHS_BYTES,
    MULTIPART_TYPES,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    composite_checksum,
    composite_etag,
    encode_crc,
    encode_digest,
    full_object_checksum,
    multipart_type,
    parse_checksum,
)
from stratum.domain.errors import BadDigest, InvalidArgument, InvalidPart

CRC32, SHA256 = ChecksumAlgorithm.CRC32, ChecksumAlgorithm.SHA256


def sha256(data):
    return hashlib.sha256(data).digest()


def test_every_algorithm_has_a_length_and_types():
    assert set(DIGEST_LENGTHS_BYTES) == set(MULTIPART_TYPES) == set(ChecksumAlgorithm)


@pytest.mark.parametrize("algorithm", list(ChecksumAlgorithm))
def test_a_checksum_is_base64_of_a_digest_of_the_right_length(algorithm):
    digest = bytes(range(DIGEST_LENGTHS_BYTES[algorithm]))
    text = base64.b64encode(digest).decode()
    assert parse_checksum(algorithm, text) == Checksum(algorithm, text)
    assert parse_checksum(algorithm, text).digest == digest
    composite = parse_checksum(algorithm, f"{text}-12")
    assert (composite.type, composite.digest) == (ChecksumType.COMPOSITE, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bad",
        "AAAA",
        "AAAAAAA=",
        "AAAAAA==-",
        "AAAAAA==-0",
        "AAAAAA==-x",
        "AAAA AA==",
        "ÄAAAAA==",
    ],
)
def test_anything_else_matches_no_bytes(text):
    with pytest.raises(BadDigest):
        parse_checksum(CRC32, text)


@pytest.mark.parametrize(
    ("algorithm", "asked", "got"),
    [
        ("CRC32", None, "COMPOSITE"),
        ("CRC32", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE", "COMPOSITE"),
        ("CRC64NVME", None, "FULL_OBJECT"),
        ("SHA1", None, "COMPOSITE"),
        ("SHA256", "COMPOSITE", "COMPOSITE"),
    ],
)
def test_types_of_multipart_uploads(algorithm, asked, got):
    kind = multipart_type(ChecksumAlgorithm(algorithm), ChecksumType(asked) if asked else None)
    assert kind is ChecksumType(got)


@pytest.mark.parametrize(
    ("algorithm", "asked"),
    [("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT")],
)
def test_types_an_algorithm_does_not_have(algorithm, asked):
    with pytest.raises(InvalidArgument):
        multipart_type(ChecksumAlgorithm(algorithm), ChecksumType(asked))


def test_a_composite_checksum_is_the_digest_of_the_parts_digests():
    parts = [Checksum(SHA256, encode_digest(sha256(data))) for data in (b"one", b"two")]
    expected = base64.b64encode(sha256(sha256(b"one") + sha256(b"two"))).decode() + "-2"
    assert composite_checksum(SHA256, parts, sha256) == Checksum(
        SHA256, expected, ChecksumType.COMPOSITE
    )


def test_the_composite_checksum_s3_tests_expects():
    part = Checksum(SHA256, "arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0=")
    assert composite_checksum(SHA256, [part], sha256).value == (
        "Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=-1"
    )


def test_a_full_object_checksum_combines_parts_in_order():
    # Counts what it is given instead of computing: 10 per part, plus its CRC, times its length.
    def combine(crc_a, crc_b, length_b):
        return (crc_a * 10 + crc_b) * length_b

    parts = [(Checksum(CRC32, encode_crc(CRC32, crc)), size) for crc, size in ((3, 1), (4, 2))]
    assert full_object_checksum(CRC32, parts, combine).value == encode_crc(CRC32, 68)


def test_the_crc_of_one_part_is_the_objects():
    value = encode_crc(CRC32, zlib.crc32(b"part"))

    def combine(crc_a, crc_b, _length_b):
        assert crc_a == 0
        return crc_b

    assert full_object_checksum(CRC32, [(Checksum(CRC32, value), 4)], combine).value == value


def test_parts_must_have_the_uploads_algorithm():
    part = Checksum(CRC32, encode_crc(CRC32, 1))
    with pytest.raises(InvalidPart):
        composite_checksum(SHA256, [part], sha256)
    with pytest.raises(InvalidPart):
        full_object_checksum(ChecksumAlgorithm.CRC32C, [(part, 1)], lambda a, b, c: 0)


def test_a_multipart_etag_is_the_md5_of_the_parts_md5s():
    digests = [hashlib.md5(data).digest() for data in (b"A" * 10, b"B" * 10, b"C")]
    assert composite_etag(iter(digests)) == hashlib.md5(b"".join(digests)).hexdigest() + "-3"
