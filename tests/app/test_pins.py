"""Pinned objects under a virtual clock: they go where they are pinned, and nowhere else."""

import pytest

from stratum.app import pins as pins_module
from stratum.app.explain import render_text
from stratum.app.rederive import rederive
from stratum.domain.break_even import BreakEven
from stratum.domain.errors import DiskFailed, MoveRefused, NoSuchPin
from stratum.domain.events import BucketDeleted, PricesAdopted, TierDecided
from stratum.domain.names import Tier
from tests.support.tiering_world import BUCKET, World, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(100_000)
LONG_DAYS = 2000
"""Far longer than anything unread stays in hot or warm."""


async def test_pinned_to_hot_an_object_never_sinks(autojump_clock):
    world = World()
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.put("b/k", CONTENT)
        await world.pin("a/", HOT)
        await world.days(LONG_DAYS)
        assert (world.tier("a/k"), world.tier("b/k")) == (HOT, COLD)
    assert await world.topics("a/k") == ["VersionCommitted"]


async def test_pinned_to_warm_it_goes_there_and_stays_however_often_it_is_read(autojump_clock):
    world = World(day_s=100.0)
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.days(1)
        await world.pin("a/", WARM, "the disks are full")
        await world.days(0.2)
        assert world.tier("a/k") is WARM
        await world.read_in_sessions("a/k", sessions=20, apart_days=0.5)
        await world.days(LONG_DAYS)
        assert world.tier("a/k") is WARM
        assert await world.get("a/k") == CONTENT
    assert await world.topics("a/k") == ["VersionCommitted", "TierDecided", "VolumeMoved"]
    (decided,) = [
        record
        for record in await world.journal.history(world.volume("a/k").id)
        if isinstance(record.event, TierDecided)
    ]
    assert decided.by == "policy"
    assert "pinned to warm by alice since 2023-" in decided.event.decision.sentence
    assert "the disks are full" in decided.event.decision.sentence


async def test_new_objects_and_overwrites_obey_with_their_first_timer(autojump_clock):
    world = World(day_s=100.0)
    async with world.running():
        await world.pin("a/", WARM)
        written = await world.put("a/k", CONTENT)
        assert written.tier is HOT
        await world.days(0.2)
        assert world.tier("a/k") is WARM
        await world.put("a/k", content_of(5000))
        assert world.tier("a/k") is HOT
        await world.days(0.2)
        assert world.tier("a/k") is WARM


async def test_a_pin_brings_up_what_has_no_timer_because_only_a_read_would(autojump_clock):
    world = World()
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.days(LONG_DAYS)
        assert world.tier("a/k") is COLD
        await world.pin("a/k", HOT)
        await world.days(1)
        assert world.tier("a/k") is HOT


async def test_without_its_pin_an_object_is_the_policys_again(autojump_clock):
    world = World()
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.pin("a/", HOT)
        await world.days(LONG_DAYS)
        assert world.tier("a/k") is HOT
        await world.unpin("a/")
        await world.days(3)
        assert world.tier("a/k") is not HOT
        with pytest.raises(NoSuchPin):
            await world.unpin("a/")


async def test_the_longest_prefix_wins_and_the_next_one_follows_it(autojump_clock):
    world = World()
    async with world.running():
        for key in ("a/b/k", "a/k", "k"):
            await world.put(key, CONTENT)
        await world.pin("", COLD)
        await world.pin("a/", WARM)
        await world.pin("a/b/", HOT)
        await world.days(5)
        assert [world.tier(key) for key in ("a/b/k", "a/k", "k")] == [HOT, WARM, COLD]
        await world.unpin("a/b/")
        await world.days(1)
        assert world.tier("a/b/k") is WARM
        await world.pin("a/", HOT)
        await world.days(1)
        assert [world.tier(key) for key in ("a/b/k", "a/k", "k")] == [HOT, HOT, COLD]


async def test_a_move_by_hand_against_a_pin_is_refused_and_one_with_it_is_not(autojump_clock):
    world = World(enabled=False)
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.pin("a/", WARM)
        with pytest.raises(MoveRefused, match=r"pinned to warm by alice since .*s3://bucket/a/"):
            await world.move("a/k", COLD)
        await world.move("a/k", WARM)
        await world.settled()
        assert world.tier("a/k") is WARM


async def test_a_pin_set_while_a_move_is_under_way_brings_the_object_back(autojump_clock):
    world = World(day_s=100.0)
    world.remote.latency_s = 5
    async with world.running():
        await world.put("k", CONTENT)
        await world.move("k", COLD)
        await world.pin("", HOT)
        await world.settled()
        assert world.tier("k") is COLD
        await world.days(5)
        assert world.tier("k") is HOT


async def test_many_keys_are_told_page_by_page(autojump_clock, monkeypatch):
    monkeypatch.setattr(pins_module, "PAGE_KEYS", 3)
    world = World()
    keys = [f"a/{number:02}" for number in range(10)]
    async with world.running():
        for key in [*keys, "b"]:
            await world.put(key, content_of(100))
        await world.pin("a/", WARM)
        await world.days(2)
        await world.settled()
        assert {world.tier(key) for key in keys} == {WARM}
        assert world.tier("b") is HOT


async def test_a_crash_before_the_objects_were_told_loses_no_pin(autojump_clock):
    world = World()
    async with world.running():
        for key in ("a/k", "b/k"):
            await world.put(key, CONTENT)
        await world.days(LONG_DAYS)
    async with world.running("mover"):
        await world.pin("a/", HOT)
    world = world.restarted()
    async with world.running():
        await world.days(2)
        assert (world.tier("a/k"), world.tier("b/k")) == (HOT, COLD)
    assert await world.access_log.position(reader="pins") == world.journal.catalog.pins()[0].seq


async def test_a_crash_after_a_pin_was_removed_keeps_nothing_in_its_place(autojump_clock):
    world = World()
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.pin("a/", HOT)
        await world.days(LONG_DAYS)
    async with world.running("mover"):
        await world.unpin("a/")
    world = world.restarted()
    async with world.running():
        await world.days(9)
        assert world.tier("a/k") is not HOT


async def test_a_failing_disk_only_delays_it(autojump_clock):
    world = World()
    put = world.access_log.put
    failures = 3

    async def failing(rows):
        nonlocal failures
        if failures:
            failures -= 1
            raise DiskFailed("no space left")
        await put(rows)

    async with world.running():
        await world.put("a/k", CONTENT)
        await world.days(LONG_DAYS)
        world.access_log.put = failing
        await world.pin("a/", HOT)
        await world.days(60)
        assert world.tier("a/k") is HOT
    assert failures == 0


async def test_explain_says_who_pinned_it_and_since_when(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.pin("a/", HOT, "shown daily")
        await world.days(30)
        it = await world.explain("a/k")
    said = "pinned to hot by alice since 2023-11-14 22:13:20 UTC (s3://bucket/a/): shown daily"
    assert it.verdict == f"100 KB in hot, {said}"
    assert it.would_do == "nothing"
    assert f"\n  pin:       {said}\n" in render_text(it, world.now_ms())
    assert it.to_json()["pin"]["by"] == "alice"


async def test_pinned_decisions_are_derived_again_bit_for_bit(autojump_clock):
    world = World()
    prices = world.rules.prices
    adopted = PricesAdopted(prices.version(), prices.document())
    await world.journal.transact(lambda _: [adopted], by="operator")
    async with world.running():
        await world.put("a/k", CONTENT)
        await world.pin("a/", COLD, "archive")
        await world.days(2)
        await world.pin("a/", HOT)
        await world.days(2)
        assert world.tier("a/k") is HOT
    derived = [d async for d in rederive(world.journal, {BreakEven.name: BreakEven()})]
    policies = [each.recorded.event.decision.policy for each in derived]
    assert policies == ["pinned.1", "pinned.1"]
    assert [each.difference for each in derived] == ["", ""]


async def test_a_bucket_made_again_has_no_pins(autojump_clock):
    world = World()
    async with world.running():
        await world.pin("", COLD)
        await world.journal.transact(lambda _: [BucketDeleted(BUCKET)], by="alice")
        await world.put("k", CONTENT)
        await world.days(2)
        assert world.tier("k") is HOT
