import pytest
import trio

from stratum.adapters.memory_archive import MemoryArchive
from stratum.adapters.memory_journal import MemoryJournal
from stratum.app import journal_mirror
from stratum.app.journal_mirror import ArchiveStatus, JournalMirror, find_end
from stratum.domain.errors import DiskFailed, JournalCorrupt
from stratum.domain.event_archive import parse_segment
from stratum.domain.events import CopiesReclaimed
from stratum.domain.hash_chain import GENESIS_DIGEST, first_broken


class FaultyArchive(MemoryArchive):
    """`failing`: everything raises. `hanging`: everything waits. `torn` bytes of the next write
    are kept, then it raises."""

    def __init__(self, place="archive"):
        super().__init__(place)
        self.failing = self.hanging = False
        self.torn = None
        self.writes = 0

    async def _trouble(self):
        if self.hanging:
            await trio.sleep_forever()
        if self.failing:
            raise DiskFailed("no such disk")

    async def names(self):
        await self._trouble()
        return await super().names()

    async def read(self, name):
        await self._trouble()
        return await super().read(name)

    async def write_at(self, name, offset, data):
        await self._trouble()
        self.writes += 1
        if self.torn is not None:
            torn, self.torn = self.torn, None
            await super().write_at(name, offset, data[:torn])
            raise DiskFailed("torn")
        await super().write_at(name, offset, data)


def now_ms():
    return round(trio.current_time() * 1000)


class Kept:
    """A journal that is mirrored to `count` archives."""

    def __init__(self, count=3):
        self.journal = MemoryJournal(now_ms)
        self.archives = [FaultyArchive(f"archive{number}") for number in range(count)]

    def mirror(self, interval_s=1.0):
        pairs = [(archive, interval_s) for archive in self.archives]
        return JournalMirror(self.journal, pairs, now_ms)

    async def happen(self, count=1):
        for number in range(count):
            await self.journal.transact(lambda _: [CopiesReclaimed((f"c{number}",))], by="system")  # noqa: B023

    async def stored(self, archive):
        """All events of an archive, the chain followed."""
        rows, digest = [], GENESIS_DIGEST
        for name in await MemoryArchive.names(archive):
            segment = parse_segment(await MemoryArchive.read(archive, name))
            assert (segment.first_seq, segment.previous) == (len(rows) + 1, digest)
            assert first_broken(digest, segment.rows) is None
            rows, digest = [*rows, *segment.rows], segment.digest
        return rows

    async def complete(self, archive):
        return await self.stored(archive) == list(await self.journal.rows(0, 10_000))


@pytest.fixture
async def kept():
    return Kept()


async def test_copies_are_an_interval_behind_at_most(kept, nursery, autojump_clock):
    await kept.happen(3)
    await nursery.start(kept.mirror().run)
    for _ in range(3):
        await trio.sleep(1.1)
        assert all([await kept.complete(each) for each in kept.archives])
        await kept.happen(5)


async def test_nothing_is_written_when_nothing_happens(kept, nursery, autojump_clock):
    await kept.happen()
    await nursery.start(kept.mirror().run)
    await trio.sleep(100)
    assert [each.writes for each in kept.archives] == [1, 1, 1]


async def test_one_that_hangs_or_fails_delays_no_other(kept, nursery, autojump_clock):
    kept.archives[0].hanging = True
    kept.archives[1].failing = True
    mirror = kept.mirror()
    await kept.happen()
    await nursery.start(mirror.run)
    await trio.sleep(2)
    assert await kept.complete(kept.archives[2])
    assert mirror.status()[1] == ArchiveStatus("archive1", 0, "no such disk")
    assert mirror.mirrored_seq == 0
    kept.archives[1].failing = False
    await trio.sleep(journal_mirror.RETRY_MAX_S)
    assert await kept.complete(kept.archives[1])
    assert mirror.status()[1] == ArchiveStatus("archive1", 1, "")


@pytest.mark.parametrize("torn", [0, 10, 64, 70, 100])
async def test_what_was_torn_is_written_again(kept, nursery, torn, autojump_clock):
    kept.archives[0].torn = torn
    await kept.happen(2)
    await nursery.start(kept.mirror().run)
    await trio.sleep(3)
    await kept.happen(2)
    await trio.sleep(3)
    assert await kept.complete(kept.archives[0])


async def test_a_new_process_goes_on_where_the_last_one_ended(kept, autojump_clock):
    for _ in range(3):
        await kept.happen(2)
        with trio.move_on_after(2):
            await kept.mirror().run()
    assert all([await kept.complete(each) for each in kept.archives])
    assert list(await kept.archives[0].names()) == ["events-00000000000000000001"]


async def test_long_segments_are_followed_by_new_ones(kept, monkeypatch, autojump_clock):
    monkeypatch.setattr(journal_mirror, "SEGMENT_SIZE_BYTES", 2000)
    for _ in range(10):
        await kept.happen(20)
        with trio.move_on_after(1.5):
            await kept.mirror().run()
    assert len(await kept.archives[0].names()) > 3
    assert await kept.complete(kept.archives[0])


async def test_a_new_disk_gets_everything(kept, autojump_clock):
    await kept.happen(2500)
    kept.archives.append(FaultyArchive("new"))
    with trio.move_on_after(2):
        await kept.mirror().run()
    assert await kept.complete(kept.archives[-1])


async def test_stopping_writes_what_is_missing(kept, autojump_clock):
    mirror = kept.mirror()
    kept.archives[0].hanging = True
    await kept.happen(3)
    await mirror.catch_up(5)
    assert [await kept.complete(each) for each in kept.archives] == [False, True, True]


# -- a journal that lacks what its copies have ----------------------------------------------------
async def test_a_journal_that_was_put_back_is_refused(kept, autojump_clock):
    await kept.happen(2)
    before = kept.journal.reopened()
    await kept.happen(1)
    await kept.mirror().catch_up(5)
    kept.journal = before
    with pytest.raises(JournalCorrupt, match="has 3 events: the journal ends at event 2"):
        await kept.mirror().check()


async def test_another_journal_is_refused_and_its_copies_stay(kept, autojump_clock):
    await kept.happen(2)
    await kept.mirror().catch_up(5)
    stored = await kept.stored(kept.archives[0])
    kept.journal = MemoryJournal(lambda: now_ms() + 1)
    await kept.happen(4)
    with pytest.raises(JournalCorrupt, match="event 2 of the journal is another"):
        await kept.mirror().check()
    await kept.mirror().catch_up(5)
    assert await kept.stored(kept.archives[0]) == stored


async def test_archives_that_do_not_answer_do_not_keep_a_server_from_starting(kept, autojump_clock):
    kept.archives[0].hanging = True
    kept.archives[1].failing = True
    await kept.happen()
    await kept.mirror().check()


async def test_a_damaged_segment_is_written_again(kept, autojump_clock):
    await kept.happen(3)
    await kept.mirror().catch_up(5)
    name = (await kept.archives[0].names())[0]
    await kept.archives[0].write_at(name, 0, b"garbage")
    assert (await find_end(kept.archives[0])).seq == 0
    mirror = kept.mirror()
    await mirror.check()
    await mirror.catch_up(5)
    assert await kept.complete(kept.archives[0])


# -- what may be deleted --------------------------------------------------------------------------
async def test_what_happened_is_settled_when_three_copies_have_it(nursery, autojump_clock):
    kept = Kept(count=6)
    for archive in kept.archives[:4]:
        archive.failing = True
    mirror = kept.mirror()
    await trio.sleep(1)
    await kept.happen()
    happened_ms = (await kept.journal.head()).at_ms
    await nursery.start(mirror.run)
    await trio.sleep(10)
    assert mirror.settled_ms() < happened_ms
    kept.archives[0].failing = False
    await trio.sleep(journal_mirror.RETRY_MAX_S + 2)
    assert mirror.settled_ms() >= happened_ms


async def test_without_archives_everything_is_settled(autojump_clock):
    assert Kept(count=0).mirror().settled_ms() > 10**15
