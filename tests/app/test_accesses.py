import trio

from stratum.app import accesses
from stratum.domain.errors import DiskFailed
from stratum.domain.names import Tier, VolumeId
from stratum.domain.object import Target
from tests.support.tiering_world import ALICE, BUCKET, World, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(5000)


async def row_of(world, volume):
    row = await world.access_log.get(volume.id)
    assert row is not None
    return row


async def test_gets_and_copy_sources_count_and_looking_does_not(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("recorder"):
        volume = await world.put("k", CONTENT)
        await trio.sleep(10)
        assert (await row_of(world, volume)).reads == 0
        await world.get("k")
        world.objects.head(BUCKET, volume.key)
        await world.explain("k")
        await world.copy("k", "copy")
        read_at_ms = world.now_ms()
        await trio.sleep(10)
        row = await row_of(world, volume)
    assert (row.reads, row.sessions, row.last_at_ms) == (2, 1, read_at_ms)
    # A bucket and two versions: there is no event for a read.
    assert len(await world.journal.read()) == 3


async def test_a_new_volume_gets_its_timer_with_the_next_flush(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("recorder"):
        volume = await world.put("k", CONTENT)
        await trio.sleep(accesses.FLUSH_S + 1)
        row = await row_of(world, volume)
    days = world.break_even_days(HOT, WARM, len(CONTENT))
    expected_ms = volume.created_at_ms + days * 86_400_000
    assert abs(row.look_at_ms - expected_ms) < 2
    assert (row.reads, row.last_at_ms) == (0, volume.created_at_ms)


async def test_compressed_days_are_flushed_faster(autojump_clock):
    world = World(day_s=10.0)
    async with world.running("recorder"):
        volume = await world.put("k", CONTENT)
        await trio.sleep(0.11)
        assert (await row_of(world, volume)).look_at_ms > 0


async def test_sessions_between_two_flushes_are_told_apart(autojump_clock):
    world = World(day_s=0.24)  # a session lasts 10 ms, a flush comes after 50
    async with world.running("recorder"):
        volume = await world.put("k", CONTENT)
        await trio.sleep(0.06)
        for _ in range(3):
            world.recorder.record(volume.id)
            world.recorder.record(volume.id)
            await trio.sleep(0.013)
        await trio.sleep(0.1)
        row = await row_of(world, volume)
    assert (row.reads, row.sessions) == (6, 3)
    assert 12 <= row.gap_ms <= 14


async def test_a_move_begins_a_new_count_and_sets_a_new_timer(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("recorder", "mover"):
        volume = await world.put("k", CONTENT)
        await world.get("k")
        await trio.sleep(10)
        await world.move("k", WARM)
        await world.settled()
        await trio.sleep(10)
        row = await row_of(world, volume)
        assert (row.reads, row.sessions) == (1, 0)
        assert row.look_at_ms > volume.created_at_ms + 1000 * 86_400_000
        await world.get("k")
        await trio.sleep(10)
        assert (await row_of(world, volume)).sessions == 0, "the access that went on before"
        await trio.sleep(3600)
        await world.get("k")
        await trio.sleep(10)
        assert (await row_of(world, volume)).sessions == 1


async def test_a_read_before_a_move_is_no_session_after_it(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("mover"):
        volume = await world.put("k", CONTENT)
        await world.get("k")
        await trio.sleep(1)
        await world.move("k", COLD)
        await world.settled()
        await world.recorder.flush()
        row = await row_of(world, volume)
    assert (row.reads, row.sessions) == (1, 0)


async def test_removed_volumes_are_forgotten(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("recorder"):
        overwritten = await world.put("a", CONTENT)
        deleted = await world.put("b", CONTENT)
        await trio.sleep(10)
        await world.put("a", CONTENT)
        await world.get("b")
        await world.objects.delete(ALICE, Target(BUCKET, deleted.key))
        await trio.sleep(10)
        assert await world.access_log.get(overwritten.id) is None
        assert await world.access_log.get(deleted.id) is None
        assert await world.access_log.get(world.volume("a").id) is not None


async def test_the_last_reads_are_written_at_shutdown(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("recorder"):
        volume = await world.put("k", CONTENT)
        await trio.sleep(6)
        await world.get("k")
    assert (await row_of(world, volume)).reads == 1


async def test_a_crash_loses_the_last_reads_and_no_volume(autojump_clock):
    world = World(day_s=86400.0)
    old = await world.put("old", CONTENT)
    await world.recorder.flush()
    await world.get("old")
    new = await world.put("new", CONTENT)
    world = world.restarted()
    await world.recorder.flush()
    assert (await row_of(world, old)).reads == 0
    assert (await row_of(world, new)).look_at_ms > 0
    assert await world.access_log.position() == (await world.journal.head()).seq


async def test_reads_of_known_volumes_are_kept_when_the_journal_is_followed_again(autojump_clock):
    world = World(day_s=86400.0)
    async with world.running("mover"):
        volume = await world.put("k", CONTENT)
        await world.get("k")
        await world.move("k", WARM)
        await world.settled()
        await world.recorder.flush()
        position = (await world.journal.head()).seq - 1
        await world.access_log.position(position)  # the VolumeMoved event comes again
        world.recorder.track(volume.id)
        await world.recorder.flush()
    row = await row_of(world, volume)
    assert (row.reads, row.sessions) == (1, 0)


async def test_memory_is_bounded(autojump_clock, monkeypatch):
    monkeypatch.setattr(accesses, "UNFLUSHED_VOLUMES_MAX", 3)
    world = World(day_s=86400.0)
    async with world.running("recorder"):
        volumes = [await world.put(f"k{number}", CONTENT) for number in range(5)]
        await trio.sleep(10)
        for volume in volumes:
            world.recorder.record(volume.id)
        await trio.sleep(0.1)  # full: it doesn't wait for its interval
        rows = [await row_of(world, volume) for volume in volumes]
    assert [row.reads for row in rows] == [1, 1, 1, 0, 0]


async def test_reads_of_unknown_volumes_leave_no_row(autojump_clock):
    world = World()
    world.recorder.record(VolumeId("f" * 32))
    await world.recorder.flush()
    assert await world.access_log.get(VolumeId("f" * 32)) is None


async def test_a_failing_access_log_stops_nothing(autojump_clock):
    world = World(day_s=86400.0)
    put = world.access_log.put

    async def failing(rows):
        raise DiskFailed("no space")

    async with world.running("recorder"):
        world.access_log.put = failing
        volume = await world.put("k", CONTENT)
        await trio.sleep(20)
        assert await world.get("k") == CONTENT
        world.access_log.put = put
        await trio.sleep(6)
        assert (await row_of(world, volume)).look_at_ms > 0
