"""The hazard table in the server: what it learns, keeps through restarts and crashes, and says."""

from functools import partial

import pytest

from stratum.app import learning
from stratum.app.explain import render_text
from stratum.app.rederive import rederive
from stratum.domain.errors import DiskFailed
from stratum.domain.events import TierDecided
from stratum.domain.hazard_state import decode_table, encode_table
from stratum.domain.move import adopt_prices
from stratum.domain.names import Tier
from stratum.domain.policies import RULES
from tests.support.tiering_world import World, content_of

HOT, WARM, COLD = Tier
DAY_S = 100.0
CONTENT = content_of(2_000_000)


def world(**options) -> World:
    return World(day_s=DAY_S, policy="hazard", **options)


async def decisions(of: World) -> list[TierDecided]:
    return [each.event for each in await of.journal.read(0, 10**6)
            if isinstance(each.event, TierDecided)]  # fmt: skip


async def test_a_new_object_stays_hot_for_a_day_and_says_why(autojump_clock):
    it = world()
    async with it.running():
        await it.put("films/a.mkv", CONTENT)
        await it.days(0.5)
        said = await it.explain("films/a.mkv")
        assert it.tier("films/a.mkv") is HOT
        assert said.policy == "hazard.1"
        assert "`bucket/films|mkv`, 2.00 MB, never read, in hot" in said.verdict
        assert "it goes to warm when it has been idle for 1 tiering day" in said.verdict
        assert said.would_do == "it moves to warm, unless it is read before"
        await it.days(1)
        assert it.tier("films/a.mkv") is WARM
        said = await it.explain("films/a.mkv")
    assert "hot → warm after 1 tiering day idle, because only" in said.placed_because
    assert said.verdict.startswith("`bucket/films|mkv`, 2.00 MB, never read, in warm, idle for")
    assert "hazard.1" in render_text(said, it.now_ms())


async def test_every_decision_can_be_derived_again_from_its_record(autojump_clock):
    it = world()
    await it.journal.transact(partial(adopt_prices, prices=it.rules.prices), by="operator")
    async with it.running():
        for number in range(30):
            await it.put(f"logs/{number}.gz", content_of(200_000 + number))
        for _ in range(12):
            await it.days(3)
            for number in range(0, 30, 3):
                await it.get(f"logs/{number}.gz")
    recorded = await decisions(it)
    assert len(recorded) > 30
    assert all(len(each.decision.vectors) >= 1 for each in recorded)
    assert max(len(each.decision.vectors) for each in recorded) == 4
    derived = [each.difference async for each in rederive(it.journal, RULES)]
    assert derived == [""] * len(recorded)


async def test_what_was_learnt_survives_a_restart(autojump_clock):
    it = world()
    async with it.running():
        await it.put("logs/1.gz", CONTENT)
        await it.days(40)
        await it.get("logs/1.gz")
        await it.days(2.5)
    table = it.rules.follower.table
    assert table.counted > 0
    again = it.restarted()
    async with again.running():
        restored = again.rules.follower.table
        assert (restored.counts, restored.parents) == (table.counts, table.parents)
        assert restored.counted == table.counted
        said = await again.explain("logs/1.gz")
    assert "1 active day" in said.verdict


async def test_a_crash_loses_what_was_counted_since_the_last_save(autojump_clock, monkeypatch):
    monkeypatch.setattr(learning, "SAVE_S", 10.0)
    it = world()
    async with it.running():
        for number in range(20):
            await it.put(f"logs/{number}.gz", content_of(1000))
        await it.days(20)
        counted = it.rules.follower.table.counted
        again = it.restarted()
    async with again.running():
        assert again.rules.follower.table.counted >= 0.9 * counted > 0


async def test_a_damaged_table_is_left_behind(autojump_clock, caplog):
    it = world()
    await it.access_log.learnt(b"stratum-hazard.1\n nonsense")
    async with it.running():
        await it.put("a", CONTENT)
        await it.days(2)
        assert it.tier("a") is WARM
    assert "starts from the prior" in caplog.text


async def test_a_failing_access_log_stops_nothing(autojump_clock, caplog):
    it = world()

    async def failing(state=None):
        raise DiskFailed("no space")

    async with it.running():
        it.access_log.learnt = failing
        await it.put("a", CONTENT)
        await it.days(40)
        await it.get("a")
        await it.days(2)
        assert it.tier("a") is not HOT
    assert "what was learnt is not saved: no space" in caplog.text


@pytest.mark.parametrize("cut", [3, 30, 200])
async def test_a_table_is_read_whole_or_not_at_all(cut, autojump_clock):
    it = world()
    async with it.running():
        await it.put("a", CONTENT)
        await it.days(40)
        await it.get("a")
    data = encode_table(it.rules.follower.table.state())
    assert decode_table(data).state() == it.rules.follower.table.state()
    with pytest.raises(ValueError, match="table"):
        decode_table(data[:cut])


async def test_a_scan_over_the_cold_tier_promotes_nothing_and_ten_reads_promote(autojump_clock):
    it = world()
    keys = [f"archive/{number}.tar" for number in range(60)]
    async with it.running():
        for number, key in enumerate(keys):
            await it.put(key, content_of(2000 + number))
            await it.move(key, COLD)
        await it.settled()
        await it.days(30)
        for key in keys:
            await it.get(key)
        await it.days(2)
        assert {it.tier(key) for key in keys} == {COLD}
        said = await it.explain("archive/7.tar")
        await it.read_in_sessions("archive/7.tar", sessions=10, apart_days=1)
        assert it.tier("archive/7.tar") is not COLD
        assert {it.tier(key) for key in keys if key != "archive/7.tar"} == {COLD}
    assert "2 accesses within" in said.verdict
