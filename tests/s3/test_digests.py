import hashlib
import random
import zlib

import pytest

from stratum.adapters.s3.digests import combine, digest, encoded, hasher, md5, new_hasher
from stratum.domain.checksums import DIGEST_LENGTHS_BYTES, ChecksumAlgorithm

# Check values: the digest of "123456789", as CRC catalogues list it.
CHECKS = {
    ChecksumAlgorithm.CRC32: "cbf43926",
    ChecksumAlgorithm.CRC32C: "e3069283",
    ChecksumAlgorithm.CRC64NVME: "ae8b14860a799888",
    ChecksumAlgorithm.SHA1: hashlib.sha1(b"123456789").hexdigest(),
    ChecksumAlgorithm.SHA256: hashlib.sha256(b"123456789").hexdigest(),
}
CRCS = [ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.CRC64NVME]


@pytest.mark.parametrize("algorithm", list(ChecksumAlgorithm))
def test_digests_are_right_in_pieces_and_from_any_buffer(algorithm):
    assert digest(algorithm, b"123456789").hex() == CHECKS[algorithm]
    assert len(digest(algorithm, b"")) == DIGEST_LENGTHS_BYTES[algorithm]
    state = hasher(algorithm)
    buffer = bytearray(b"xx123456789xx")
    state.update(memoryview(buffer)[2:6])
    state.update(b"")
    state.update(bytearray(b"56789"))
    assert state.digest().hex() == CHECKS[algorithm]
    # Reading the digest does not end it.
    state.update(b"0")
    assert state.digest() == digest(algorithm, b"1234567890")


@pytest.mark.parametrize("algorithm", CRCS)
def test_crcs_combine(algorithm):
    rng = random.Random(1)
    for _ in range(20):
        parts = [rng.randbytes(rng.randint(0, 3000)) for _ in range(3)]
        crc = 0
        for part in parts:
            value = int.from_bytes(digest(algorithm, part), "big")
            crc = combine(algorithm, crc, value, len(part))
        assert crc == int.from_bytes(digest(algorithm, b"".join(parts)), "big")


def test_names_and_texts():
    assert encoded(hasher(ChecksumAlgorithm.CRC32)) == "AAAAAA=="
    state = new_hasher("MD5")
    state.update(b"foo")
    assert state.digest() == hashlib.md5(b"foo").digest()
    assert md5().digest() == hashlib.md5(b"").digest()
    crc = new_hasher("CRC32")
    crc.update(b"foo")
    assert int.from_bytes(crc.digest(), "big") == zlib.crc32(b"foo")
    with pytest.raises(ValueError):
        new_hasher("ROT13")
