import json

import pytest

from stratum.app.explain import explain, render_text
from stratum.domain.errors import NoSuchBucket, NoSuchKey, NoSuchVersion
from stratum.domain.names import BucketName, ObjectKey, Tier
from tests.support.tiering_world import BUCKET, World, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(100_000)
DAY_S = 100.0


async def test_a_new_object(autojump_clock):
    world = World(day_s=DAY_S)
    async with world.running():
        volume = await world.put("a/k", CONTENT)
        await world.days(3)
        it = await world.explain("a/k")
    assert it.tier is HOT
    assert it.since_ms == volume.created_at_ms
    assert it.placed_because == "placed hot when it was written"
    assert it.verdict == (
        "100 KB in hot, idle for 3 tiering days: a move to warm pays after 12 tiering days"
        " without a read"
    )
    days = world.break_even_days(HOT, WARM, len(CONTENT))
    assert it.look_at_ms == pytest.approx(volume.created_at_ms + days * DAY_S * 1000, abs=2)
    assert it.would_do == "it moves to warm, unless it is read before"
    assert (it.reads, it.moves) == (0, ())


async def test_after_its_moves(autojump_clock):
    world = World(day_s=DAY_S)
    async with world.running():
        await world.put("k", CONTENT)
        await world.days(world.break_even_days(WARM, COLD, len(CONTENT)) + 1)
        assert world.tier("k") is COLD
        await world.days(1)
        it = await world.explain("k")
    assert it.tier is COLD
    assert [(move.decision.source, move.decision.target) for move in it.moves] == [
        (HOT, WARM),
        (WARM, COLD),
    ]
    assert {move.outcome for move in it.moves} == {"moved"}
    assert it.placed_because == it.moves[1].decision.sentence
    assert "warm → cold, because cold saves $0.000000600 of storage a month" in it.placed_because
    assert it.since_ms == it.moves[1].ended_at_ms
    assert it.look_at_ms == 0
    assert "no configured tier stores it for less" in it.verdict
    assert "reads in 2 sessions can bring it up" in it.verdict
    text = render_text(it, world.now_ms())
    assert "next look: not before it is read" in text
    assert text.count(" → ") == 3


async def test_reads_put_the_move_off_and_the_early_timer_is_explained(autojump_clock):
    world = World(day_s=DAY_S)
    async with world.running():
        await world.put("k", CONTENT)
        await world.days(5)
        await world.get("k")
        await world.days(1)
        it = await world.explain("k")
        assert (it.reads, it.sessions) == (1, 1)
        assert it.would_do.startswith("nothing; the move to warm is due 2023-")
        days = world.break_even_days(HOT, WARM, len(CONTENT))
        await world.days(days - 1.5)
        assert world.tier("k") is HOT
        await world.days(1)
        assert world.tier("k") is WARM


async def test_a_move_under_way_and_one_that_failed(autojump_clock):
    world = World(day_s=DAY_S, enabled=False)
    world.remote.latency_s = 5
    async with world.running():
        await world.put("k", CONTENT)
        await world.move("k", COLD)
        it = await world.explain("k")
        assert it.moves[0].outcome == "under way"
        assert "on its way to cold: 100 KB: hot → cold because alice asked for it" in it.verdict
        world.remote.failing = {"put answer"}
        await world.settled()
        it = await world.explain("k")
    assert it.moves[0].outcome == "abandoned"
    assert it.moves[0].reason.endswith("put answer failed")
    assert it.placed_because == "placed hot when it was written"
    assert it.verdict.startswith("tiering is switched off; otherwise: 100 KB in hot, idle for")
    assert "the move to cold failed 2023-" in it.verdict
    assert (it.look_at_ms, it.would_do) == (0, "")


async def test_text_and_json(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running():
        volume = await world.put("k", CONTENT)
        await world.days(1)
        await world.get("k")
        await world.days(1)
        it = await world.explain("k")
    assert render_text(it, world.now_ms()) == (
        "s3://bucket/k\n"
        f"  volume:    {volume.id}, 100 KB\n"
        "  tier:      hot since 2023-11-14 22:13:20 UTC\n"
        "  because:   placed hot when it was written\n"
        "  reads:     1 read, the last 2023-11-15 22:13:20 UTC; 1 session since it came to hot\n"
        "  now:       100 KB in hot, idle for 1 day: a move to warm pays after 12 days without a"
        " read\n"
        "  next look: 2023-11-26 18:35:43 UTC: nothing; the move to warm is due 2023-11-27"
        " 18:35:43 UTC, unless it is read before\n"
        f"  rules:     break-even.1, price list {world.rules.prices.version()}\n"
        "  moves:     none\n"
    )
    loaded = json.loads(json.dumps(it.to_json()))
    assert loaded["tier"] == "hot"
    assert loaded["moves"] == []


async def test_from_another_process_before_the_row_is_written(autojump_clock):
    world = World(day_s=DAY_S)
    await world.put("k", CONTENT)
    it = await explain(
        world.journal.reopened(), world.access_log, world.rules, BUCKET, ObjectKey("k"), 10**13
    )
    assert it.would_do == "it moves to cold"
    assert it.reads == 0


async def test_what_is_not_there(autojump_clock):
    world = World()
    await world.put("k", CONTENT)

    def ask(bucket, key, version_id=None):
        return explain(
            world.journal,
            world.access_log,
            world.rules,
            BucketName(bucket),
            ObjectKey(key),
            world.now_ms(),
            version_id=version_id,
        )

    with pytest.raises(NoSuchBucket):
        await ask("nowhere", "k")
    with pytest.raises(NoSuchKey):
        await ask(BUCKET, "nothing")
    with pytest.raises(NoSuchVersion):
        await ask(BUCKET, "k", "v1")
    assert (await ask(BUCKET, "k", "null")).tier is HOT
