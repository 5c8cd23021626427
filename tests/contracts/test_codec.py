"""What every codec must do, with and without worker processes."""

import itertools
from collections import Counter

import pytest
import trio
import trio.testing

from stratum.adapters.reed_solomon import ReedSolomon, reedsolo_parity
from stratum.adapters.stripe_codec import SMALL_BUFFER_BYTES, InlineCodec
from stratum.adapters.workers import open_codec
from stratum.domain.errors import InsufficientShards, InvalidConfig
from tests.support.stripes import (
    EXTENT,
    ORACLE,
    STRIPE_SIZE_BYTES,
    columns,
    content,
    decoded,
    encoded,
    started,
    without,
)

OTHER_EXTENT = "0192f0a1b2c3d4e5f60718293a4b5c6e"
LENGTHS = (0, 1, 2, 3, 4, 5, 7, 63, 64, 65, 1000, 4093, 8191, 8192)
LOST_PAIRS = tuple(itertools.combinations(range(6), 2))


@pytest.fixture(params=["inline", "parallel"])
async def codec(request):
    workers = {"inline": 0, "parallel": 1}[request.param]
    async with open_codec(
        workers=workers, buffers=2, stripe_size_bytes=STRIPE_SIZE_BYTES, offload_min_bytes=0
    ) as codec:
        if workers:
            await started(codec)
        yield codec
        assert bool(codec.counts.offloaded) is bool(workers), "it ran where it says it ran"


# -- the code -----------------------------------------------------------------------------------
async def test_every_column_is_a_codeword_of_reedsolo(codec):
    for length in LENGTHS:
        data = content(length)
        frames = await encoded(codec, data)
        assert {len(frame) for frame in frames} == {16 + -(-length // 4)}
        assert b"".join(frame[16:] for frame in frames[:4]) == data + bytes(-length % 4)
        for column in columns(frames):
            assert column == bytes(ORACLE.encode(column[:4]))


async def test_any_two_cells_can_be_missing(codec):
    for length in (1, 7, 1000, 4093, STRIPE_SIZE_BYTES):
        data = content(length, seed=length)
        frames = await encoded(codec, data)
        for lost in LOST_PAIRS:
            assert await decoded(codec, without(frames, lost), length) == (data, frozenset())


async def test_any_one_cell_can_be_missing(codec):
    data = content(4093)
    frames = await encoded(codec, data)
    for lost in range(6):
        assert await decoded(codec, without(frames, [lost]), 4093) == (data, frozenset())


async def test_four_data_cells_are_returned_as_they_were_read(codec):
    frames = await encoded(codec, content(4093))
    pieces, _ = await codec.decode(EXTENT, 0, 4093, without(frames, (4, 5)))
    assert [piece.obj for piece in pieces] == frames[:4]


async def test_three_missing_cells_are_too_many(codec):
    frames = await encoded(codec, content(100))
    for lost in itertools.combinations(range(6), 3):
        with pytest.raises(InsufficientShards, match="3 good cells"):
            await codec.decode(EXTENT, 0, 100, without(frames, lost))


# -- corruption ---------------------------------------------------------------------------------
@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("byte", [0, 15, 16, -1])
async def test_a_corrupt_cell_is_noticed_and_rebuilt(index, byte):
    codec = InlineCodec(STRIPE_SIZE_BYTES)
    data = content(5000)
    cells = await encoded(codec, data)
    changed = bytearray(cells[index])
    changed[byte] ^= 1
    cells[index] = changed
    assert await decoded(codec, cells, 5000) == (data, frozenset([index]))


async def test_a_corrupt_and_a_missing_cell(codec):
    data = content(5000)
    cells = await encoded(codec, data)
    cells[1] = cells[1][:-1] + bytes([cells[1][-1] ^ 0x80])
    assert await decoded(codec, without(cells, [3]), 5000) == (data, frozenset([1]))


@pytest.mark.parametrize("read", [b"", bytes(16), bytes(100), bytes(16 + 1249), bytes(16 + 1250)])
async def test_a_cell_of_another_length_or_of_zeros_is_corrupt(read):
    codec = InlineCodec(STRIPE_SIZE_BYTES)
    data = content(5000)
    cells = await encoded(codec, data)
    cells[2] = read
    assert await decoded(codec, cells, 5000) == (data, frozenset([2]))


async def test_three_corrupt_cells_are_unavailable_not_wrong(codec):
    cells = await encoded(codec, content(5000))
    for index in (0, 2, 5):
        cells[index] = bytes(len(cells[index]))
    with pytest.raises(InsufficientShards, match=r"corrupt: \[0, 2, 5\]"):
        await codec.decode(EXTENT, 0, 5000, cells)


async def test_verifying_names_what_is_corrupt_however_much_it_is(codec):
    frames = await encoded(codec, content(100))
    cells = [None, frames[1][:-1], b"", bytes(len(frames[3])), frames[5], frames[5]]
    assert await codec.verify(EXTENT, 0, 100, cells) == {1, 2, 3, 4}
    assert await codec.verify(EXTENT, 0, 100, frames) == frozenset()


async def test_swapped_cells_are_both_corrupt(codec):
    data = content(5000)
    cells = await encoded(codec, data)
    cells[0], cells[4] = cells[4], cells[0]
    assert await decoded(codec, cells, 5000) == (data, frozenset([0, 4]))


@pytest.mark.parametrize(("stripe", "extent"), [(0, EXTENT), (7, OTHER_EXTENT)])
async def test_good_cells_of_another_place_are_corrupt(codec, stripe, extent):
    cells = await encoded(codec, content(5000), stripe=7)
    with pytest.raises(InsufficientShards):
        await codec.decode(extent, stripe, 5000, cells)


async def test_equal_cells_have_different_checksums():
    cells = await encoded(InlineCodec(STRIPE_SIZE_BYTES), bytes(5000))
    assert Counter(cell[16:] for cell in cells) == {bytes(1250): 6}
    assert len({cell[:16] for cell in cells}) == 6


# -- buffers ------------------------------------------------------------------------------------
async def test_what_was_in_the_buffer_before_does_not_come_out(codec):
    await encoded(codec, b"\xff" * STRIPE_SIZE_BYTES)
    frames = await encoded(codec, b"\x01" * 5)
    assert [frame[16:] for frame in frames[:4]] == [b"\x01\x01", b"\x01\x01", b"\x01\0", b"\0\0"]


async def test_cells_are_views_of_the_buffer(codec):
    async with codec.stripe_buffer() as buffer:
        assert len(buffer.data) == STRIPE_SIZE_BYTES
        pairs = await codec.encode(buffer, EXTENT, 0, STRIPE_SIZE_BYTES)
        assert all(part.obj is buffer.data.obj for pair in pairs for part in pair)


async def test_who_wants_a_buffer_too_many_waits_its_turn():
    codec = InlineCodec(STRIPE_SIZE_BYTES, buffers=2)
    served = []

    async def serve(name, release):
        async with codec.stripe_buffer() as buffer:
            served.append((name, buffer))
            await release.wait()

    first, others = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        for name, release in (("a", first), ("b", others), ("c", others), ("d", others)):
            nursery.start_soon(serve, name, release)
            await trio.testing.wait_all_tasks_blocked()
        assert [name for name, _ in served] == ["a", "b"]
        assert codec.waiting == 2
        first.set()
        await trio.testing.wait_all_tasks_blocked()
        assert [name for name, _ in served] == ["a", "b", "c"]
        others.set()
    assert [name for name, _ in served] == ["a", "b", "c", "d"]
    assert len({id(buffer) for _, buffer in served}) == 2


async def test_short_stripes_do_not_wait_for_large_buffers():
    codec = InlineCodec(buffers=1, small_buffers=1)
    async with codec.stripe_buffer(), codec.stripe_buffer(4096) as small:
        assert len(small.data) == SMALL_BUFFER_BYTES
        with pytest.raises(trio.TooSlowError), trio.fail_after(0):
            async with codec.stripe_buffer(SMALL_BUFFER_BYTES + 1):
                pass
        small.data[:4096] = content(4096)
        pairs = await codec.encode(small, EXTENT, 0, 4096)
        assert b"".join(bytes(cell) for _, cell in pairs[:4]) == content(4096)


async def test_a_buffer_comes_back_when_its_user_fails_or_is_cancelled(codec):
    for _ in range(5):
        with pytest.raises(OSError):
            async with codec.stripe_buffer():
                raise OSError
        with trio.CancelScope() as scope:
            async with codec.stripe_buffer() as buffer:
                scope.cancel()
                await codec.encode(buffer, EXTENT, 0, 1)
        assert scope.cancelled_caught
    assert await decoded(codec, await encoded(codec, b"1"), 1) == (b"1", frozenset())


async def test_a_stripe_size_that_cannot_be_cut_is_refused():
    for workers in (0, 1):
        with pytest.raises(InvalidConfig):
            async with open_codec(workers=workers, stripe_size_bytes=1000):
                pass


# -- the kernel ---------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 257])
def test_cells_larger_than_a_block(length):
    kernel = ReedSolomon(block_bytes=64)
    stripe, parity = content(4 * length), bytearray(2 * length)
    kernel.encode(stripe, parity)
    assert parity == reedsolo_parity(stripe)
    coded = stripe + parity
    cells = [coded[i * length : (i + 1) * length] for i in range(6)]
    for lost in [*LOST_PAIRS, *((i,) for i in range(6))]:
        assert list(map(bytes, kernel.reconstruct(without(cells, lost), parity=True))) == cells


def test_what_is_rebuilt_is_what_reedsolo_decodes():
    kernel = ReedSolomon()
    words = [bytes(ORACLE.encode(content(4, seed=n))) for n in range(20)]
    cells = [bytes(cell) for cell in zip(*words, strict=True)]
    for lost in LOST_PAIRS:
        by_oracle = [
            bytes(ORACLE.decode(word, erase_pos=list(lost), only_erasures=True)[1])
            for word in (
                bytes(0 if i in lost else octet for i, octet in enumerate(word)) for word in words
            )
        ]
        rebuilt = kernel.reconstruct(without(cells, lost), parity=True)
        assert list(map(bytes, zip(*rebuilt, strict=True))) == by_oracle


def test_cells_of_different_lengths_are_refused():
    with pytest.raises(ValueError):
        ReedSolomon().reconstruct([b"12", b"12", b"12", None, b"1", None])
    with pytest.raises(ValueError):
        ReedSolomon().encode(b"12345", bytearray(2))
