"""Writing copies on six disks: failures of disks and sources, cancellation, cleaning up."""

import pytest
import trio

from stratum.app.payload import Stated
from stratum.domain.errors import (
    DiskFailed,
    IncompleteBody,
    InsufficientDisks,
    InsufficientShards,
    NoSuchKey,
)
from stratum.domain.names import ExtentId, ObjectKey
from stratum.domain.volume import ShardRecord
from tests.support.store import HOT, Store, cancelled_at_step, source_of
from tests.support.tiering_world import BUCKET, STRIPE_SIZE_BYTES, content_of

STRIPE = STRIPE_SIZE_BYTES
CONTENT = content_of(3 * STRIPE + STRIPE // 2)


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
