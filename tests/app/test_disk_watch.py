"""Disks that hang, are slow, full or gone: requests go on without them, and they come back."""

import pytest
import trio

from stratum.app import disk_watch, extent_reader, extents
from stratum.app.crew import Crew
from stratum.app.disk_watch import DiskWatch, WatchedDisk
from stratum.app.upkeep import PassState, Upkeep, UpkeepConfig
from stratum.domain.disk_health import Aspect, Condition
from stratum.domain.errors import InsufficientDisks, StorageFull
from stratum.domain.names import Tier
from stratum.domain.object import Target
from tests.support.hanging_disk import HangingDisk
from tests.support.store import Store
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, content_of

HOT, WARM, COLD = Tier
SMALL, LARGE = content_of(1000), content_of(5 * STRIPE_SIZE_BYTES + 7, 2)


class WatchedStore(Store):
    """Its disks hang on demand, and are watched."""

    def __init__(self, **options):
        super().__init__(**options)
        self.raw = {}
        for tier, disks in self.disks.items():
            raw = self.raw[tier] = [HangingDisk.of(disk) for disk in disks]
            for disk in raw:
                disk.hanging, disk.full, disk.slow_s, disk.calls = False, False, 0.0, []
            disks[:] = [WatchedDisk(disk) for disk in raw]
        self.hedges = []
        self.datapath._on_hedge = self.hedges.append

    @property
    def hot(self):
        return self.raw[HOT]

    def shards(self, tier=HOT):
        return set().union(*(disk.shards() for disk in self.raw[tier]))

    def damage_shard(self, key, index, how):
        watched, self.disks = self.disks, self.raw
        super().damage_shard(key, index, how)
        self.disks = watched

    def expected(self, tier, index):
        labels = self.journal.catalog.disks()
        return next((d.disk_id for d in labels if (d.tier, d.index) == (tier, index)), None)

    def watch(self):
        return DiskWatch(self.disks, Crew(), self.expected)

    def upkeep(self, saved=None, days=1.0):
        saved = [""] if saved is None else saved
        config = UpkeepConfig(days, 1e9)
        return Upkeep(
            self.journal,
            self.scrubber,
            self.now_ms,
            config,
            lambda: saved[0],
            lambda text: saved.__setitem__(0, text),
        )

    def missing(self, key):
        return self.volume(key).location.extents[0].missing


@pytest.fixture
async def store():
    store = WatchedStore()
    await store.claim()
    return store


# -- writes ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=len)
async def test_a_write_goes_on_without_a_disk_that_hangs(store, content, autojump_clock):
    store.hot[2].hanging = True
    begun_s = trio.current_time()
    await store.put("k", content)
    assert trio.current_time() - begun_s <= 2 * extents.WRITE_PATIENCE_S + 2.1
    assert store.missing("k") == (2,)
    assert await store.get("k") == content
    store.hot[2].hanging = False
    await trio.sleep(10)
    assert not store.hot[2].shards()  # what came too late was thrown away


async def test_two_that_hang_are_an_error_in_bounded_time(store, autojump_clock):
    store.hot[1].hanging = store.hot[4].hanging = True
    begun_s = trio.current_time()
    with pytest.raises(InsufficientDisks):
        await store.put("k", LARGE)
    assert trio.current_time() - begun_s <= extents.WRITE_LIMIT_S + 1
    store.hot[1].hanging = store.hot[4].hanging = False
    await trio.sleep(10)
    assert not store.shards()


async def test_a_cancelled_write_does_not_wait_for_a_disk_that_hangs(store, autojump_clock):
    for disk in store.hot:
        disk.hanging = True
    with trio.move_on_after(1) as scope:
        await store.put("k", LARGE)
    assert scope.cancelled_caught
    assert trio.current_time() < 2
    for disk in store.hot:
        disk.hanging = False
    await trio.sleep(10)
    assert not store.shards()


async def test_a_disk_that_hangs_while_publishing_does_not_hold_the_answer(store, autojump_clock):
    await store.put("k", SMALL)
    hanging = store.hot[0]
    inner = hanging.publish

    async def publish(name):
        await trio.sleep(1000)
        await inner(name)

    hanging.publish = publish
    begun_s = trio.current_time()
    await store.put("k", LARGE)
    assert trio.current_time() - begun_s < 3
    assert await store.get("k") == LARGE


# -- reads ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("hanging", [(0,), (3,), (0, 1), (2, 5)], ids=str)
async def test_reads_ask_parity_when_data_shards_are_slow(store, hanging, autojump_clock):
    await store.put("k", LARGE)
    for index in hanging:
        store.hot[index].hanging = True
    begun_s = trio.current_time()
    assert await store.get("k") == LARGE
    # Only the first stripe waits: from then on the slow ones are avoided.
    assert trio.current_time() - begun_s <= extent_reader.HEDGE_S + 0.1
    assert store.hedges == [HOT]
    assert not store.damage
    for index in hanging:
        store.hot[index].hanging = False
    await trio.sleep(1)


async def test_a_slow_disk_slows_nothing_down(store, autojump_clock):
    await store.put("k", LARGE)
    store.hot[1].slow_s = 1.0
    begun_s = trio.current_time()
    assert await store.get("k") == LARGE
    assert trio.current_time() - begun_s <= extent_reader.HEDGE_S + 0.1
    await trio.sleep(5)


# -- set aside, and back --------------------------------------------------------------------------
async def test_a_disk_that_hangs_is_set_aside_and_comes_back(store, nursery, autojump_clock):
    await store.put("k", SMALL)
    watch = store.watch()
    await nursery.start(watch.run)
    store.hot[3].hanging = True
    await trio.sleep(60)
    watched = store.disks[HOT][3]
    assert watched.health[Aspect.READING].is_set_aside
    begun_s = trio.current_time()
    assert await store.get("k") == SMALL
    assert trio.current_time() == begun_s
    state = next(each for each in watch.conditions() if each.path == "hot3")
    assert state.condition is Condition.FAILED
    assert "no answer" in state.reason
    store.hot[3].hanging = False
    await trio.sleep(300)
    assert not watched.health[Aspect.READING].is_set_aside
    assert await store.get("k") == SMALL


async def test_a_disk_that_errs_has_failed_and_is_used_when_it_is_back(
    store, nursery, autojump_clock
):
    watch = store.watch()
    await nursery.start(watch.run)
    store.hot[5].failing = {"create", "append", "seal"}
    for number in range(20):
        await store.put(f"k{number}", SMALL)
    assert all(store.missing(f"k{number}") == (5,) for number in range(20))
    state = next(each for each in watch.conditions() if each.path == "hot5")
    assert (state.condition, state.reason) == (Condition.FAILED, "writing: hot5: create failed")
    store.hot[5].failing = set()
    await store.put("later", SMALL)
    assert store.missing("later") == ()


async def test_a_disk_whose_writes_hang_is_probed_until_they_do_not(store, nursery, autojump_clock):
    await nursery.start(store.watch().run)
    watched = store.disks[HOT][5]
    watched.health[Aspect.WRITING].set_aside("no answer", trio.current_time())
    store.hot[5].failing = {"create"}
    await trio.sleep(100)
    assert watched.health[Aspect.WRITING].is_set_aside
    await store.put("k", SMALL)
    assert store.missing("k") == (5,)
    store.hot[5].failing = set()
    await trio.sleep(100)
    await store.put("later", SMALL)
    assert store.missing("later") == ()
    assert not [name for name in store.hot[5].shards() if name.startswith("probe")]


async def test_a_disk_that_only_reads_is_read(store, nursery, autojump_clock):
    await store.put("k", LARGE)
    store.hot[0].failing = {"create", "append", "seal", "publish"}
    for number in range(10):
        await store.put(f"k{number}", SMALL)
    watched = store.disks[HOT][0]
    assert watched.health[Aspect.WRITING].condition is Condition.FAILED
    assert watched.health[Aspect.READING].condition is Condition.HEALTHY
    await store.get("k")
    assert "read" in store.hot[0].calls


async def test_when_all_disks_are_slow_none_is_set_aside_for_it(store, nursery, autojump_clock):
    await nursery.start(store.watch().run)
    for disk in store.hot:
        disk.slow_s = disk_watch.SLOW_S + 1
    for number in range(10):
        await store.put(f"k{number}", SMALL)
    for aspect, spare in disk_watch.SPARE.items():
        assert sum(each.health[aspect].is_set_aside for each in store.disks[HOT]) <= spare


async def test_another_disk_in_its_place_is_not_let_in(store, nursery, autojump_clock):
    await nursery.start(store.watch().run)
    store.hot[0]._label = {"disk_id": "another"}
    await trio.sleep(600)
    watched = store.disks[HOT][0]
    assert all(health.is_set_aside for health in watched.health.values())
    assert "another disk" in watched.reason
    await store.put("k", SMALL)
    assert store.missing("k") == (0,)


# -- full -----------------------------------------------------------------------------------------
async def test_one_full_disk_is_done_without(store, autojump_clock):
    store.hot[1].full = True
    for number in range(10):
        await store.put(f"k{number}", SMALL)
        assert store.missing(f"k{number}") == (1,)
    assert store.disks[HOT][1].condition is Condition.HEALTHY
    assert not store.hot[1].shards()


async def test_full_disks_refuse_writes_and_serve_reads_and_deletes(store, autojump_clock):
    await store.put("k", LARGE)
    await store.put("other", SMALL)
    before = store.shards()
    for disk in store.hot:
        disk.full = True
    with pytest.raises(StorageFull):
        await store.put("more", LARGE)
    assert store.shards() == before
    assert await store.get("k") == LARGE
    await store.objects.delete(ALICE, Target(BUCKET, "k"))
    await trio.sleep(100)
    await store.reclaimer.reclaim()
    assert store.shards() == {*store.extents("other")}
    for disk in store.hot:
        disk.full = False
    await store.put("more", LARGE)


async def test_space_is_kept_in_reserve(store, nursery, autojump_clock):
    await nursery.start(store.watch().run)
    for disk in (*store.raw[HOT], *store.raw[WARM]):
        disk.size_bytes = disk_watch.RESERVE_BYTES - 1
    await trio.sleep(2 * disk_watch.SPACE_INTERVAL_S)
    with pytest.raises(StorageFull):
        await store.put("k", SMALL)
    assert "create" not in store.hot[0].calls
    for disk in (*store.raw[HOT], *store.raw[WARM]):
        disk.size_bytes = 2 * disk_watch.RESERVE_BYTES
    await trio.sleep(2 * disk_watch.SPACE_INTERVAL_S)
    await store.put("k", SMALL)


async def test_a_quick_writer_does_not_get_at_the_reserve(store, nursery, autojump_clock):
    """Between two looks at the free space more than all of it could be written; and disks that
    share a device share its space."""
    for disk in (*store.raw[HOT], *store.raw[WARM]):
        disk.size_bytes = disk_watch.RESERVE_BYTES + 10 * 6 * 1000
    await nursery.start(store.watch().run)
    for number in range(100):
        try:
            await store.put(f"k{number}", content_of(2000))
        except StorageFull:
            break
    assert 3 <= number <= 15


async def test_filled_emptied_and_filled_again_it_comes_back_to_its_baseline(autojump_clock):
    store = WatchedStore(grace_s=1)
    await store.claim()
    await store.make_bucket()
    used = []
    for _ in range(10):
        for number in range(20):
            await store.put(f"k{number}", content_of(3000, number))
        for number in range(20):
            await store.objects.delete(ALICE, Target(BUCKET, f"k{number}"))
        await trio.sleep(10)
        while await store.reclaimer.reclaim():
            pass
        used.append([disk._used_bytes for disk in store.hot])
        assert not store.shards()
    assert used == [[0] * 6] * 10


# -- mending by itself ----------------------------------------------------------------------------
async def test_shards_that_were_missing_are_completed(store, nursery, autojump_clock):
    store.hot[2].failing = {"create", "append", "seal"}
    for number in range(5):
        await store.put(f"k{number}", LARGE)
    upkeep = store.upkeep(days=0)
    await nursery.start(upkeep.run)
    await trio.sleep(30)
    assert store.missing("k0") == (2,)
    store.hot[2].failing = set()
    store.disks[HOT][2].health[Aspect.WRITING].condition = Condition.SUSPECT
    await trio.sleep(300)
    assert [store.missing(f"k{number}") for number in range(5)] == [()] * 5
    assert upkeep.state.completed == 5
    assert await store.findings() == []


async def test_all_volumes_are_read_in_turn_and_mended(store, autojump_clock):
    for number in range(6):
        await store.put(f"k{number}", LARGE)
        await trio.sleep(1)
    store.damage_shard("k1", 0, "garbage in cells")
    store.damage_shard("k4", 3, "lost")
    saved = [""]
    hour_s, days = 3600, 6 / 24
    with trio.move_on_after(3.5 * hour_s):
        await store.upkeep(saved, days).run()
    # A new process goes on where the last one was.
    again = store.upkeep(saved, days)
    assert (again.state.volumes, again.state.findings, again.state.repaired) == (4, 1, 1)
    with trio.move_on_after(4 * hour_s):
        await again.run()
    assert (again.state.last_findings, again.state.last_unrepaired) == (2, 0)
    assert again.state.last_ended_at_ms
    assert await store.findings() == []
    assert await store.scrub() == []


async def test_what_cannot_be_repaired_is_reported(store, autojump_clock):
    await store.put("k", LARGE)
    for index in range(3):
        store.damage_shard("k", index, "lost")
    upkeep = store.upkeep()
    for _ in range(2):
        await upkeep.look_at_next()
    assert upkeep.state.last_unrepaired == upkeep.state.last_findings == 4


async def test_a_state_that_cannot_be_read_begins_anew(store):
    for text in ("", "{", "[]", '{"other": 1}', '{"after": 3, "volumes": "x"}'):
        assert store.upkeep([text]).state == PassState()
