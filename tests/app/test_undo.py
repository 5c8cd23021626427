"""Taking moves back: what is brought back, what is kept and why, and what is on record."""

import pytest
import trio

from stratum.app.undo import KEPT, MOVING, WOULD_MOVE, Batch, undo
from stratum.domain.errors import InvalidArgument
from stratum.domain.events import TierDecided
from stratum.domain.names import Tier
from stratum.domain.object import Target
from tests.support.tiering_world import ALICE, BUCKET, World, content_of

HOT, WARM, COLD = Tier
FOREVER_MS = 1 << 50


async def undone(world, since_ms=0, until_ms=FOREVER_MS, *, why="", dry_run=False, **batch):
    steps = undo(
        world.journal,
        world.orders,
        Batch(since_ms, until_ms, **batch),
        "root",
        why,
        dry_run=dry_run,
    )
    found = {step.key: step async for step in steps}
    await world.settled()
    return found


async def test_moves_are_taken_back_to_where_the_first_one_began(autojump_clock):
    world = World(enabled=False)
    async with world.running():
        for key in ("a/1", "a/2", "b/1"):
            await world.put(key, content_of(1000))
        await trio.sleep(10)
        since_ms = world.now_ms()
        for key in ("a/1", "a/2", "b/1"):
            await world.move(key, WARM)
        await world.settled()
        await world.move("a/1", COLD)
        await world.settled()
        steps = await undone(world, since_ms, bucket=BUCKET, prefix="a/", why="the disks are in")
        assert {key: (step.target, step.outcome) for key, step in steps.items()} == {
            "a/1": (HOT, MOVING),
            "a/2": (HOT, MOVING),
        }
        assert [world.tier(key) for key in ("a/1", "a/2", "b/1")] == [HOT, HOT, WARM]
        history = await world.journal.history(world.volume("a/1").id)
        decided = [each for each in history if isinstance(each.event, TierDecided)]
        assert decided[-1].by == "root"
        decision = decided[-1].event.decision
        assert decision.policy == "undo.1"
        assert decision.facts["undone_seq"] == decided[-2].seq
        assert decision.sentence == (
            f"1.00 KB: cold → hot because root asked to undo event {decided[-2].seq}"
            f" ({decided[-2].event.decision.sentence}): the disks are in"
        )
        # And that can be undone, too.
        await undone(world, policy="undo", prefix="a/1")
        assert world.tier("a/1") is COLD


async def test_time_and_policy_select(autojump_clock):
    world = World(day_s=1000.0)
    async with world.running():
        await world.put("policy", content_of(5_000_000))
        await world.put("hand", content_of(1000))
        await world.move("hand", WARM)
        await world.settled()
        before_ms = world.now_ms()
        await world.days(3)
        assert world.tier("policy") is WARM
        assert set(await undone(world, dry_run=True)) == {"policy", "hand"}
        assert set(await undone(world, dry_run=True, policy="break-even")) == {"policy"}
        assert set(await undone(world, dry_run=True, policy="break-even.1")) == {"policy"}
        assert set(await undone(world, dry_run=True, policy="break-even.2")) == set()
        assert set(await undone(world, before_ms, dry_run=True)) == {"policy"}
        steps = await undone(world, until_ms=before_ms, dry_run=True)
        assert steps["hand"].outcome == WOULD_MOVE
        assert world.tier("hand") is WARM
        await undone(world, policy="break-even")
        assert world.tier("policy") is HOT
        await world.days(0.5)
        assert world.tier("policy") is HOT, "it is given a chance"


async def test_what_is_kept_and_why(autojump_clock):
    world = World(enabled=False)
    async with world.running():
        for key in ("gone", "on", "back", "pinned", "new"):
            await world.put(key, content_of(1000))
            await world.move(key, WARM)
        await world.settled()
        after_ms = world.now_ms() + 1
        await trio.sleep(1)
        await world.objects.delete(ALICE, Target(BUCKET, "gone"))
        await world.put("new", b"new")
        await world.move("on", COLD)
        await world.move("back", HOT)
        await world.settled()
        await world.pin("pinned", WARM)
        steps = await undone(world, until_ms=after_ms)
        assert {step.outcome for step in steps.values()} == {KEPT}
        reasons = {key: step.detail for key, step in steps.items()}
        assert reasons.pop("pinned").startswith("s3://bucket/pinned is pinned to warm by alice")
        assert reasons == {
            "on": "it has moved to cold since",
            "back": "it is in hot already",
        }


async def test_a_move_under_way_is_kept(autojump_clock):
    world = World(enabled=False)
    async with world.running("tierer"):  # nobody carries moves out
        await world.put("k", content_of(1000))
        await world.move("k", WARM)
        steps = undo(world.journal, world.orders, Batch(0, FOREVER_MS), "root")
        assert [step.detail async for step in steps] == ["a move to warm is under way"]


async def test_reasons_are_one_line():
    world = World(enabled=False)
    with pytest.raises(InvalidArgument, match="one line"):
        await undone(world, why="two\nlines")
