"""Bodies on their way in: counted, hashed in order, verified at their end."""

import base64
import hashlib

import pytest
import trio
from awscrt import checksums as crt
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.s3.digests import new_hasher
from stratum.app.payload import (
    HASH_OFFLOAD_MIN_BYTES,
    EmptySource,
    Payload,
    Stated,
    StreamSource,
)
from stratum.domain.checksums import Checksum, ChecksumAlgorithm
from stratum.domain.errors import (
    BadDigest,
    ContentMismatch,
    EntityTooLarge,
    IncompleteBody,
)
from tests.support.payloads import payload as content_of
from tests.support.store import source_of

CONTENT = content_of(100_000)
MAX = 1 << 40


async def drained(payload, buffer_bytes=4096):
    received = bytearray()
    view = memoryview(bytearray(buffer_bytes))
    while length := await payload.read_into(view):
        received += view[:length]
    return bytes(received)


def payload(content, stated=None, piece_bytes=1000, size_max_bytes=MAX):
    return Payload(source_of(content, piece_bytes), stated or Stated(), new_hasher, size_max_bytes)


def sha256(content):
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return Checksum(ChecksumAlgorithm.SHA256, digest)


@given(size=st.integers(0, 5000), piece_bytes=st.integers(1, 600), buffer_bytes=st.integers(1, 700))
def test_however_it_is_cut_the_result_is_the_same(size, piece_bytes, buffer_bytes):
    content = content_of(size)

    async def main():
        body = payload(content, Stated(size_bytes=size), piece_bytes)
        assert await drained(body, buffer_bytes) == content
        assert body.size_bytes == size
        assert body.etag == hashlib.md5(content).hexdigest()
        assert body.crc64 == f"{crt.crc64nvme(content, 0):016x}"

    trio.run(main)


async def test_large_pieces_are_hashed_in_order_off_the_loop():
    content = content_of(5 * HASH_OFFLOAD_MIN_BYTES + 17)
    stated = Stated(checksum=sha256(content), algorithm=ChecksumAlgorithm.SHA256)
    body = payload(content, stated, piece_bytes=1 << 20)
    assert await drained(body, 2 * HASH_OFFLOAD_MIN_BYTES + 1) == content
    assert body.etag == hashlib.md5(content).hexdigest()
    assert body.checksums == (sha256(content),)


async def test_without_a_wish_the_checksum_is_crc64nvme():
    body = payload(CONTENT)
    await drained(body)
    (checksum,) = body.checksums
    assert checksum.algorithm is ChecksumAlgorithm.CRC64NVME
    assert checksum.digest.hex() == body.crc64


@pytest.mark.parametrize("algorithm", list(ChecksumAlgorithm))
async def test_every_algorithm_is_computed_and_verified(algorithm):
    body = payload(CONTENT, Stated(algorithm=algorithm))
    await drained(body)
    (right,) = body.checksums
    assert right.algorithm is algorithm
    await drained(payload(CONTENT, Stated(checksum=right, algorithm=algorithm)))
    with pytest.raises(BadDigest):
        await drained(payload(CONTENT + b"x", Stated(checksum=right, algorithm=algorithm)))


async def test_what_is_stated_is_verified():
    right = Stated(
        size_bytes=len(CONTENT),
        md5=hashlib.md5(CONTENT).digest(),
        sha256_hex=hashlib.sha256(CONTENT).hexdigest(),
    )
    assert await drained(payload(CONTENT, right)) == CONTENT
    for wrong, error in (
        (Stated(md5=bytes(16)), BadDigest),
        (Stated(sha256_hex="0" * 64), ContentMismatch),
        (Stated(size_bytes=len(CONTENT) + 1), IncompleteBody),
        (Stated(size_bytes=len(CONTENT) - 1), IncompleteBody),
        (Stated(size_bytes=0), IncompleteBody),
    ):
        with pytest.raises(error):
            await drained(payload(CONTENT, wrong))


async def test_a_trailing_checksum_is_asked_for_at_the_end():
    asked = []

    def trailer():
        asked.append(len(asked))
        return sha256(CONTENT)

    body = payload(CONTENT, Stated(algorithm=ChecksumAlgorithm.SHA256, trailer=trailer))
    view = memoryview(bytearray(1000))
    assert await body.read_into(view) == 1000
    assert not asked
    await drained(body)
    assert asked == [0]
    wrong = Stated(algorithm=ChecksumAlgorithm.SHA256, trailer=lambda: sha256(b"other"))
    with pytest.raises(BadDigest):
        await drained(payload(CONTENT, wrong))


async def test_too_large_is_refused_before_the_first_byte_or_at_the_first_too_many():
    with pytest.raises(EntityTooLarge):
        payload(CONTENT, Stated(size_bytes=101), size_max_bytes=100)
    body = payload(CONTENT, size_max_bytes=100)
    with pytest.raises(EntityTooLarge):
        await body.read_into(memoryview(bytearray(1000)))


async def test_more_bytes_than_stated_are_refused_at_once():
    """A reader with room for just these bytes would never ask for the end."""
    body = payload(CONTENT, Stated(size_bytes=999))
    with pytest.raises(IncompleteBody):
        await body.read_into(memoryview(bytearray(1000)))


async def test_the_end_stays_the_end():
    body = payload(b"abc")
    assert await drained(body) == b"abc"
    assert await body.read_into(memoryview(bytearray(10))) == 0
    assert body.size_bytes == 3


async def test_an_error_of_the_source_passes_through():
    class Broken:
        async def read_into(self, buffer):
            raise IncompleteBody("gone")

    body = Payload(Broken(), Stated(), new_hasher, MAX)
    with pytest.raises(IncompleteBody, match="gone"):
        await drained(body)


async def test_pieces_as_a_source():
    async def pieces():
        yield b"ab"
        yield b""
        yield bytearray(b"cdefg")

    source = StreamSource(pieces())
    view = memoryview(bytearray(3))
    seen = []
    while length := await source.read_into(view):
        seen.append(bytes(view[:length]))
    assert b"".join(seen) == b"abcdefg"
    assert await EmptySource().read_into(view) == 0
