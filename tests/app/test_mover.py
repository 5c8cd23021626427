from dataclasses import replace

import pytest
import trio

from stratum.app.mover import MOVE_MIN_BYTES, MoveLimits
from stratum.domain.errors import Unavailable
from stratum.domain.events import MoveAbandoned, TierDecided
from stratum.domain.names import Tier
from stratum.domain.object import Target
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, World, content_of

CONTENT = content_of(3 * STRIPE_SIZE_BYTES + 7)
HOT, WARM, COLD = Tier


def limits(**changes):
    return replace(MoveLimits(bytes_per_s=0, busy_bytes_per_s=0), **changes)


def last_reason(history):
    return next(
        record.event.reason
        for record in reversed(history)
        if isinstance(record.event, MoveAbandoned)
    )


@pytest.mark.parametrize("content", [CONTENT, b"x", b""], ids=["stripes", "a byte", "nothing"])
async def test_round_trip_through_all_tiers(autojump_clock, content):
    world = World(enabled=False)
    async with world.running():
        await world.put("k", content)
        for target in (WARM, COLD, WARM, COLD, HOT):
            await world.move("k", target)
            await world.settled()
            assert world.tier("k") is target
            assert await world.get("k") == content
        await trio.sleep(120)
        assert await world.stored() == world.referenced("k")
    assert not world.damage


async def test_the_copy_carries_the_whole_record(autojump_clock):
    world = World(enabled=False)
    async with world.running():
        volume = await world.put("k", CONTENT)
        before = world.journal.catalog.version(volume.bucket, volume.key)
        await world.move("k", WARM)
        await world.settled()
        after = world.journal.catalog.version(volume.bucket, volume.key)
    assert after.location != before.location
    for name in ("volume_id", "etag", "size_bytes", "checksum", "checksums", "modified_at_ms"):
        assert getattr(after, name) == getattr(before, name)
    # The name of a copy is decided with the move, so that recovery knows it.
    decided = (await world.journal.history(volume.id))[1].event
    assert isinstance(decided, TierDecided)
    assert after.location.extents[0].id == decided.copy_id


async def test_a_reader_in_flight_finishes_with_the_old_copy(autojump_clock):
    world = World(enabled=False, grace_s=1)
    async with world.running():
        volume = await world.put("k", CONTENT)
        async with world.objects.open(volume.bucket, volume.key) as download:
            first = bytes(await anext(download.pieces))
            await world.move("k", COLD)
            await world.settled()
            await trio.sleep(60)
            rest = b"".join([bytes(piece) async for piece in download.pieces])
        assert first + rest == CONTENT
        await trio.sleep(60)
        assert await world.stored() == world.referenced("k")


@pytest.mark.parametrize("what", ["overwrite", "delete"])
@pytest.mark.parametrize("target", [WARM, COLD])
async def test_what_is_written_during_a_move_wins(autojump_clock, what, target):
    world = World(enabled=False, moves=limits(bytes_per_s=10_000))
    async with world.running():
        volume = await world.put("k", CONTENT)
        await world.move("k", target)
        await trio.sleep(2)
        assert world.volume("k").pending is not None
        if what == "overwrite":
            await world.put("k", b"new")
        else:
            key = volume.key
            await world.objects.delete(ALICE, Target(BUCKET, key))
        await trio.sleep(120)
        assert world.mover.queue_length == 0
        if what == "overwrite":
            assert world.tier("k") is HOT
            assert await world.get("k") == b"new"
            assert await world.stored() == world.referenced("k")
        else:
            assert await world.stored() == set()
    history = await world.journal.history(volume.id)
    names = [type(record.event).__name__ for record in history]
    assert names == ["VersionCommitted", "TierDecided", "VersionRemoved"]


@pytest.mark.parametrize("operation", ["put", "put answer", "read", "read on"])
async def test_a_remote_that_fails_for_a_while(autojump_clock, operation):
    world = World(enabled=False)
    world.remote.failing = {operation}
    async with world.running():
        await world.put("k", CONTENT)
        await world.move("k", COLD)
        await trio.sleep(5)
        assert world.tier("k") is HOT
        assert await world.get("k") == CONTENT
        world.remote.failing = set()
        await world.settled()
        assert world.tier("k") is COLD
        assert await world.get("k") == CONTENT
        await trio.sleep(120)
        assert await world.stored() == world.referenced("k")


@pytest.mark.parametrize("operation", ["put", "put answer", "read", "read on"])
async def test_a_remote_that_fails_for_good(autojump_clock, operation):
    world = World(enabled=False)
    world.remote.failing = {operation}
    async with world.running():
        volume = await world.put("k", CONTENT)
        await world.move("k", COLD)
        await world.settled()
        assert world.tier("k") is HOT
        assert world.mover.queue_length == 0
        assert await world.stored() == world.referenced("k")
        assert await world.get("k") == CONTENT
        reason = last_reason(await world.journal.history(volume.id))
        assert reason == f"6 attempts failed; the last one: {operation} failed"
        # It may be tried again.
        world.remote.failing = set()
        await world.move("k", COLD)
        await world.settled()
        assert world.tier("k") is COLD


async def test_the_policy_looks_again_a_day_after_a_move_was_given_up(autojump_clock):
    world = World(cold=True, day_s=1000.0)
    async with world.running():
        volume = await world.put("k", CONTENT)
        for disk in world.disks[WARM]:
            disk.fail()
        days = world.break_even_days(HOT, WARM, len(CONTENT))
        await world.days(days + 0.5)
        assert world.tier("k") is HOT
        history = await world.journal.history(volume.id)
        assert [type(r.event).__name__ for r in history[1:]] == ["TierDecided", "MoveAbandoned"]
        assert "of 6 disks accept data" in last_reason(history)
        for disk in world.disks[WARM]:
            disk.recover()
        await world.days(1)
        assert world.tier("k") is WARM


async def test_a_copy_that_reads_back_wrong_is_never_committed(autojump_clock):
    world = World(enabled=False)
    world.remote.corrupts_puts = True
    async with world.running():
        volume = await world.put("k", CONTENT)
        await world.move("k", COLD)
        await world.settled()
        assert world.tier("k") is HOT
        assert await world.get("k") == CONTENT
        assert await world.stored() == world.referenced("k")
    reason = last_reason(await world.journal.history(volume.id))
    assert "The copy in cold reads back as 49159 bytes with the checksum" in reason


async def test_a_damaged_source_is_not_copied(autojump_clock):
    world = World(enabled=False)
    async with world.running():
        volume = await world.put("k", CONTENT)
        await world.move("k", COLD)
        await world.settled()
        name = world.volume("k").location.remote.name
        world.remote.corrupt(name, await world.remote.size(name) - 1)
        await world.move("k", HOT)
        await world.settled()
        assert world.tier("k") is COLD
        assert await world.remote.size(name) is not None
    reason = last_reason(await world.journal.history(volume.id))
    assert "The bytes in cold have the checksum" in reason


async def test_only_so_many_moves_run_at_once(autojump_clock):
    world = World(enabled=False, moves=limits(at_once=2, bytes_per_s=100_000))
    async with world.running():
        for number in range(6):
            await world.put(f"k{number}", CONTENT)
        began = trio.current_time()
        for number in range(6):
            await world.move(f"k{number}", WARM)
        assert world.mover.queue_length == 6
        seen = set()
        while world.mover.queue_length:
            writing = {name for disk in world.disks[WARM] for name in disk._unsealed}
            seen.add(len(writing))
            await trio.sleep(0.05)
        assert max(seen) <= 2
        # Copied and read back, every byte counts twice; and a small move for MOVE_MIN_BYTES.
        expected_s = 6 * MOVE_MIN_BYTES / 100_000
        assert trio.current_time() - began == pytest.approx(expected_s, rel=0.1)


async def test_moves_survive_a_shutdown(autojump_clock):
    world = World(enabled=False, moves=limits(bytes_per_s=10_000))
    async with world.running():
        await world.put("k", CONTENT)
        await world.move("k", COLD)
        await trio.sleep(1)
    assert world.volume("k").pending is not None
    assert await world.stored() == world.referenced("k")
    world = world.restarted()
    async with world.running():
        await world.settled()
        assert world.tier("k") is COLD
        assert await world.get("k") == CONTENT


async def test_moves_give_way_to_clients(autojump_clock):
    world = World(enabled=False, moves=limits(bytes_per_s=1e6, busy_bytes_per_s=1e5))
    async with world.running():
        for key in "ab":
            await world.put(key, CONTENT)
        seconds = {}
        began = trio.current_time()
        await world.move("a", WARM)
        await world.settled()
        seconds["idle"] = trio.current_time() - began
        with world.foreground.serving():
            began = trio.current_time()
            await world.move("b", WARM)
            await world.settled()
            seconds["busy"] = trio.current_time() - began
    assert seconds["idle"] == pytest.approx(MOVE_MIN_BYTES / 1e6, abs=0.02)
    assert seconds["busy"] == pytest.approx(MOVE_MIN_BYTES / 1e5, abs=0.02)


async def test_who_asks_for_a_move_too_many_is_told(autojump_clock):
    world = World(enabled=False, moves=limits(queue=3, bytes_per_s=1e5))
    async with world.running():
        for number in range(4):
            await world.put(f"k{number}", CONTENT)
        for number in range(3):
            await world.move(f"k{number}", WARM)
        with pytest.raises(Unavailable, match="3 moves are under way"):
            await world.move("k3", WARM)
        assert world.volume("k3").pending is None
        assert (await world.topics("k3"))[-1] == "MoveDeclined"
        assert world.counted("stratum_moves_total", target="warm", outcome="declined") == 1
        await world.settled()
        await world.move("k3", WARM)
        await world.settled()
    assert world.counted("stratum_moves_total", target="warm", outcome="moved") == 4
    moved = world.counted("stratum_moved_bytes_total", source="hot", target="warm")
    assert moved == 4 * len(CONTENT)


async def test_the_policy_waits_for_room_and_forgets_nothing(autojump_clock):
    world = World(day_s=1000.0, moves=limits(queue=2, bytes_per_s=1e6))
    async with world.running():
        for number in range(9):
            await world.put(f"k{number}", CONTENT)
        days = world.break_even_days(HOT, WARM, len(CONTENT))
        await world.days(days + 0.5)
        assert {world.tier(f"k{number}") for number in range(9)} == {WARM}


async def test_the_pauses_between_attempts_double(autojump_clock):
    world = World(enabled=False, moves=limits(attempts=9, backoff_s=2))
    world.remote.failing = {"put"}
    async with world.running():
        volume = await world.put("k", CONTENT)
        began = trio.current_time()
        await world.move("k", COLD)
        await world.settled()
        assert trio.current_time() - began == pytest.approx(2 + 4 + 8 + 16 + 32 + 60 * 3, abs=1)
    reason = last_reason(await world.journal.history(volume.id))
    assert reason == "9 attempts failed; the last one: put failed"
    assert world.counted("stratum_move_attempts_failed_total", target="cold") == 9
    assert world.counted("stratum_moves_total", target="cold", outcome="abandoned") == 1


async def test_a_move_is_given_up_on_record_even_if_the_journal_fails_first(autojump_clock):
    world = World(enabled=False, moves=limits(attempts=1))
    world.remote.failing = {"put"}
    async with world.running("mover"):
        volume = await world.put("k", CONTENT)
        await world.move("k", COLD)
        transact = world.journal.transact

        async def fails(*_, **__):
            await trio.lowlevel.checkpoint()
            raise Unavailable("the journal is full")

        world.journal.transact = fails
        await trio.sleep(200)
        assert world.volume("k").pending is not None
        world.journal.transact = transact
        await trio.sleep(61)
        assert world.volume("k").pending is None
    assert last_reason(await world.journal.history(volume.id)).endswith("put failed")
