"""Object checksums beside the ETag, and how those of parts become one of the object.

The rules are Amazon's: https://docs.aws.amazon.com/AmazonS3/latest/userguide/
checking-object-integrity-upload.html. Nothing is computed over object data here; adapters do
that and pass values in (and the CRC functions as callables).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stratum.domain.errors import BadDigest, InvalidArgument, InvalidPart


class ChecksumAlgorithm(StrEnum):
    """The algorithms of x-amz-checksum-*."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


class ChecksumType(StrEnum):
    """Over the object's bytes, or over the checksums of its parts."""

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


DIGEST_LENGTHS_BYTES = {
    ChecksumAlgorithm.CRC32: 4,
    ChecksumAlgorithm.CRC32C: 4,
    ChecksumAlgorithm.CRC64NVME: 8,
    ChecksumAlgorithm.SHA1: 20,
    ChecksumAlgorithm.SHA256: 32,
}

MULTIPART_TYPES = {
    ChecksumAlgorithm.CRC32: (ChecksumType.COMPOSITE, ChecksumType.FULL_OBJECT),
    ChecksumAlgorithm.CRC32C: (ChecksumType.COMPOSITE, ChecksumType.FULL_OBJECT),
    ChecksumAlgorithm.CRC64NVME: (ChecksumType.FULL_OBJECT,),
    ChecksumAlgorithm.SHA1: (ChecksumType.COMPOSITE,),
    ChecksumAlgorithm.SHA256: (ChecksumType.COMPOSITE,),
}
"""Types a multipart upload may have, the default first. A single PUT is always FULL_OBJECT."""

_COMPOSITE_SUFFIX = re.compile(r"-[1-9][0-9]{0,4}").fullmatch


@dataclass(frozen=True)
class Checksum:
    """A checksum as S3 writes it: base64 of the big-endian digest, `-N` appended if composite."""

    algorithm: ChecksumAlgorithm
    value: str
    type: ChecksumType = ChecksumType.FULL_OBJECT

    @property
    def digest(self) -> bytes:
        """The bytes the base64 text stands for."""
        return base64.b64decode(self.value.partition("-")[0])


def parse_checksum(algorithm: ChecksumAlgorithm, text: str) -> Checksum:
    """Parse a checksum value; its form says whether it is composite.

    Raises BadDigest for text that cannot be the checksum of any bytes.
    """
    encoded, dash, count = text.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != DIGEST_LENGTHS_BYTES[algorithm] or (
        dash and not _COMPOSITE_SUFFIX(dash + count)
    ):
        raise BadDigest(f"Value for x-amz-checksum-{algorithm.lower()} header is invalid.")
    return Checksum(algorithm, text, ChecksumType.COMPOSITE if dash else ChecksumType.FULL_OBJECT)


def encode_digest(digest: bytes) -> str:
    """Base64 text of a digest."""
    return base64.b64encode(digest).decode("ascii")


def encode_crc(algorithm: ChecksumAlgorithm, value: int) -> str:
    """Base64 text of a CRC given as an unsigned integer."""
    return encode_digest(value.to_bytes(DIGEST_LENGTHS_BYTES[algorithm], "big"))


def multipart_type(algorithm: ChecksumAlgorithm, asked: ChecksumType | None) -> ChecksumType:
    """The type a multipart upload gets; raise InvalidArgument if the algorithm has no such type."""
    allowed = MULTIPART_TYPES[algorithm]
    if asked is None:
        return allowed[0]
    if asked not in allowed:
        raise InvalidArgument(
            f"The {asked} checksum type cannot be used with the {algorithm.lower()}"
            " checksum algorithm.",
            "x-amz-checksum-type",
            asked,
        )
    return asked


def composite_checksum(
    algorithm: ChecksumAlgorithm, parts: Sequence[Checksum], digest: Callable[[bytes], bytes]
) -> Checksum:
    """The checksum of the parts' digests put together; `digest` computes the algorithm."""
    joined = b"".join(part.digest for part in _of_algorithm(algorithm, parts))
    value = f"{encode_digest(digest(joined))}-{len(parts)}"
    return Checksum(algorithm, value, ChecksumType.COMPOSITE)


def full_object_checksum(
    algorithm: ChecksumAlgorithm,
    parts: Sequence[tuple[Checksum, int]],
    combine: Callable[[int, int, int], int],
) -> Checksum:
    """The CRC of an object from (checksum, size in bytes) of its parts, without its bytes.

    `combine(crc_a, crc_b, length_b)` is the CRC of a‖b. Raises InvalidPart for a part whose
    checksum has another algorithm.
    """
    _of_algorithm(algorithm, [checksum for checksum, _ in parts])
    crc = 0
    for checksum, size_bytes in parts:
        crc = combine(crc, int.from_bytes(checksum.digest, "big"), size_bytes)
    return Checksum(algorithm, encode_crc(algorithm, crc), ChecksumType.FULL_OBJECT)


def composite_etag(part_md5s: Iterable[bytes]) -> str:
    """A multipart object's ETag, unquoted: MD5 of the parts' MD5 digests, `-N` appended."""
    digests = list(part_md5s)
    joined = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return f"{joined}-{len(digests)}"


def _of_algorithm(algorithm: ChecksumAlgorithm, parts: Sequence[Checksum]) -> Sequence[Checksum]:
    for part in parts:
        if part.algorithm is not algorithm:
            raise InvalidPart(f"A part has a {part.algorithm} checksum, the upload {algorithm}")
    return parts
