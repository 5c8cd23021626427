import trio

from stratum.app import reclaimer
from stratum.domain.events import CopiesReclaimed
from stratum.domain.names import Tier
from stratum.domain.object import Target
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, World, content_of

HOT, WARM, COLD = Tier
CONTENT = content_of(2 * STRIPE_SIZE_BYTES)


async def reclaimed(world):
    return [
        name
        for record in await world.journal.read()
        if isinstance(record.event, CopiesReclaimed)
        for name in record.event.copies
    ]


async def test_superseded_copies_are_kept_for_the_grace_period(autojump_clock):
    world = World(enabled=False, grace_s=60)
    async with world.running("reclaimer"):
        old = await world.put("k", CONTENT)
        await trio.sleep(100)
        await world.put("k", b"new")
        await trio.sleep(59)
        assert old.location.extents[0].id in await world.stored()
        await trio.sleep(2)
        assert await world.stored() == world.referenced("k")
        assert await reclaimed(world) == [old.location.extents[0].id]
        assert not world.journal.catalog.garbage(10**15, 10)


async def test_nothing_is_deleted_before_the_copies_of_the_journal_know_why(autojump_clock):
    world = World(enabled=False, grace_s=1)
    settled = [0]
    world.reclaimer._settled_ms = lambda: settled[0]
    async with world.running("reclaimer"):
        old = await world.put("k", CONTENT)
        await world.put("k", b"new")
        await trio.sleep(1000)
        assert old.location.extents[0].id in await world.stored()
        settled[0] = world.now_ms()
        await trio.sleep(reclaimer.PAUSE_MAX_S)
        assert await world.stored() == world.referenced("k")


async def test_remote_copies_are_reclaimed(autojump_clock):
    world = World(enabled=False, grace_s=1)
    async with world.running("mover", "reclaimer"):
        await world.put("k", CONTENT)
        await world.move("k", COLD)
        await world.settled()
        name = world.volume("k").location.remote.name
        await world.objects.delete(ALICE, Target(BUCKET, world.volume("k").key))
        await trio.sleep(5)
        assert await world.stored() == set()
        assert name in await reclaimed(world)


async def test_a_copy_being_read_is_kept_however_long_it_takes(autojump_clock):
    world = World(enabled=False, grace_s=1)
    async with world.running("reclaimer"):
        volume = await world.put("k", CONTENT)
        async with world.objects.open(BUCKET, volume.key) as download:
            await anext(download.pieces)
            await world.put("k", b"new")
            await trio.sleep(500)
            assert volume.location.extents[0].id in await world.stored()
            rest = b"".join([bytes(piece) async for piece in download.pieces])
            assert CONTENT.endswith(rest)
        await trio.sleep(10)
        assert await world.stored() == world.referenced("k")


async def test_a_failing_remote_is_tried_again_and_holds_nothing_else_up(
    autojump_clock, monkeypatch
):
    monkeypatch.setattr(reclaimer, "BATCH_COPIES", 2)
    world = World(enabled=False, grace_s=1)
    async with world.running("mover", "reclaimer"):
        for number in range(5):
            await world.put(f"cold{number}", CONTENT)
            await world.move(f"cold{number}", COLD)
        await world.settled()
        await trio.sleep(5)
        world.remote.failing = {"delete"}
        for number in range(5):
            await world.objects.delete(ALICE, Target(BUCKET, world.volume(f"cold{number}").key))
        await trio.sleep(3)
        await world.put("hot", CONTENT)
        await world.put("hot", b"new")
        await trio.sleep(10)
        assert len(await world.stored()) == 5 + 1
        assert len(await reclaimed(world)) == 5 + 1
        await trio.sleep(3600)
        world.remote.failing = set()
        await trio.sleep(reclaimer.BACKOFF_MAX_S + 10)
        assert await world.stored() == world.referenced("hot")
        assert not world.journal.catalog.garbage(10**15, 10)


async def test_many_copies_go_in_few_events(autojump_clock):
    world = World(enabled=False, grace_s=10)
    async with world.running("reclaimer"):
        for _ in range(300):
            await world.put("k", b"x")
        await trio.sleep(20)
        assert await world.stored() == world.referenced("k")
    events = [
        record.event.copies
        for record in await world.journal.read()
        if isinstance(record.event, CopiesReclaimed)
    ]
    assert sum(map(len, events)) == 299
    assert len(events) <= 3


async def test_it_sleeps_when_there_is_nothing_to_do(autojump_clock):
    world = World(enabled=False, grace_s=60)
    queries = []
    query = world.journal.query

    async def counted(question):
        queries.append(world.now_ms())
        return await query(question)

    world.journal.query = counted
    async with world.running("reclaimer"):
        await trio.sleep(3600)
    assert len(queries) <= 2 * 61


async def test_a_missing_disk_holds_up_nothing_on_the_others(autojump_clock, monkeypatch):
    """However many copies wait for it: the five other disks must not fill up with their shards."""
    monkeypatch.setattr(reclaimer, "BATCH_COPIES", 4)
    world = World(enabled=False, grace_s=1)
    async with world.running("reclaimer"):
        olds = [await world.put(f"k{number}", CONTENT) for number in range(11)]
        missing, *others = world.disks[HOT]
        missing.fail("pulled")
        for old in olds:
            await world.objects.delete(ALICE, Target(BUCKET, old.key))
        await trio.sleep(60)
        assert [[name async for name in disk.names()] for disk in others] == [[]] * 5
        assert len(world.journal.catalog.garbage(10**15, 100)) == 11
        missing.recover()
        await trio.sleep(reclaimer.BACKOFF_MAX_S + 10)
        assert await world.stored() == set()
        assert not world.journal.catalog.garbage(10**15, 100)
