"""A scrub finds every shard that is not as it was written, and a repair writes it again: at any
step the store is as it was or better, and nothing is left over."""

import itertools

import pytest
import trio

from stratum.app.scrubber import Place, Progress, ShardFinding
from stratum.domain.errors import Conflict
from stratum.domain.events import ShardsRebuilt
from stratum.domain.object import Target
from tests.support.store import COLD, HOT, WARM, Store, cancelled_at_step, crashed_before_step
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, content_of

CONTENT = content_of(2 * STRIPE_SIZE_BYTES + 11)
PAIRS = list(itertools.combinations(range(6), 2))
DAMAGE = ["lost", "garbage", "garbage in cells", "garbage in trailer", "truncated", "empty"]


async def filled(**contents: bytes) -> Store:
    store = Store()
    await store.claim()
    for key, content in (contents or {"k": CONTENT}).items():
        await store.put(key, content)
    return store


def image(store, tier=HOT):
    """All shards of a tier, byte by byte."""
    return [{name: bytes(disk.data(name)) for name in disk.shards()} for disk in store.disks[tier]]


def kinds(findings):
    return [(finding.kind, finding.repaired) for finding in findings]


async def assert_healthy(store):
    assert await store.scrub() == []
    assert await store.findings() == []
    assert not store.unpublished()


# -- finding --------------------------------------------------------------------------------------
async def test_a_whole_store_has_no_findings(autojump_clock):
    store = await filled(large=CONTENT, empty=b"", tiny=b"x", cold=CONTENT)
    upload = await store.start_upload("up")
    named = [await store.put_part(upload, n, content_of(5 << 20, n)) for n in (1, 2)]
    await store.complete(upload, named)
    await store.put_part(await store.start_upload("more"), 1, CONTENT)
    async with store.running("mover"):
        await store.move("cold", COLD)
        await store.move("large", WARM)
        await store.settled()
    before = image(store), image(store, WARM)
    assert await store.scrub(repair=True) == await store.scrub() == []
    assert (image(store), image(store, WARM)) == before


@pytest.mark.parametrize("index", range(6))
async def test_every_byte_of_a_shard_is_looked_at(index):
    store = await filled(k=content_of(3 * 4 * 64 + 5), empty=b"")
    for key in ("k", "empty"):
        (name,) = store.extents(key)
        disk = store.hot[index]
        # Reserved bytes are covered by the preamble's checksum.
        for offset in range(len(disk.data(name))):
            disk.corrupt(name, offset)
            (found,) = await store.scrub()
            assert found.kind == "shard-corrupt", offset
            assert found.subject == f"bucket/{key}"
            assert f"shard {index} of {name} on hot{index}" in found.detail
            disk.corrupt(name, offset)
    assert await store.scrub() == []


async def test_a_scrub_without_repair_changes_nothing():
    store = await filled()
    store.damage_shard("k", 1, "garbage")
    store.damage_shard("k", 4, "lost")
    before, head = image(store), await store.journal.head()
    assert kinds(await store.scrub()) == [("shard-corrupt", False), ("shard-missing", False)]
    assert (image(store), await store.journal.head()) == (before, head)


# -- repairing ------------------------------------------------------------------------------------
@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("size", [0, 1, 1000, len(CONTENT)])
async def test_any_two_shards_are_written_again_as_they_were(pair, size):
    for damage in itertools.product(DAMAGE, ["lost", "garbage in cells"]):
        store = await filled(k=content_of(size))
        before, head = image(store), await store.journal.head()
        for index, how in zip(pair, damage, strict=True):
            store.damage_shard("k", index, how)
        found = await store.scrub(repair=True)
        assert [finding.repaired for finding in found] == [True, True]
        assert image(store) == before
        # They were there all the time, for all the journal knows.
        assert await store.journal.head() == head
        await assert_healthy(store)


async def test_a_shard_of_another_extent_is_replaced():
    store = await filled(k=CONTENT, other=content_of(len(CONTENT), 2))
    before = image(store)
    (name,), (other,) = store.extents("k"), store.extents("other")
    store.hot[2].data(name)[:] = store.hot[2].data(other)
    store.hot[3].data(name)[:] = store.hot[4].data(name)
    found = await store.scrub(repair=True)
    assert kinds(found) == [("shard-corrupt", True)] * 2
    assert image(store) == before


async def test_damage_in_every_shard_is_repaired_while_each_stripe_has_four_good_cells():
    content = content_of(3 * STRIPE_SIZE_BYTES)
    store = await filled(k=content)
    (name,) = store.extents("k")
    before = image(store)
    for index, disk in enumerate(store.hot):
        disk.corrupt(name, 64 + (index % 3) * (16 + STRIPE_SIZE_BYTES // 4) + 20)
    assert kinds(await store.scrub(repair=True)) == [("shard-corrupt", True)] * 6
    assert image(store) == before


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("three", [(0, 1, 2), (0, 4, 5), (1, 3, 5)], ids=str)
async def test_three_are_reported_and_nothing_is_written(three, how):
    store = await filled(k=CONTENT, fine=b"fine")
    for index in three:
        store.damage_shard("k", index, how)
    before = image(store)
    found = await store.scrub(repair=True)
    if how == "garbage in trailer":  # the cells are good
        assert [finding.repaired for finding in found] == [True] * 3
        return await assert_healthy(store)
    assert not any(finding.repaired for finding in found)
    assert found[-1].kind == "extent-unreadable"
    assert "good cells, 4 are needed" in found[-1].detail
    assert [finding.kind for finding in found[:-1]] == [
        "shard-missing" if how == "lost" else "shard-corrupt"
    ] * 3
    assert image(store) == before


async def test_no_record_left_is_reported():
    store = await filled(empty=b"", k=CONTENT)
    for key in ("empty", "k"):
        for index in range(6):
            store.damage_shard(key, index, "garbage in trailer")
    found = await store.scrub(repair=True)
    assert not any(finding.repaired for finding in found)
    unreadable = [each.detail for each in found if each.kind == "extent-unreadable"]
    assert len(unreadable) == 2
    assert not store.unpublished()


async def test_parts_of_uploads_and_of_completed_ones_are_repaired():
    store = await filled()
    upload = await store.start_upload("up")
    first = await store.put_part(upload, 1, content_of(5 << 20))
    store.hot[3].fail()
    second = await store.put_part(upload, 2, b"end")
    store.hot[3].recover()
    before = image(store)
    for name in list(store.hot[5].shards()):
        store.hot[5].lose(name)
    found = await store.scrub(repair=True)
    assert kinds(found) == [("shard-missing", True)] * (1 + 2 + 1)
    after = image(store)
    for index, shards in enumerate(before):
        assert {name: after[index][name] for name in shards} == shards
    # What a part lacks is not recorded of it, but of the volume it becomes.
    assert await store.scrub(repair=True) == []
    await store.complete(upload, [first, second])
    assert kinds(await store.scrub(repair=True)) == [("shard-missing", True)]
    assert image(store)[3].keys() == image(store)[0].keys()
    await assert_healthy(store)


# -- shards that were never written ---------------------------------------------------------------
@pytest.mark.parametrize("leftover", [None, b"torn"])
async def test_a_shard_whose_disk_was_away_at_the_commit_counts_again(leftover):
    store = await filled(whole=CONTENT)
    store.hot[2].fail()
    await store.put("five", CONTENT)
    store.hot[2].recover()
    if leftover:
        store.hot[2]._staged[store.extents("five")[0]] = bytearray(leftover)
    assert (await store.status()).tiers[0].redundancy == {"6": 1, "5": 1}
    assert kinds(await store.scrub(repair=True)) == [
        ("shard-missing" if not leftover else "shard-corrupt", True)
    ]
    assert (await store.status()).tiers[0].redundancy == {"6": 2}
    event = (await store.journal.history(store.volume("five").id))[-1].event
    assert event == ShardsRebuilt(store.volume("five").id, store.extents("five")[0], (2,))
    await assert_healthy(store)
    for index in (0, 1):
        store.hot[index].fail()
    assert await store.get("five") == CONTENT


async def test_a_volume_that_was_repaired_can_be_moved_overwritten_and_reclaimed(autojump_clock):
    store = await filled()
    store.hot[0].fail()
    await store.put("k", CONTENT)
    store.hot[0].recover()
    await store.scrub(repair=True)
    async with store.running("mover", "reclaimer"):
        await store.move("k", WARM)
        await store.settled()
        await store.put("k", b"new")
        await trio.sleep(1000)
    assert store.shards(WARM) == set()
    assert store.shards(HOT) == set(store.extents("k"))


# -- disks ----------------------------------------------------------------------------------------
async def test_a_disk_that_is_away_is_one_finding_and_the_others_are_repaired():
    store = await filled(a=CONTENT, b=CONTENT)
    store.hot[1].fail("taken away")
    store.damage_shard("a", 0, "lost")
    found = await store.scrub(repair=True)
    assert kinds(found) == [("disk", False), ("shard-missing", True)]
    assert found[0].subject == "hot1"
    store.hot[1].recover()
    await assert_healthy(store)


@pytest.mark.parametrize("label", [None, {"disk_id": "another"}])
async def test_nothing_is_written_to_what_is_not_the_right_disk(label):
    store = await filled()
    store.damage_shard("k", 1, "lost")
    store.hot[1]._label = label
    assert kinds(await store.scrub(repair=True)) == [("disk", False)]
    assert store.hot[1].shards() == set()


async def test_a_disk_that_goes_during_the_scrub_is_one_finding():
    store = await filled(a=CONTENT, b=CONTENT, c=CONTENT)
    found = []
    async with store.scrubber.run(repair=True) as steps:
        store.damage_shard("a", 3, "lost")
        async for step in steps:
            if isinstance(step, ShardFinding):
                found.append(step)
                store.hot[0].fail()
    assert kinds(found)[0] == ("shard-missing", True)
    assert kinds(found)[1:].count(("disk", False)) == 1
    assert not any(finding.repaired for finding in found[1:])


@pytest.mark.parametrize("operation", ["create", "append", "seal", "replace", "delete"])
async def test_a_disk_that_fails_to_take_a_shard_does_not_hold_up_the_other(operation):
    store = await filled()
    before = image(store)
    store.damage_shard("k", 1, "garbage")
    store.damage_shard("k", 4, "lost")
    store.hot[1].failing.add(operation)
    found = await store.scrub(repair=True)
    assert kinds(found) == [("shard-corrupt", False), ("shard-missing", True)]
    assert image(store)[4] == before[4]
    assert store.hot[1].shards() == set(store.extents("k"))
    store.hot[1].failing.clear()
    assert kinds(await store.scrub(repair=True)) == [("shard-corrupt", True)]
    assert image(store) == before


async def test_one_disk_alone_is_rebuilt():
    store = await filled(a=CONTENT, b=b"x", c=b"")
    before = image(store)
    for index in (2, 3):
        for name in list(store.hot[index].shards()):
            store.hot[index].lose(name)
    found = await store.scrub(repair=True, only=Place(HOT, 2))
    assert kinds(found) == [("shard-missing", True)] * 3
    assert image(store)[2] == before[2]
    assert image(store)[3] == {}
    await store.scrub(repair=True, only=Place(WARM, 3))
    assert image(store)[3] == {}


# -- crashes and races ----------------------------------------------------------------------------
@pytest.mark.parametrize("undo_publishes", [False, True])
async def test_a_crash_at_any_step_of_a_repair(undo_publishes):
    content = content_of(STRIPE_SIZE_BYTES + 7)
    step, healed = 1, 0
    while True:
        store = await filled(k=content)
        store.hot[5].fail()
        await store.put("five", content)
        store.hot[5].recover()
        for key in ("k", "five"):
            store.damage_shard(key, 1, "garbage in cells")
        (name,) = store.extents("k")
        old = bytes(store.hot[1].data(name))
        after = await crashed_before_step(store, step, lambda s=store: s.scrub(repair=True))
        if after is None:
            break
        if undo_publishes:
            for disk in after.hot:
                disk._staged |= disk._published
                disk._published = {}
        await after.settle()
        assert after.shards() == {name, *after.extents("five")}
        assert not after.unpublished()
        for key in ("k", "five"):
            assert await after.get(key) == content
        found = await after.scrub()
        if bytes(after.hot[1].data(name)) != old:
            healed += 1
            assert all("five" in finding.subject for finding in found)
        await after.scrub(repair=True)
        await assert_healthy(after)
        assert (await after.status()).tiers[0].redundancy == {"6": 2}
        step += 3
    assert step > 100
    assert healed > 10


@pytest.mark.parametrize("what", ["delete", "overwrite", "move", "complete", "abort"])
async def test_what_happens_to_a_volume_during_a_repair_wins(autojump_clock, what):
    """At any step of it: nothing is reported that is not so, and nothing left over."""
    step = 1
    while True:
        store = Store(grace_s=0)
        await store.claim()
        await store.put("k", CONTENT)
        upload = await store.start_upload("up")
        part = await store.put_part(upload, 1, CONTENT)
        store.hot[4].fail()
        await store.put("k", CONTENT)
        part = await store.put_part(upload, 2, CONTENT)
        store.hot[4].recover()
        for disk in (store.hot[0], store.hot[4]):
            for name in list(disk.shards()):
                disk.lose(name)

        async def act(store=store, upload=upload, part=part):
            match what:
                case "delete":
                    await store.objects.delete(ALICE, Target(BUCKET, store.volume("k").key))
                case "overwrite":
                    await store.put("k", b"new")
                case "move":
                    async with store.running("mover"):
                        await store.move("k", WARM)
                        await store.settled()
                case "complete":
                    await store.complete(upload, [part])
                    await store.objects.delete(ALICE, Target(BUCKET, upload.key))
                case "abort":
                    await store.abort(upload)
            await store.reclaimer.reclaim()

        if await _scrub_with_act_at(store, step, act):
            assert step > 200
            return
        await store.reclaimer.reclaim()
        await store.scrub(repair=True)
        if what in ("complete", "abort"):
            assert store.shards() == set(store.extents("k"))
            await assert_healthy(store)
        assert [each for each in await store.findings() if each.kind == "shard-orphan"] == []
        assert not store.unpublished()
        step += 23


async def _scrub_with_act_at(store, number, act) -> bool:
    """Do something in the middle of a repair, between two steps of it; whether it had ended."""
    wake = trio.Event()

    class WakeAtStep(trio.abc.Instrument):
        steps = 0

        def before_task_step(self, task):
            self.steps += 1
            if self.steps == number:
                wake.set()

    instrument = WakeAtStep()
    async with trio.open_nursery() as nursery:
        ended = False

        async def disturb():
            await wake.wait()
            if not ended:
                await act()

        nursery.start_soon(disturb)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(instrument)
        try:
            await store.scrub(repair=True)
        finally:
            ended = not wake.is_set()
            trio.lowlevel.remove_instrument(instrument)
            wake.set()
    return ended


async def test_a_repair_that_is_cancelled_leaves_nothing_staged():
    step = 1
    while True:
        store = await filled()
        store.damage_shard("k", 1, "lost")
        if await cancelled_at_step(step, lambda s=store: s.scrub(repair=True)):
            assert step > 50
            return
        assert not store.unpublished()
        step += 1


async def test_one_repair_at_a_time():
    store = await filled()
    async with store.scrubber.run(repair=True):
        with pytest.raises(Conflict):
            await store.scrub(repair=True)
        assert await store.scrub() == []
    assert await store.scrub(repair=True) == []


# -- pace -----------------------------------------------------------------------------------------
async def test_the_rate_is_limited_and_progress_is_shown(autojump_clock):
    store = await filled(k=content_of(40 * STRIPE_SIZE_BYTES))
    shard_bytes = 40 * 6 * (16 + STRIPE_SIZE_BYTES // 4)
    store.scrubber._tools.pace._bytes_per_s = shard_bytes / 20
    begun = trio.current_time()
    async with store.scrubber.run() as steps:
        progress = [step async for step in steps if isinstance(step, Progress)]
    assert trio.current_time() - begun == pytest.approx(20, rel=0.01)
    assert 15 <= len(progress) <= 21
    assert progress[-1] == Progress(1, 1, shard_bytes)
