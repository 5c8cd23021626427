"""Bodies sealed as they come and opened as they are read, however they are cut."""

import hashlib

import pytest
import trio
from awscrt import checksums as crt
from hypothesis import given, settings
from hypothesis import strategies as st

from stratum.adapters.object_keys import UnwrappedKey
from stratum.adapters.s3.digests import new_hasher
from stratum.app.payload import Payload, Stated
from stratum.app.sealed_streams import BATCH_SEGMENTS, StagingPool
from stratum.app.sealing import Sealed
from stratum.domain.encryption import SEGMENT_SIZE_BYTES, Encryption, SseMethod
from stratum.domain.errors import IncompleteBody, SealBroken
from stratum.domain.names import Tier
from stratum.domain.ranges import Span
from stratum.domain.sealing import TAG_BYTES, Segments
from stratum.domain.stripes import STRIPE_SIZE_BYTES
from stratum.domain.volume import CompletedPart, Location, ObjectVersion
from tests.support.payloads import payload as content_of
from tests.support.store import source_of

SEGMENT = 20
BATCH = SEGMENT * BATCH_SEGMENTS
MAX = 1 << 40


def sealed_with(method=SseMethod.S3, segment_size=SEGMENT, key=b"k" * 32):
    encryption = Encryption(method, "", segment_size_bytes=segment_size)
    return Sealed(encryption, UnwrappedKey(key), new_hasher, StagingPool(segment_size))


def body(sealed, content, *, stated_size=None, piece_bytes=7, salt=""):
    plain = Payload(
        source_of(content, piece_bytes), Stated(size_bytes=stated_size), new_hasher, MAX
    )
    return sealed.incoming(plain, stated_size, salt).payload


async def drained(source, buffer_bytes=64):
    received = bytearray()
    view = memoryview(bytearray(buffer_bytes))
    while length := await source.read_into(view):
        received += view[:length]
    return bytes(received)


class Pieces:
    """An iterator that needs no closing."""

    def __init__(self, data, piece_bytes=11):
        self._pieces = iter(
            [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]
        )

    def __aiter__(self):
        return self

    async def __anext__(self):
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def version(sealed, parts):
    """A version of these parts (sizes and salts), or of one plaintext."""
    if isinstance(parts, int):
        parts, size = (), parts
    else:
        size = sum(size for size, _ in parts)
    return ObjectVersion(
        "bucket",
        "key",
        "null",
        "volume",
        size,
        "etag",
        0,
        Location(Tier.HOT, (1,)),
        "crc",
        parts=tuple(
            CompletedPart(number, size, None, salt) for number, (size, salt) in enumerate(parts, 1)
        ),
    )


async def opened(sealed, stored, parts, wanted):
    plan = sealed.plan(version(sealed, parts), wanted)
    pieces = plan.opened(Pieces(stored[plan.stored.start : plan.stored.stop]))
    await pieces.begin()
    return b"".join([bytes(piece) async for piece in pieces])


@given(
    size=st.integers(0, 3 * BATCH),
    is_size_known=st.booleans(),
    buffer_bytes=st.integers(1, 2 * BATCH),
    data=st.data(),
)
@settings(deadline=None)
def test_however_it_is_cut_the_same_is_stored_and_read(size, is_size_known, buffer_bytes, data):
    content = content_of(size)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))

    async def main():
        sealed = sealed_with()
        source = body(sealed, content, stated_size=size if is_size_known else None)
        stored = await drained(source, buffer_bytes)
        assert len(stored) == Segments(size, SEGMENT).sealed_size_bytes
        assert source.crc64 == f"{crt.crc64nvme(stored, 0):016x}"
        assert source.size_bytes == size
        assert stored == await drained(body(sealed, content, stated_size=size), 10 * BATCH)
        assert await opened(sealed, stored, size, Span(start, stop)) == content[start:stop]

    trio.run(main)


@pytest.mark.parametrize("edge", [-1, 0, 1])
@pytest.mark.parametrize("batches", [1, 2])
async def test_bodies_around_the_size_of_a_batch(batches, edge):
    for whole in (batches * BATCH, batches * BATCH + SEGMENT):
        content = content_of(whole + edge)
        sealed = sealed_with()
        stored = await drained(body(sealed, content))
        assert await opened(sealed, stored, len(content), Span(0, len(content))) == content


async def test_parts_are_read_as_one():
    sealed = sealed_with()
    sizes = (BATCH + 3, SEGMENT, 0, 5)
    contents = [content_of(size, seed) for seed, size in enumerate(sizes)]
    parts = [(size, f"salt{index}") for index, size in enumerate(sizes)]
    stored = b"".join(
        [
            await drained(body(sealed, content, salt=salt))
            for content, (_, salt) in zip(contents, parts, strict=True)
        ]
    )
    whole = b"".join(contents)
    for start in range(0, len(whole), 7):
        for stop in (start + 1, min(start + 40, len(whole)), len(whole)):
            assert await opened(sealed, stored, parts, Span(start, stop)) == whole[start:stop]


async def test_parts_can_not_be_exchanged():
    sealed = sealed_with()
    first, second = [
        await drained(body(sealed, content_of(SEGMENT, seed), salt=str(seed))) for seed in range(2)
    ]
    with pytest.raises(SealBroken):
        await opened(sealed, second + first, [(SEGMENT, "0"), (SEGMENT, "1")], Span(0, 1))


async def test_what_was_changed_is_noticed_before_its_first_byte():
    sealed = sealed_with()
    content = content_of(3 * BATCH)
    stored = bytearray(await drained(body(sealed, content)))
    whole = Span(0, len(content))
    for changed in (stored[:-1], stored[:BATCH]):
        with pytest.raises(SealBroken):
            await opened(sealed, changed, len(content), whole)
    stored[3] ^= 1
    with pytest.raises(SealBroken):
        await opened(sealed, bytes(stored), len(content), whole)


async def test_an_incomplete_body_never_gets_its_last_segment():
    sealed = sealed_with()
    source = body(sealed, content_of(SEGMENT), stated_size=SEGMENT + 1)
    with pytest.raises(IncompleteBody):
        await drained(source)


@pytest.mark.parametrize("method", list(SseMethod))
async def test_the_etag_is_the_md5_only_with_our_own_key(method):
    content = content_of(100)
    source = body(sealed_with(method), content)
    await drained(source)
    md5 = hashlib.md5(content).hexdigest()
    assert len(source.etag) == len(md5)
    assert (source.etag == md5) == (method is SseMethod.S3)


async def test_large_bodies_in_stripes():
    content = content_of(3 * STRIPE_SIZE_BYTES + 5)
    sealed = sealed_with(segment_size=SEGMENT_SIZE_BYTES)
    assert STRIPE_SIZE_BYTES % (SEGMENT_SIZE_BYTES + TAG_BYTES) == 0
    source = body(sealed, content, stated_size=len(content), piece_bytes=100_000)
    stored = await drained(source, STRIPE_SIZE_BYTES)
    wanted = Span(SEGMENT_SIZE_BYTES * 9 + 3, len(content) - 7)
    plan = sealed.plan(version(sealed, len(content)), wanted)
    assert plan.stored.start == 9 * (SEGMENT_SIZE_BYTES + TAG_BYTES)
    assert (
        await opened(sealed, stored, [(len(content), "")], wanted)
        == content[wanted.start : wanted.stop]
    )


async def test_buffers_are_used_again():
    pool = StagingPool(SEGMENT)
    first = pool.take(None)
    pool.give(first)
    assert pool.take(10_000) is first
    assert len(pool.take(5)) == 5
    pool.give(memoryview(bytearray(5)))
    assert len(pool.take(None)) == len(first)
