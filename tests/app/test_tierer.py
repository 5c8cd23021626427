import tomllib

import pytest
import trio

from stratum.domain.errors import MoveRefused, NoSuchVolume
from stratum.domain.names import Tier, VolumeId
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices
from tests.support.tiering_world import World, content_of

SIZE_BYTES = 100_000
CONTENT = content_of(SIZE_BYTES)
HOT, WARM, COLD = Tier


async def watch(world, key, content, tiers):
    """Read the object all the time, uncounted, and note which tiers it is seen in."""
    while True:
        assert await world.peek(key) == content
        tier = world.tier(key)
        if not tiers or tiers[-1] is not tier:
            tiers.append(tier)
        moving = world.volume(key).pending is not None
        await world.days(0.02 if moving else 0.25)


async def test_the_life_of_an_object(autojump_clock):
    world = World(day_s=1.0)
    world.remote.latency_s = 0.05
    tiers = []
    async with world.running() as nursery:
        await world.put("k", CONTENT)
        nursery.start_soon(watch, world, "k", CONTENT, tiers)
        to_warm = world.break_even_days(HOT, WARM, SIZE_BYTES)
        to_cold = world.break_even_days(WARM, COLD, SIZE_BYTES)
        await world.days(to_warm - 0.1)
        assert world.tier("k") is HOT
        await world.days(0.5)
        assert world.tier("k") is WARM
        await world.days(to_cold - to_warm - 0.5)
        assert world.tier("k") is WARM
        await world.days(2)
        assert world.tier("k") is COLD

        await world.read_in_sessions("k", sessions=3, apart_days=0.2)
        await world.days(1)
        assert world.tier("k") is HOT
        assert await world.get("k") == CONTENT
    assert tiers == [HOT, WARM, COLD, HOT]
    assert await world.topics("k") == ["VersionCommitted"] + 3 * ["TierDecided", "VolumeMoved"]


async def test_reading_keeps_an_object_hot(autojump_clock):
    world = World()
    async with world.running():
        await world.put("k", CONTENT)
        await world.read_in_sessions("k", sessions=60, apart_days=1)
        assert world.tier("k") is HOT
    assert await world.topics("k") == ["VersionCommitted"]


async def test_one_scan_over_many_cold_objects_pulls_none_up(autojump_clock):
    world = World()
    keys = [f"k{number}" for number in range(40)]
    async with world.running():
        for number, key in enumerate(keys):
            await world.put(key, content_of(2000, number))
            await world.move(key, COLD)
        await world.settled()
        for number, key in enumerate(keys):
            assert await world.get(key) == content_of(2000, number)
            assert await world.get(key) == content_of(2000, number)
        await world.days(30)
        assert {world.tier(key) for key in keys} == {COLD}

        await world.read_in_sessions("k7", sessions=2, apart_days=1)
        assert [key for key in keys if world.tier(key) is HOT] == ["k7"]


async def test_without_a_cold_tier_hot_and_warm_work_alone(autojump_clock):
    world = World(cold=False)
    async with world.running():
        await world.put("k", CONTENT)
        await world.days(2000)
        assert world.tier("k") is WARM
        with pytest.raises(MoveRefused, match="cold tier is not configured"):
            await world.move("k", COLD)
        await world.read_in_sessions("k", sessions=2)
        assert world.tier("k") is HOT


async def test_a_tier_that_prices_make_pointless_is_skipped(autojump_clock):
    table = tomllib.loads(DEFAULT_PRICES_TOML)
    table["warm"]["storage_per_gb_month"] = 0.05
    world = World(prices=parse_prices(table))
    async with world.running():
        await world.put("k", CONTENT)
        await world.days(world.break_even_days(HOT, COLD, SIZE_BYTES) + 1)
        assert world.tier("k") is COLD
    assert await world.topics("k") == ["VersionCommitted", "TierDecided", "VolumeMoved"]


async def test_switched_off_it_moves_nothing_by_itself(autojump_clock):
    world = World(enabled=False)
    async with world.running():
        await world.put("k", CONTENT)
        await world.days(500)
        assert world.tier("k") is HOT
        await world.move("k", COLD)
        await world.settled()
        assert world.tier("k") is COLD
        assert await world.get("k") == CONTENT


async def test_timers_survive_a_restart_and_come_due_while_down(autojump_clock):
    world = World()
    async with world.running():
        await world.put("k", CONTENT)
        await world.days(1)
    await world.days(100)
    world = world.restarted()
    async with world.running():
        await world.days(0.5)
        assert world.tier("k") is WARM
        assert await world.get("k") == CONTENT


async def test_an_object_written_just_before_a_crash_gets_its_timer(autojump_clock):
    world = World()
    async with world.running("mover"):
        await world.put("k", CONTENT)
    world = world.restarted()
    async with world.running():
        await world.days(world.break_even_days(HOT, WARM, SIZE_BYTES) + 0.5)
        assert world.tier("k") is WARM


async def test_a_lost_access_log_is_made_again_from_the_journal(autojump_clock):
    world = World()
    async with world.running():
        for number in range(5):
            await world.put(f"k{number}", content_of(SIZE_BYTES, number))
        await world.put("k0", CONTENT)
        await world.days(1)
    for row in await world.access_log.due(10**15, 100):
        await world.access_log.forget([row.volume_id])
    await world.access_log.position(0)
    world = world.restarted()
    async with world.running():
        await world.days(world.break_even_days(HOT, WARM, SIZE_BYTES) + 0.5)
        assert {world.tier(f"k{number}") for number in range(5)} == {WARM}


async def test_it_sleeps_until_the_next_timer(autojump_clock):
    world = World(day_s=86400.0)
    looks = []
    due = world.access_log.due

    async def counted(before_ms, limit):
        looks.append(world.now_ms())
        return await due(before_ms, limit)

    world.access_log.due = counted
    async with world.running():
        await world.put("k", CONTENT)
        await trio.sleep(3600)
    assert len(looks) <= 62


async def test_moves_by_hand_are_refused_where_they_make_no_sense(autojump_clock):
    world = World()
    async with world.running():
        volume = await world.put("k", CONTENT)
        with pytest.raises(MoveRefused):
            await world.move("k", HOT)
        with pytest.raises(NoSuchVolume):
            await world.orders.by_hand(VolumeId("f" * 32), WARM, "alice")
        world.remote.latency_s = 5
        await world.move("k", COLD)
        with pytest.raises(MoveRefused):
            await world.move("k", WARM)
        await world.settled()
    history = await world.journal.history(volume.id)
    assert [record.by for record in history] == ["alice", "alice", "system"]
    assert history[1].event.decision.sentence == ("100 KB: hot → cold because alice asked for it")


async def test_a_move_by_hand_is_not_undone_at_once(autojump_clock):
    world = World()
    async with world.running():
        await world.put("k", content_of(10_000))
        await world.days(1)
        await world.move("k", WARM)
        await world.settled()
        await world.days(500)
        assert world.tier("k") is WARM
        await world.move("k", HOT)
        await world.settled()
        await world.days(6)
        assert world.tier("k") is HOT
