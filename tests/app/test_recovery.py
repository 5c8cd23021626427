"""Starting again after a crash at any moment, with disks missing, swapped or failing."""

import pytest

from stratum.adapters.record_codec import decode_record
from stratum.app.recovery import Recovered, read_record
from stratum.domain.errors import (
    NoSuchKey,
    NoSuchUpload,
    ShardCorrupt,
    ShardNotFound,
)
from stratum.domain.names import ObjectKey
from tests.support.store import HOT, WARM, FaultyDisk, Store, crashed_before_step, source_of
from tests.support.tiering_world import BUCKET, STRIPE_SIZE_BYTES, content_of

CONTENT = content_of(2 * STRIPE_SIZE_BYTES + 11)


async def crashes(prepare, act):
    """Stores found after a crash before every step of `act(store)`, one after the other."""
    step = 1
    while True:
        store = Store()
        await prepare(store)
        after = await crashed_before_step(store, step, lambda store=store: act(store))
        if after is None:
            assert step > 10
            return
        yield after
        step += 1


async def assert_whole(store):
    """Nothing is lost, nothing left over: as after a start and a while of reclaiming."""
    assert not store.unpublished()
    assert await store.findings() == []


# -- staged shards --------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 100, 2 * STRIPE_SIZE_BYTES + 5])
async def test_a_crash_at_any_step_of_an_overwrite(size):
    new = content_of(size)

    async def prepare(store):
        await store.put("k", b"old")

    seen = set()
    async for store in crashes(prepare, lambda store: store.put_source("k", source_of(new))):
        found = await store.get("k")  # readable at once, staged or not
        await store.settle()
        assert await store.get("k") == found
        assert found in (b"old", new)
        seen.add(found)
        await assert_whole(store)
    assert seen == {b"old", new}


async def test_a_crash_at_any_step_of_a_multipart_upload():
    seen = set()

    async def act(store):
        upload = await store.start_upload("k")
        part = await store.put_part(upload, 1, b"first")
        part = await store.put_part(upload, 1, b"second")
        await store.complete(upload, [part])

    async def prepare(store):
        await store.put("other", b"x")

    async for store in crashes(prepare, act):
        await store.settle()
        await assert_whole(store)
        try:
            seen.add(await store.get("k"))
        except NoSuchKey:
            seen.add(None)
        except NoSuchUpload:
            raise AssertionError from None
    assert seen == {None, b"second"}


async def test_a_crash_inside_recovery():
    """Recover half of it, any number of times: it ends the same."""
    store = Store()
    for disk in store.hot:
        disk.failing = {"publish"}
    await store.put("a", CONTENT)
    await store.put("b", b"b")
    step = 1
    while True:
        again = store.restarted()
        after = await crashed_before_step(again, step, again.settle)
        if after is None:
            break
        await after.settle()
        assert await after.get("a") == CONTENT
        assert await after.get("b") == b"b"
        await assert_whole(after)
        store = after.restarted()
        for disk in store.hot:  # put back what was published, for the next round
            disk._staged |= disk._published
            disk._published = {}
        step += 1
    assert step > 5


async def test_what_recovery_did_is_counted():
    store = Store()
    for disk in store.hot:
        disk.failing = {"publish"}
    await store.put("k", CONTENT)
    for disk in store.hot:
        disk.failing = set()
        disk._staged["0" * 32] = bytearray(b"torn")
    store = store.restarted()
    assert await store.settle() == Recovered(published=1, discarded=1, absent=())
    assert await store.settle() == Recovered(published=0, discarded=0, absent=())
    await assert_whole(store)


async def test_a_power_cut_that_undoes_renames():
    store = Store()
    await store.put("k", CONTENT)
    store.disks[HOT][:] = [
        FaultyDisk.of(disk.crash(undo_publishes=index % 2 == 0))
        for index, disk in enumerate(store.hot)
    ]
    store = store.restarted()
    assert await store.get("k") == CONTENT
    assert (await store.settle()).published == 1
    await assert_whole(store)


@pytest.mark.parametrize("operation", ["publish", "delete", "staged", "open"])
async def test_recovery_copes_with_a_disk_that_fails(operation):
    """A dying disk, say one that became read-only, must not keep the store from starting."""
    store = Store()
    for disk in store.hot:
        disk.failing = {"publish"}
    await store.put("k", CONTENT)
    for disk in store.hot:
        disk._staged["0" * 32] = bytearray(b"torn")
    store = store.restarted()
    store.hot[1].failing = {operation}
    await store.settle()
    assert await store.get("k") == CONTENT
    store = store.restarted()
    await store.settle()
    await assert_whole(store)
    assert await store.get("k") == CONTENT
    assert not store.damage


async def test_a_committed_shard_that_cannot_be_read_now_is_not_thrown_away():
    """The one disk on which a shard is still staged has an I/O error, at the wrong moment."""
    store = Store()
    store.hot[1].failing = {"publish"}
    volume = await store.put("k", CONTENT)
    store.hot[1].failing = {"open"}
    await store.settle()
    store.hot[1].failing = set()
    assert volume.id in store.hot[1].shards()
    assert await store.findings() == []


async def test_a_staged_shard_whose_record_rotted_is_kept():
    """Its cells may be good: the other disks say that the extent was committed."""
    store = Store()
    store.hot[1].failing = {"publish"}
    volume = await store.put("k", CONTENT)
    store.hot[1].failing = set()
    store.hot[1].data(volume.id)[-40] ^= 0xFF
    store = store.restarted()
    await store.settle()
    assert volume.id in store.hot[1].shards()
    for index in (0, 2):
        store.hot[index].fail()
    assert await store.get("k") == CONTENT


async def test_a_misplaced_shard_does_not_decide_about_others():
    """A file system gone wrong: one disk has another extent's bytes under this extent's name."""
    store = Store()
    for disk in store.hot:
        disk.failing = {"publish"}
    volume, other = await store.put("k", CONTENT), await store.put("other", CONTENT)
    store.hot[0].data(volume.id)[:] = bytes(store.hot[0].data(other.id))
    store = store.restarted()
    await store.settle()
    assert all(volume.id in disk.shards() for disk in store.hot[1:])
    assert await store.get("k") == CONTENT


async def test_a_torn_shard_of_a_committed_extent_is_removed():
    """The write went on without this disk, and the crash came before it was cleaned up."""
    store = Store()
    store.hot[1].failing = {"seal"}
    volume = await store.put("k", CONTENT)
    assert volume.location.extents[0].missing == (1,)
    store.hot[1]._staged[volume.id] = bytearray(b"torn")
    store = store.restarted()
    await store.settle()
    assert volume.id not in store.hot[1].shards()
    assert await store.get("k") == CONTENT


async def test_parts_and_completed_uploads_survive_as_staged_shards():
    store = Store()
    for disk in store.hot:
        disk.failing = {"publish"}
    first = await store.start_upload("first")
    await store.complete(first, [await store.put_part(first, 1, CONTENT)])
    second = await store.start_upload("second")
    part = await store.put_part(second, 7, b"part")
    third = await store.start_upload("third")
    await store.put_part(third, 1, b"gone")
    await store.abort(third)
    store = store.restarted()
    # The aborted part is garbage already: recovery may throw it away.
    assert (await store.settle()).published == 3
    assert await store.get("first") == CONTENT
    await store.complete(second, [part])
    assert await store.get("second") == b"part"
    await assert_whole(store)


async def test_shards_of_a_moved_volume_are_told_apart_by_their_tier(autojump_clock):
    store = Store(grace_s=3600)
    async with store.running("mover"):
        for disk in (*store.hot, *store.disks[WARM]):
            disk.failing = {"publish"}
        await store.put("k", CONTENT)
        await store.move("k", WARM)
        await store.settled()
    hot_names = store.shards(HOT)
    store = store.restarted()
    await store.settle()
    assert await store.get("k") == CONTENT
    assert not store.unpublished()
    assert not hot_names & store.shards(HOT)
    assert store.shards(WARM) == set(store.extents("k"))


# -- records --------------------------------------------------------------------------------------
async def test_a_shard_says_whose_it_is():
    store = Store()
    volume = await store.put("k", CONTENT)
    record = await read_record(store.hot[4], volume.id, decode_record)
    assert (record.bucket, record.key, record.volume_id) == (BUCKET, ObjectKey("k"), volume.id)
    assert record.size_bytes == len(CONTENT)
    assert record.checksum == volume.checksum
    with pytest.raises(ShardNotFound):
        await read_record(store.hot[4], "0" * 32, decode_record)


@pytest.mark.parametrize("damage", ["garbage", "garbage in trailer", "truncated", "empty"])
async def test_a_torn_or_foreign_file_is_no_shard(damage):
    store = Store()
    volume = await store.put("k", CONTENT)
    store.damage_shard("k", 0, damage)
    with pytest.raises(ShardCorrupt):
        await read_record(store.hot[0], volume.id, decode_record)
