"""Computing checksums: MD5 for ETags and the algorithms of x-amz-checksum-*.

All take any contiguous buffer without copying it. The CRCs are awscrt's (hardware-accelerated),
CRC-32 is zlib's, which is faster.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Protocol

from awscrt import checksums

from stratum.domain.checksums import DIGEST_LENGTHS_BYTES, ChecksumAlgorithm, encode_digest

Buffer = bytes | bytearray | memoryview


class Hasher(Protocol):
    """An incremental digest, as in hashlib."""

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all bytes so far, big-endian."""
        ...


class CrcHasher:
    """A CRC with the interface of hashlib."""

    def __init__(self, crc: Callable[[Buffer, int], int], length_bytes: int) -> None:
        self._crc = crc
        self._length_bytes = length_bytes
        self.value = 0

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""
        self.value = self._crc(data, self.value)

    def digest(self) -> bytes:
        """The CRC of all bytes so far, big-endian."""
        return self.value.to_bytes(self._length_bytes, "big")


_CRCS: dict[ChecksumAlgorithm, Callable[[Buffer, int], int]] = {
    ChecksumAlgorithm.CRC32: zlib.crc32,
    ChecksumAlgorithm.CRC32C: checksums.crc32c,
    ChecksumAlgorithm.CRC64NVME: checksums.crc64nvme,
}
_COMBINERS: dict[ChecksumAlgorithm, Callable[[int, int, int], int]] = {
    ChecksumAlgorithm.CRC32: checksums.combine_crc32,
    ChecksumAlgorithm.CRC32C: checksums.combine_crc32c,
    ChecksumAlgorithm.CRC64NVME: checksums.combine_crc64nvme,
}


def hasher(algorithm: ChecksumAlgorithm) -> Hasher:
    """A fresh incremental digest."""
    match algorithm:
        case ChecksumAlgorithm.SHA256:
            return hashlib.sha256()
        case ChecksumAlgorithm.SHA1:
            return hashlib.sha1(usedforsecurity=False)
        case _:
            return CrcHasher(_CRCS[algorithm], DIGEST_LENGTHS_BYTES[algorithm])


def md5() -> Hasher:
    """A fresh MD5, as ETags and Content-MD5 need it."""
    return hashlib.md5(usedforsecurity=False)


def digest(algorithm: ChecksumAlgorithm, data: Buffer) -> bytes:
    """The digest of one buffer."""
    state = hasher(algorithm)
    state.update(data)
    return state.digest()


def encoded(state: Hasher) -> str:
    """The base64 text of a digest, as x-amz-checksum-* has it."""
    return encode_digest(state.digest())


def combine(algorithm: ChecksumAlgorithm, crc_a: int, crc_b: int, length_b: int) -> int:
    """The CRC of a‖b from those of a and b; only for the CRCs."""
    return _COMBINERS[algorithm](crc_a, crc_b, length_b)


def new_hasher(name: str) -> Hasher:
    """A fresh hasher for `MD5` or the name of a ChecksumAlgorithm."""
    return md5() if name == "MD5" else hasher(ChecksumAlgorithm(name))
