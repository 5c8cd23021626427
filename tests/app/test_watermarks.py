"""Room on full disks: the cheapest to take away goes first, with reasons; promotions wait."""

import pytest
import trio

from stratum.app.rederive import rederive
from stratum.domain.break_even import BreakEven
from stratum.domain.events import MoveDeclined, TierDecided
from stratum.domain.move import adopt_prices
from stratum.domain.names import Tier
from tests.support.tiering_world import PRICES, World, content_of

HOT, WARM, COLD = Tier
SIZE = 40_000


def filled(world, used, tier=HOT, of=1_000_000):
    """Make every disk of a tier so full."""
    for disk in world.disks[tier]:
        disk.size_bytes = of
        disk._used_bytes = round(used * of)


def apart(world):
    """Give every disk a device of its own."""
    for number, disk in enumerate([*world.disks[HOT], *world.disks[WARM]]):
        disk.device = number
    return world


async def decisions(world):
    recorded = await world.journal.read(0, 10_000)
    return [each.event.decision for each in recorded if isinstance(each.event, TierDecided)]


async def test_the_cheapest_go_until_there_is_room(autojump_clock):
    world = apart(World(day_s=1e5))
    async with world.running():
        await world.journal.transact(lambda c: adopt_prices(c, prices=PRICES), by="operator")
        for number in range(20):
            await world.put(f"idle{number}", content_of(SIZE))
        await world.put("read", content_of(SIZE))
        await trio.sleep(100)
        assert not await decisions(world)
        await world.read_in_sessions("read", sessions=4, apart_days=0.05)
        # Each volume has a quarter of its bytes on each disk: 7 of them are 7 % of a disk.
        filled(world, 0.84)
        for number in range(7):
            await world.put(f"more{number}", content_of(SIZE))
        await trio.sleep(200)
        made = await decisions(world)
        assert {each.policy for each in made} == {"watermark.1"}
        assert world.tier("read") is HOT
        assert len(made) == pytest.approx(11, abs=1)
        assert world.watermarks.fullness()[HOT] <= 0.81
        assert made[0].sentence.startswith("40.0 KB in hot, idle for")
        assert "because the disks of hot are 9" in made[0].sentence
        assert "% full, more than 90%" in made[0].sentence
        # They are derived again from what was recorded.
        policies = {BreakEven.name: BreakEven()}
        again = [each.difference async for each in rederive(world.journal, policies)]
        assert again == [""] * len(made)


async def test_nothing_moves_to_a_full_tier_or_to_the_same_device(autojump_clock):
    world = World(day_s=1e6, cold=False)
    async with world.running():
        await world.put("k", content_of(SIZE))
        filled(world, 0.95)
        await trio.sleep(200)
        assert not await decisions(world)
        apart(world)
        filled(world, 0.95, WARM)
        await trio.sleep(200)
        assert not await decisions(world)
        filled(world, 0.5, WARM)
        await trio.sleep(200)
        assert world.tier("k") is WARM


async def test_warm_makes_room_in_cold(autojump_clock):
    world = apart(World(day_s=1e6))
    async with world.running():
        await world.put("k", content_of(SIZE))
        await world.move("k", WARM)
        await world.settled()
        filled(world, 0.95, WARM)
        await trio.sleep(200)
        assert world.tier("k") is COLD


async def test_pinned_volumes_stay(autojump_clock):
    world = apart(World(day_s=1e6))
    async with world.running():
        await world.pin("", HOT)
        await world.put("k", content_of(SIZE))
        filled(world, 0.99)
        await trio.sleep(200)
        assert world.tier("k") is HOT


async def test_nothing_is_promoted_to_a_full_tier(autojump_clock):
    world = apart(World(day_s=1000.0, flush_s=1))
    async with world.running():
        await world.put("k", content_of(2_000_000))
        await world.move("k", WARM)
        await world.settled()
        for disk in world.disks[HOT]:
            disk.size_bytes, disk._used_bytes = 10**9, 95 * 10**7
        await trio.sleep(61)
        await world.read_in_sessions("k", sessions=6)
        assert world.tier("k") is WARM
        history = await world.journal.history(world.volume("k").id)
        declined = [each.event for each in history if isinstance(each.event, MoveDeclined)]
        assert [each.to for each in declined] == [HOT] * len(declined)
        assert declined[0].policy == "break-even.1"
        assert "the disks of hot are 95% full, and may be 90%" in declined[0].reason
        assert world.counted("stratum_moves_total", target="hot", outcome="declined") >= 1
        explanation = await world.explain("k")
        assert "the disks of hot are 95% full" in explanation.verdict
