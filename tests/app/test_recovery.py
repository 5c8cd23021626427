"""Starting again after a crash at any moment, with disks missing, swapped or failing."""

import pytest
import trio

from stratum.adapters.record_codec import decode_record
from stratum.app.recovery import Recovered, read_record
from stratum.domain.errors import (
    DiskFailed,
    NoSuchKey,
    NoSuchUpload,
    ShardCorrupt,
    ShardNotFound,
)
from stratum.domain.names import ObjectKey
from tests.support.store import HOT, WARM, FaultyDisk, Store, source_of
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, content_of

CONTENT = content_of(2 * STRIPE_SIZE_BYTES + 11)


class CrashAtStep(trio.abc.Instrument):
    """Takes what a new process would find, before a step of the scheduler."""

    def __init__(self, store, number, scope):
        self.steps = 0
        self.after = None
        self._store, self._number, self._scope = store, number, scope

    def before_task_step(self, task):
        self.steps += 1
        if self.steps == self._number:
            self.after = self._store.restarted()
            self._scope.cancel()


async def crashed(store, step, act):
    """The store as found after a crash before a step of `act()`; None if that had ended."""
    with trio.CancelScope() as scope:
        crash = CrashAtStep(store, step, scope)
        trio.lowlevel.add_instrument(crash)
        try:
            await act()
        except DiskFailed:
            assert crash.after is not None  # from the disks before the crash
        finally:
            trio.lowlevel.remove_instrument(crash)
    return crash.after


async def crashes(prepare, act):
    """Stores found after a crash before every step of `act(store)`, one after the other."""
    step = 1
    while True:
        store = Store()
        await prepare(store)
        after = await crashed(store, step, lambda store=store: act(store))
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
        after = await crashed(again, step, again.settle)
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


# -- labels ---------------------------------------------------------------------------------------
async def test_new_disks_are_labelled_and_recognised():
    store = Store()
    assert await store.claim() == ()
    labels = [await disk.label() for disk in store.hot]
    assert len({label["disk_id"] for label in labels}) == 6
    assert [label["index"] for label in labels] == list("012345")
    head = await store.journal.head()
    store = store.restarted()
    assert await store.claim() == ()
    assert await store.journal.head() == head


async def test_swapped_disks_are_refused():
    store = Store()
    await store.claim()
    disks = store.hot
    disks[1], disks[2] = disks[2], disks[1]
    with pytest.raises(DiskFailed, match="swapped"):
        await store.claim()


async def test_a_disk_of_another_store_is_refused():
    store, other = Store(), Store()
    other.random.seed("another")
    await store.claim()
    await other.claim()
    store.hot[3] = other.hot[3]
    with pytest.raises(DiskFailed, match="hot3 is not the disk it was"):
        await store.claim()


async def test_disks_with_a_new_journal_are_refused():
    store = Store()
    await store.claim()
    other = Store()
    other.disks[HOT][:] = store.hot
    with pytest.raises(DiskFailed, match="journal is not this one"):
        await other.claim()


async def test_missing_disks_are_named_and_tolerated():
    store = Store()
    await store.claim()
    await store.put("k", CONTENT)
    store.hot[1:3] = [FaultyDisk("gone1"), FaultyDisk("gone2")]
    assert await store.claim() == ("gone1", "gone2")
    assert [await disk.label() for disk in store.hot[1:3]] == [None, None]
    assert await store.get("k") == CONTENT


@pytest.mark.parametrize("damage", ["unreadable", "not ours"])
async def test_a_known_disk_whose_label_cannot_be_read_is_missing(damage):
    store = Store()
    await store.claim()
    await store.put("k", CONTENT)
    if damage == "unreadable":
        store.hot[1].failing = {"label"}
    else:
        store.hot[1]._label = {"something": "else"}
    if damage == "unreadable":
        assert await store.claim() == ("hot1",)
    else:
        with pytest.raises(DiskFailed, match="hot1 is not the disk it was"):
            await store.claim()


async def test_a_new_disk_that_cannot_be_labelled_is_refused():
    store = Store()
    store.hot[1].failing = {"label"}
    with pytest.raises(DiskFailed):
        await store.claim()


async def test_a_crash_while_disks_are_labelled():
    store = Store()
    step = 1
    while True:
        after = await crashed(store, step, store.claim)
        if after is None:
            break
        assert await after.claim() == ()
        store = Store()
        step += 1
    assert step > 20


async def test_disks_of_an_unused_tier_may_be_made_again():
    store = Store()
    await store.claim()
    await store.put("k", b"x")
    store.disks[WARM][:] = [FaultyDisk(f"new{index}") for index in range(6)]
    assert await store.claim() == ()
    assert all([await disk.label() for disk in store.disks[WARM]])


async def test_parts_of_uploads_keep_a_tier_in_use():
    """An unmounted disk must not be made anew when it holds parts, though there is no volume."""
    store = Store()
    await store.claim()
    upload = await store.start_upload("k")
    part = await store.put_part(upload, 1, CONTENT)
    taken = store.hot[2]
    store.hot[2] = FaultyDisk("mount point")
    assert await store.claim() == ("mount point",)
    assert await store.hot[2].label() is None
    store.hot[2] = taken
    assert await store.claim() == ()
    await store.uploads.complete(ALICE, BUCKET, upload.key, upload.id, [part])
    assert await store.get("k") == CONTENT
