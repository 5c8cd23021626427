"""Small objects lie in one of their shards as a whole: one read, and any two disks may die."""

import itertools

import pytest

from stratum.domain import stripes
from tests.support.store import Store
from tests.support.tiering_world import STRIPE_SIZE_BYTES, content_of

SIZES = [1, 4, 5, 1000, min(STRIPE_SIZE_BYTES - 1, stripes.WHOLE_COPY_MAX_BYTES)]


@pytest.fixture(autouse=True)
def clock(autojump_clock):
    """Time passes by itself."""


async def filled(size: int) -> Store:
    store = Store()
    await store.claim()
    await store.put("k", content_of(size))
    return store


def whole_of(store) -> int:
    (extent,) = store.volume("k").location.extents
    assert extent.whole is not None
    return extent.whole


@pytest.mark.parametrize("size", SIZES)
async def test_one_disk_is_enough_for_reading(size):
    store = await filled(size)
    for index, disk in enumerate(store.hot):
        if index != whole_of(store):
            disk.failing.add("open")
    assert await store.get("k") == content_of(size)
    assert await store.get_range("k", size // 2) == content_of(size)[size // 2 :]
    assert not store.damage


@pytest.mark.parametrize("pair", list(itertools.combinations(range(6), 2)), ids=str)
async def test_any_two_disks_may_be_lost(pair):
    store = await filled(1000)
    for index in pair:
        store.damage_shard("k", index, "lost")
    assert await store.get("k") == content_of(1000)
    assert bool(store.damage) == (whole_of(store) in pair)


@pytest.mark.parametrize("size", SIZES)
async def test_every_byte_of_the_whole_is_verified(size):
    store = await filled(size)
    index = whole_of(store)
    data = store.hot[index].data(store.extents("k")[0])
    begin = stripes.frames_end(size, STRIPE_SIZE_BYTES)
    before = bytes(data)
    for offset in {begin, begin + 15, begin + 16, begin + size // 2 + 16, begin + size + 15}:
        store.damage.clear()
        data[offset] ^= 1
        assert await store.get("k") == content_of(size)
        assert store.damage == ["corrupt in the whole"]
        (found,) = await store.scrub(repair=True)
        assert (found.kind, found.repaired) == ("shard-corrupt", True)
        data = store.hot[index].data(store.extents("k")[0])
        assert bytes(data) == before


async def test_the_whole_is_enough_to_repair_from():
    store = await filled(1000)
    before = [bytes(disk.data(store.extents("k")[0])) for disk in store.hot]
    lost = [index for index in range(6) if index != whole_of(store)]
    for index in lost:
        store.damage_shard("k", index, "lost" if index % 2 else "garbage")
    assert await store.get("k") == content_of(1000)
    found = await store.scrub(repair=True)
    assert [each.repaired for each in found] == [True] * 5
    assert [bytes(disk.data(store.extents("k")[0])) for disk in store.hot] == before
    assert await store.scrub() == []


async def test_the_disks_share_the_wholes():
    store = Store()
    await store.claim()
    held = set()
    for number in range(100):
        await store.put("k", content_of(10, number))
        held.add(whole_of(store))
    assert held == set(range(6))


async def test_large_and_empty_objects_have_none():
    store = Store()
    await store.claim()
    for key, size in {
        "empty": 0,
        "large": stripes.WHOLE_COPY_MAX_BYTES + STRIPE_SIZE_BYTES,
    }.items():
        volume = await store.put(key, content_of(size))
        assert volume.location.extents[0].whole is None
        assert await store.get(key) == content_of(size)


async def test_a_disk_that_fails_while_writing_does_not_count_as_holding_it():
    store = Store()
    await store.claim()
    for number in range(20):
        store.hot[2].failing = {"seal"}
        await store.put("k", content_of(100, number))
        assert store.volume("k").location.extents[0].missing == (2,)
        assert await store.get("k") == content_of(100, number)
    assert not store.damage
    store.hot[2].failing.clear()
    found = await store.scrub(repair=True)
    assert [each.repaired for each in found] == [True]
    assert await store.scrub() == []
