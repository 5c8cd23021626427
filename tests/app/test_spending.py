"""The cap on what the remote may cost in a month: then reads are streamed, not promoted."""

import pytest
import trio

from stratum.domain.events import MoveDeclined, RemoteUsed, SpendCapReached
from stratum.domain.names import Tier
from stratum.domain.pricing import DAYS_PER_MONTH
from tests.support.tiering_world import World, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(2_000_000)
CAP = 0.00015


async def events(world, kind):
    recorded = await world.journal.read(0, 10_000)
    return [each.event for each in recorded if isinstance(each.event, kind)]


async def in_cold(world, *keys):
    for key in keys:
        await world.put(key, CONTENT)
        await world.move(key, COLD)
    await world.settled()


async def spend(world, key):
    """Read in one session until the month's money is nearly spent."""
    for _ in range(6):
        await world.get(key)


async def test_use_is_counted_and_recorded(autojump_clock):
    world = World(day_s=1000.0)
    async with world.running():
        await in_cold(world, "k")
        assert await world.get("k") == CONTENT
        await world.days(0.1)
        used = (await events(world, RemoteUsed))[-1]
        # Put once, read back once, read once.
        assert (used.puts, used.gets) == (1, 2)
        assert used.egress_bytes == 2 * len(CONTENT)
        assert used.month.startswith("month ")
    again = world.restarted()
    assert again.spending.use().gets == 2


async def test_beyond_the_cap_reads_are_streamed(autojump_clock):
    world = World(day_s=1000.0, flush_s=1, spend_per_month=CAP)
    async with world.running():
        await in_cold(world, "k")
        await spend(world, "k")
        await world.read_in_sessions("k", sessions=8)
        assert world.tier("k") is COLD
        assert await world.get("k") == CONTENT
        declined = await events(world, MoveDeclined)
        # On record once a day and target, however often it is read.
        assert 1 <= len(declined) <= 4
        assert {each.volume_id for each in declined} == {world.volume("k").id}
        assert declined[0].reason.startswith(
            "2.00 MB stay in cold and are streamed from there: of the $0.000150 that"
            " requests and egress of the remote may cost in month "
        )
        (reached,) = await events(world, SpendCapReached)
        assert reached.cap == CAP
        assert reached.spent > 0
        assert world.journal.catalog.remote_use().capped
        explanation = await world.explain("k")
        assert "are streamed from there" in explanation.verdict
        assert explanation.declined[-1].to is HOT
        # By hand it goes all the same.
        await world.move("k", WARM)
        await world.settled()
        assert world.tier("k") is WARM


async def test_another_month_another_cap(autojump_clock):
    world = World(day_s=1000.0, flush_s=1, spend_per_month=CAP)
    async with world.running():
        await in_cold(world, "k")
        await spend(world, "k")
        await world.read_in_sessions("k", sessions=8)
        assert world.tier("k") is COLD
        await world.days(DAYS_PER_MONTH)
        await world.read_in_sessions("k", sessions=6)
        assert world.tier("k") is not COLD


async def test_without_a_cap_nothing_is_declined(autojump_clock):
    world = World(day_s=1000.0, flush_s=1)
    async with world.running():
        await in_cold(world, "k")
        await world.read_in_sessions("k", sessions=20)
        assert world.tier("k") is not COLD
        assert not await events(world, MoveDeclined)


async def test_a_crash_forgets_little(autojump_clock):
    world = World(enabled=False, day_s=86400.0, spend_per_month=0.001)
    async with world.running():
        await in_cold(world, "k")
        for _ in range(10):
            await world.get("k")
        await trio.sleep(2)
        spent = world.spending.use().cost(world.rules.prices)
        again = world.restarted()
        assert again.spending.use().month == "2023-11"
        assert again.spending.use().cost(world.rules.prices) == pytest.approx(spent, abs=0.00002)
