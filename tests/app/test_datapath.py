"""Reading copies on six disks: sizes, ranges, losses, readers beside other tasks."""

import itertools
from contextlib import aclosing

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from stratum.app.payload import Stated
from stratum.domain.errors import (
    InsufficientDisks,
    InsufficientShards,
)
from stratum.domain.names import ExtentId, ObjectKey
from stratum.domain.ranges import Span
from stratum.domain.volume import Extent, Location
from tests.support.store import WARM, Store, cancelled_at_step, source_of
from tests.support.tiering_world import BUCKET, STRIPE_SIZE_BYTES, content_of

STRIPE = STRIPE_SIZE_BYTES
SIZES = [
    0,
    1,
    3,
    4,
    5,
    STRIPE // 4 - 1,
    STRIPE // 4,
    STRIPE // 4 + 1,
    STRIPE - 1,
    STRIPE,
    STRIPE + 1,
    2 * STRIPE,
    3 * STRIPE + STRIPE // 2,
]
CONTENT = content_of(3 * STRIPE + STRIPE // 2)
PAIRS = list(itertools.combinations(range(6), 2))
DAMAGE = ["lost", "garbage", "garbage in cells", "truncated", "empty"]


async def read(store, key, span):
    volume = store.volume(key)
    async with store.datapath.read(volume.location, span) as pieces:
        return b"".join([bytes(piece) async for piece in pieces])


# -- sizes and ranges -----------------------------------------------------------------------------
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
async def test_every_size_comes_back(size, known):
    store, content = Store(), content_of(size)
    stated = Stated(size_bytes=size if known else None)
    version = await store.put_source("k", source_of(content, 1000), stated)
    assert version.size_bytes == size
    assert await store.get("k") == content
    edges = {0, 1, size // 2, size - 1, size, STRIPE - 1, STRIPE, STRIPE + 1}
    for start, stop in itertools.combinations(sorted(e for e in edges if 0 <= e <= size), 2):
        assert await read(store, "k", Span(start, stop)) == content[start:stop]
    assert not store.damage
    assert not store.unpublished()


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_range_with_any_two_disks_lost(data):
    size = data.draw(st.integers(1, 3 * STRIPE + 5), label="size")
    start = data.draw(st.integers(0, size - 1), label="start")
    stop = data.draw(st.integers(start, size), label="stop")
    lost = data.draw(st.sets(st.integers(0, 5), max_size=2), label="lost")

    async def main():
        store, content = Store(), content_of(size)
        await store.put("k", content)
        for index in lost:
            store.hot[index].fail()
        assert await read(store, "k", Span(start, stop)) == content[start:stop]

    trio.run(main)


# -- losses ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_any_two_shards_may_be_damaged(pair, how):
    store = Store()
    await store.put("k", CONTENT)
    for index in pair:
        store.damage_shard("k", index, how)
    assert await store.get("k") == CONTENT
    # Parity that is not needed is not read. What is found to be damaged is reported once a read.
    assert len(store.damage) == len(pair) or (
        len(store.damage) < len(pair) and any(index >= 4 for index in pair)
    )
    assert bool(store.damage) == any(index < 4 for index in pair)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_any_two_disks_may_be_gone_and_come_back(pair):
    store = Store()
    await store.put("k", CONTENT)
    for index in pair:
        store.hot[index].fail()
    assert await store.get("k") == CONTENT
    for index in pair:
        store.hot[index].recover()
    store.damage.clear()
    assert await store.get("k") == CONTENT
    assert not store.damage


async def test_garbage_in_the_trailer_does_not_concern_readers():
    store = Store()
    await store.put("k", CONTENT)
    for index in range(6):
        store.damage_shard("k", index, "garbage in trailer")
    assert await store.get("k") == CONTENT
    assert not store.damage


@pytest.mark.parametrize("how", ["lost", "garbage", "empty"])
@pytest.mark.parametrize("lost", [(0, 1, 2), (1, 3, 5), (3, 4, 5), (0, 1, 2, 3, 4, 5)], ids=str)
async def test_with_three_lost_no_byte_is_sent(lost, how):
    store = Store()
    await store.put("k", CONTENT)
    kept = {index: dict(store.hot[index]._published) for index in lost}
    kept = {i: {n: bytes(d) for n, d in shards.items()} for i, shards in kept.items()}
    for index in lost:
        store.damage_shard("k", index, how)
    with pytest.raises(InsufficientShards):
        async with store.objects.open(BUCKET, ObjectKey("k")):
            raise AssertionError("it was opened")
    # Put back: as if nothing had been.
    for index, shards in kept.items():
        for name, data in shards.items():
            store.hot[index].add(name, data)
    store.damage.clear()
    assert await store.get("k") == CONTENT
    assert not store.damage


async def test_different_shards_damaged_in_different_stripes():
    """Three shards are damaged, and never more than two in the same stripe."""
    store = Store()
    await store.put("k", CONTENT)
    (name,) = store.extents("k")
    frame = 16 + STRIPE // 4
    for stripe, index in [(0, 0), (0, 1), (1, 2), (1, 0), (2, 1), (2, 3)]:
        store.hot[index].corrupt(name, 64 + stripe * frame + 16 + 5)
    assert await store.get("k") == CONTENT
    assert len(store.damage) == 4


async def test_damage_in_the_middle_ends_the_stream_with_an_error():
    store = Store()
    await store.put("k", CONTENT)
    (name,) = store.extents("k")
    for index in range(3):
        del store.hot[index].data(name)[64 + 16 + STRIPE // 4 :]
    received = []

    async def receive():
        async with store.objects.open(BUCKET, ObjectKey("k")) as download:
            async for piece in download.pieces:
                received.append(bytes(piece))  # noqa: PERF401  (what came before the error counts)

    with pytest.raises(InsufficientShards):
        await receive()
    assert b"".join(received) == CONTENT[:STRIPE]
    assert not store.datapath.in_use(store.volume("k").location)


async def test_shards_of_another_object_or_index_count_as_corrupt():
    store = Store()
    await store.put("k", CONTENT)
    await store.put("other", content_of(len(CONTENT), seed=2))
    (name,), (other,) = store.extents("k"), store.extents("other")
    disks = store.hot
    disks[0].data(name)[:] = bytes(disks[0].data(other))
    disks[1].data(name)[:] = bytes(disks[2].data(name))
    assert await store.get("k") == CONTENT
    assert store.damage == ["corrupt in stripe 0"] * 2
    disks[2].data(name)[:] = bytes(disks[3].data(name))
    with pytest.raises(InsufficientShards):
        await store.get("k")


async def test_stripes_swapped_within_a_shard_are_noticed():
    store = Store()
    await store.put("k", CONTENT)
    (name,) = store.extents("k")
    frame = 16 + STRIPE // 4
    data = store.hot[1].data(name)
    first, second = data[64 : 64 + frame], data[64 + frame : 64 + 2 * frame]
    data[64 : 64 + 2 * frame] = second + first
    assert await store.get("k") == CONTENT
    assert store.damage == ["corrupt in stripe 0"]


async def test_a_disk_that_fails_while_it_is_read():
    store = Store()
    await store.put("k", CONTENT)
    async with store.objects.open(BUCKET, ObjectKey("k")) as download:
        received = bytes(await anext(download.pieces))
        store.hot[0].fail()
        store.hot[3].fail()
        async for piece in download.pieces:
            received += bytes(piece)
    assert received == CONTENT


# -- reading and other tasks ----------------------------------------------------------------------
async def test_a_reader_may_leave_early():
    """Leaving a half-read stream leaves no generator behind for the garbage collector to find:
    that would be a ResourceWarning, and warnings are errors here."""
    store = Store()
    await store.put("k", CONTENT)
    async with store.objects.open(BUCKET, ObjectKey("k")) as download:
        assert await anext(download.pieces)
        assert store.datapath.in_use(download.version.location)
    del download
    assert not store.datapath.in_use(store.volume("k").location)


async def test_a_cancelled_reader_lets_go():
    store = Store()
    await store.put("k", CONTENT)

    async def act():
        await store.get("k")

    step = 1
    while not await cancelled_at_step(step, act):
        assert not store.datapath.in_use(store.volume("k").location)
        step += 1
    assert step > 10


async def test_reading_goes_on_through_an_overwrite_and_reclaim(autojump_clock):
    store = Store(grace_s=0)
    await store.put("k", CONTENT)
    before = store.extents("k")
    async with store.running("reclaimer"):
        async with store.objects.open(BUCKET, ObjectKey("k")) as download:
            received = bytes(await anext(download.pieces))
            await store.put("k", b"new")
            await trio.sleep(30)
            received += b"".join([bytes(piece) async for piece in download.pieces])
        assert received == CONTENT
        assert await store.get("k") == b"new"
        await trio.sleep(30)
    assert store.shards() == set(store.extents("k"))
    assert before != store.extents("k")


async def test_a_tier_that_is_not_configured_is_unavailable_not_a_crash():
    store = Store(cold=False)
    del store.disks[WARM]
    location = Location(WARM, (Extent(ExtentId("0" * 32), 1, STRIPE),))
    with pytest.raises(InsufficientDisks, match="warm tier is not configured"):
        await store.datapath.read(location, Span(0, 1)).__aenter__()


async def test_pieces_of_an_unfinished_read_are_closed_with_it():
    store = Store()
    await store.put("k", CONTENT)
    location = store.volume("k").location
    async with store.datapath.read(location, Span(0, len(CONTENT))) as pieces, aclosing(pieces):
        await anext(pieces)
