"""Copies on six disks: sizes, ranges, losses, failures while writing, cancellation."""

import itertools
from contextlib import aclosing

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from stratum.app.payload import Stated
from stratum.domain.errors import (
    DiskFailed,
    IncompleteBody,
    InsufficientDisks,
    InsufficientShards,
    NoSuchKey,
)
from stratum.domain.names import ExtentId, ObjectKey
from stratum.domain.ranges import Span
from stratum.domain.volume import Extent, Location, ShardRecord
from tests.support.store import HOT, WARM, Store, cancelled_at_step, source_of
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


# -- writing with failures ------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, STRIPE, 3 * STRIPE + 7])
@pytest.mark.parametrize("operation", ["create", "append", "seal"])
async def test_one_disk_may_fail_while_writing(operation, size):
    store, content = Store(), content_of(size)
    store.hot[2].failing = {operation}
    volume = await store.put("k", content)
    fails = operation != "append" or size >= STRIPE
    assert volume.location.extents[0].missing == ((2,) if fails else ())
    store.hot[2].failing = set()
    # The failed disk keeps nothing of it: a full disk must not be filled by failures.
    assert store.hot[2].shards() == (set() if fails else set(store.extents("k")))
    assert await store.get("k") == content
    assert not store.damage
    for index in (0, 5):
        store.hot[index].fail()
    if fails and size:
        with pytest.raises(InsufficientShards):
            await store.get("k")
    else:
        assert await store.get("k") == content


@pytest.mark.parametrize(
    ("operation", "size"),
    [
        (operation, size)
        for operation in ("create", "append", "seal")
        for size in (0, 1, STRIPE, 3 * STRIPE + 7)
        if operation != "append" or size >= STRIPE  # less is sealed without an append
    ],
)
@pytest.mark.parametrize("disks", [(0, 1), (2, 5), (0, 1, 2, 3, 4, 5)], ids=str)
async def test_below_the_quorum_nothing_is_written(disks, operation, size):
    store = Store()
    await store.put("k", b"before")
    kept = store.shards()
    for index in disks:
        store.hot[index].failing = {operation}
    with pytest.raises(InsufficientDisks, match=f"Only {6 - len(disks)} of 6 disks accept"):
        await store.put("k", content_of(size))
    assert await store.get("k") == b"before"
    assert store.shards() == kept
    assert not store.unpublished()


async def test_disks_that_are_gone_refuse_writes_and_nothing_is_left_when_they_return():
    store = Store()
    for index in (1, 4):
        store.hot[index].fail()
    with pytest.raises(InsufficientDisks):
        await store.put("k", CONTENT)
    with pytest.raises(NoSuchKey):
        await store.get("k")
    for index in (1, 4):
        store.hot[index].recover()
    assert store.shards() == set()
    await store.put("k", CONTENT)
    assert await store.findings() == []


async def test_a_full_disk_is_left_out_and_stays_usable():
    store = Store()
    store.hot[3].size_bytes = 10_000
    volume = await store.put("large", CONTENT)
    assert volume.location.extents[0].missing == (3,)
    assert store.hot[3]._used_bytes == 0
    small = await store.put("small", b"x")
    assert small.location.extents[0].missing == ()


async def test_a_disk_that_goes_between_stage_and_publish_is_caught_up_with_later():
    store = Store()
    store.hot[1].failing = {"publish"}
    volume = await store.put("k", CONTENT)
    assert volume.location.extents[0].missing == ()
    assert store.hot[1].unpublished() == {volume.id}
    # Staged shards are readable, so nothing is amiss meanwhile.
    for index in (0, 5):
        store.hot[index].fail()
    assert await store.get("k") == CONTENT
    assert not [reason for reason in store.damage if "taken away" not in reason]
    for index in (0, 5):
        store.hot[index].recover()
    store.hot[1].failing = set()
    assert (await store.settle()).published == 1
    assert not store.unpublished()
    assert await store.findings() == []


@pytest.mark.parametrize("size", [10, 2 * STRIPE + 10])
async def test_a_source_with_more_or_fewer_bytes_than_stated(size):
    store = Store()
    for actual in (size - 1, size + 1, size + 70_000):
        with pytest.raises(IncompleteBody):
            await store.put_source("k", source_of(content_of(actual)), Stated(size_bytes=size))
    assert store.shards() == set()


@pytest.mark.parametrize("size", [0, 10, STRIPE, 3 * STRIPE + 10])
async def test_a_source_that_fails_leaves_nothing(size):
    store = Store()

    class Broken:
        def __init__(self):
            self.source = source_of(content_of(size), 4096)

        async def read_into(self, buffer):
            return await self.source.read_into(buffer) or self.fail()

        def fail(self):
            raise IncompleteBody("gone")

    for stated in (Stated(), Stated(size_bytes=size + 1)):
        with pytest.raises(IncompleteBody, match="gone"):
            await store.put_source("k", Broken(), stated)
    assert store.shards() == set()
    assert await store.findings() == []


@pytest.mark.parametrize("size", [100, 2 * STRIPE + 100])
async def test_cancelled_anywhere_a_put_has_happened_or_not(size):
    content = content_of(size)
    step, outcomes = 1, set()
    while True:
        store = Store()
        await store.put("k", b"old")
        source = source_of(content, 5000)
        ended = await cancelled_at_step(
            step, lambda store=store, source=source: store.put_source("k", source)
        )
        outcome = await store.get("k")
        assert outcome in (b"old", content)
        outcomes.add(outcome)
        assert not store.unpublished(), f"before step {step}"
        garbage = store.journal.catalog.garbage(1 << 60, 10)
        freed = {extent.id for each in garbage for extent in each.location.extents}
        assert store.shards() == {*store.extents("k"), *freed}
        if ended:
            break
        step += 1
    assert outcomes == {b"old", content}


async def test_buffers_are_given_back_whatever_happens():
    store = Store()
    for operation in ("append", "seal"):
        for disk in store.hot:
            disk.failing = {operation}
        for _ in range(20):
            with pytest.raises(InsufficientDisks):
                await store.put("k", CONTENT)
    for disk in store.hot:
        disk.failing = set()
    for step in range(1, 60):
        source = source_of(CONTENT, 5000)
        await cancelled_at_step(step, lambda source=source: store.put_source("k", source))
    with trio.fail_after(5):
        await store.put("k", CONTENT)


async def test_many_writers_share_few_buffers():
    """Sixteen large writes with eight buffers, each needing two: no deadlock."""
    store = Store()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(16):
                source = source_of(content_of(2 * STRIPE + number), 3000)
                nursery.start_soon(store.put_source, f"large {number}", source)
                nursery.start_soon(store.put, f"small {number}", b"x" * number)
    for number in range(16):
        assert await store.get(f"large {number}") == content_of(2 * STRIPE + number)
        assert await store.get(f"small {number}") == b"x" * number
    assert await store.findings() == []


# -- throwing away and deleting -------------------------------------------------------------------
async def staged_copy(store, content=b"content"):
    copy_id = ExtentId(store.new_id())

    def describe(extent):
        return ShardRecord(
            volume_id=copy_id,
            extent_id=copy_id,
            bucket=BUCKET,
            key=ObjectKey("k"),
            version_id="null",
            size_bytes=extent.size_bytes,
            etag="",
            checksum="",
            created_at_ms=0,
            tier=HOT,
            generation=0,
            extents=(extent,),
        )

    source = source_of(content)
    return copy_id, await store.datapath.stage(HOT, copy_id, len(content), source, describe)


@pytest.mark.parametrize("failing", [0, 3])
async def test_a_failing_disk_does_not_keep_the_others_from_discarding(failing):
    store = Store()
    copy_id, _ = await staged_copy(store)
    store.hot[failing].failing = {"delete"}
    await store.datapath.discard(HOT, copy_id)
    holders = [index for index in range(6) if copy_id in store.hot[index].shards()]
    assert holders == [failing]


@pytest.mark.parametrize("failing", [0, 3])
async def test_a_failing_disk_does_not_keep_the_others_from_deleting(failing):
    store = Store()
    copy_id, location = await staged_copy(store)
    await store.datapath.publish(location)
    store.hot[failing].failing = {"delete"}
    with pytest.raises(DiskFailed):
        await store.datapath.delete(location)
    holders = [index for index in range(6) if copy_id in store.hot[index].shards()]
    assert holders == [failing]
    store.hot[failing].failing = set()
    await store.datapath.delete(location)
    assert copy_id not in store.shards()


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
