import pytest
import trio

from stratum.adapters.anchor_key import AnchorKey, open_anchor_key, verify_signature
from stratum.adapters.memory_archive import MemoryArchive
from stratum.adapters.memory_journal import MemoryJournal
from stratum.app.anchors import AnchorWriter, append_anchor, archive_findings
from stratum.app.journal_mirror import JournalMirror
from stratum.domain.anchor import ANCHORS_FILE, RECOVERED, make_anchor, parse_anchors
from stratum.domain.errors import InvalidConfig, RemoteFailed
from stratum.domain.events import CopiesReclaimed


def now_ms():
    return round(trio.current_time() * 1000)


@pytest.fixture
def key(tmp_path) -> AnchorKey:
    return open_anchor_key(tmp_path / "anchor-key.pem", create=True)


class Anchored:
    """A journal with copies and anchors in two places."""

    def __init__(self, key):
        self.key = key
        self.journal = MemoryJournal(now_ms)
        self.archives = [MemoryArchive("one"), MemoryArchive("two")]

    def writer(self, **options):
        return AnchorWriter(
            self.journal, self.archives, self.key.sign, self.key.public, now_ms, **options
        )

    async def happen(self, name="c"):
        await self.journal.transact(lambda _: [CopiesReclaimed((name,))], by="system")

    async def mirror(self):
        pairs = [(archive, 1.0) for archive in self.archives]
        await JournalMirror(self.journal, pairs, now_ms).catch_up(5)

    async def anchors(self, archive=0):
        return parse_anchors(await self.archives[archive].read(ANCHORS_FILE))[0]

    async def findings(self, **options):
        walk = archive_findings(self.journal, self.archives, verify_signature, **options)
        return [f"{each.kind} {each.subject}: {each.detail}" async for each in walk]


@pytest.fixture
async def store(key):
    store = Anchored(key)
    for name in "abc":
        await store.happen(name)
    return store


async def test_the_head_is_anchored_as_the_journal_grows_and_at_the_end(store, autojump_clock):
    with trio.move_on_after(25):
        async with trio.open_nursery() as nursery:
            await nursery.start(store.writer(interval_s=10).run)
            await trio.sleep(5)
            await store.happen()
            await trio.sleep(18)
            await store.happen()
    assert [each.seq for each in await store.anchors()] == [3, 4, 5]
    assert await store.anchors(0) == await store.anchors(1)
    assert await store.findings() == []


class DamagedArchive(MemoryArchive):
    """What was put there can't be read, until it is put again."""

    damaged = True

    async def read(self, name):
        if self.damaged:
            raise RemoteFailed("not what was put")
        return await super().read(name)

    async def write_at(self, name, offset, data):
        self.damaged = False
        await super().write_at(name, offset, data)


async def test_a_damaged_file_of_anchors_is_written_again(store, autojump_clock):
    await store.writer().write()
    store.archives.append(DamagedArchive("three"))
    await store.happen()
    await store.writer().write()
    seqs = {each.seq for each in await store.anchors(2)}
    assert 4 in seqs
    assert seqs <= {3, 4}
    assert await store.findings() == []


async def test_a_good_journal_with_its_copies_has_no_findings(store, autojump_clock):
    await store.mirror()
    await store.writer().write()
    await store.happen()
    assert await store.findings() == []
    assert await store.findings(trusted_key=store.key.public) == []


async def test_a_journal_that_was_cut_off_is_found(store, autojump_clock):
    before = store.journal.reopened()
    await store.happen()
    await store.writer().write()
    store.journal = before
    detail = "the journal once had event 4, now it ends at event 3"
    assert await store.findings() == [f"anchor one: {detail}", f"anchor two: {detail}"]


async def test_a_journal_that_was_written_anew_is_found(store, autojump_clock):
    await store.writer().write()
    store.journal = MemoryJournal(now_ms)
    for name in "xyzdef":
        await store.happen(name)
    assert (await store.journal.check_chain()).seq == 6
    detail = "event 3 or one before it was another"
    assert await store.findings() == [f"anchor one: {detail}", f"anchor two: {detail}"]


async def test_a_changed_or_foreign_anchor_is_found(store, tmp_path, autojump_clock):
    await store.writer().write()
    lines = await store.archives[0].read(ANCHORS_FILE)
    await store.archives[0].write_at(ANCHORS_FILE, 0, lines.replace(b'"seq": 3', b'"seq": 2'))
    assert await store.findings() == ["anchor one: line 1 is not what was signed"]
    store.key = open_anchor_key(tmp_path / "other.pem", create=True)
    await store.happen()
    await store.writer().write()
    trusted = await store.findings(trusted_key=store.key.public)
    assert "anchor two: that of event 3 has another key" in trusted


async def test_without_an_anchor_of_the_trusted_key_nothing_is_proved(store, autojump_clock):
    assert await store.findings(trusted_key=bytes(32)) == [
        "anchor journal: no anchor was signed with the given key"
    ]


async def test_anchors_a_recovery_could_not_keep_are_void(store, autojump_clock):
    before = store.journal.reopened()
    await store.happen()
    await store.writer().write()
    store.journal = before
    head = await before.head()
    for archive in store.archives:
        statement = make_anchor(
            RECOVERED, head.seq, head.digest, now_ms(), store.key.public, store.key.sign
        )
        await append_anchor(archive, statement)
    assert await store.findings() == []


async def test_a_copy_that_was_changed_is_found(store, autojump_clock):
    await store.mirror()
    (name,) = await store.archives[0].names()
    await store.archives[0].write_at(name, 0, b"garbage")
    assert await store.findings() == [f"archive one: {name} is not a segment of events"]


async def test_a_copy_of_another_journal_is_found(store, autojump_clock):
    await store.mirror()
    store.journal = MemoryJournal(now_ms)
    await store.happen()
    assert await store.findings() == [
        "archive one: event 3 of the journal is missing",
        "archive two: event 3 of the journal is missing",
    ]


def test_the_key_is_kept_and_is_private(tmp_path):
    path = tmp_path / "folder" / "key.pem"
    assert open_anchor_key(path, create=False) is None
    made = open_anchor_key(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_anchor_key(path, create=True).public == made.public
    assert made.is_new
    assert verify_signature(made.public, b"message", made.sign(b"message"))
    assert not verify_signature(made.public, b"other", made.sign(b"message"))
    assert not verify_signature(b"short", b"message", made.sign(b"message"))
    assert "rivate" not in repr(made)


def test_a_file_that_is_no_key_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("something")
    with pytest.raises(InvalidConfig, match="can't be read"):
        open_anchor_key(path, create=True)
