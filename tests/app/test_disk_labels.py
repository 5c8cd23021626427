"""Disks are known by their labels: new ones, missing ones, swapped ones, those of others."""

import pytest

from stratum.domain.errors import (
    DiskFailed,
)
from tests.support.store import HOT, WARM, FaultyDisk, Store, crashed_before_step
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, content_of

CONTENT = content_of(2 * STRIPE_SIZE_BYTES + 11)


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
        after = await crashed_before_step(store, step, store.claim)
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
