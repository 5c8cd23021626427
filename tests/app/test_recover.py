"""The journal is lost; its copies, the disks and the remote make another one."""

import json

import pytest
import trio
import trio.lowlevel

from stratum.adapters.memory_archive import MemoryArchive
from stratum.adapters.memory_journal import MemoryJournal
from stratum.adapters.record_codec import decode_record
from stratum.app.datapath import REMOTE_MAGIC
from stratum.app.journal_mirror import JournalMirror
from stratum.app.recover import Clock, restore_events, salvage
from stratum.app.recover import Store as Remains
from stratum.domain.errors import DiskFailed, NoSuchKey
from stratum.domain.events import JournalRecovered, VersionCommitted
from stratum.domain.names import ObjectKey, Tier
from stratum.domain.object import Target
from stratum.domain.salvage import Defaults
from stratum.domain.settings import BucketSettings, Versioning
from stratum.domain.upload import PART_SIZE_MIN_BYTES
from tests.support.store import Store
from tests.support.tiering_world import ALICE, BUCKET, content_of

HOT, WARM, COLD = Tier
SMALL, LARGE = content_of(100), content_of(50_000, 2)


class Lost:
    """A store whose journal is copied by hand, and then lost."""

    def __init__(self) -> None:
        self.store = Store(grace_s=1)
        self.archives = [MemoryArchive(f"archive{number}") for number in range(3)]
        self.report = None

    async def mirror(self) -> None:
        pairs = [(archive, 1.0) for archive in self.archives]
        await JournalMirror(self.store.journal, pairs, self.store.now_ms).catch_up(5)

    async def recover(self) -> Store:
        """What a server finds after the recovery."""
        lost = self.store
        remains = Remains(
            lost.disks,
            lost.remote,
            self.archives,
            decode_record,
            REMOTE_MAGIC,
            Defaults(ALICE, "us-east-1"),
        )
        rows = []

        async def append(added):
            rows.extend((r.stream, r.version, r.topic, r.state, r.digest) for r in added)

        def progress(what, done):
            pass

        restored = await restore_events(remains, append, progress)
        clock = Clock(lost.now_ms)
        journal = MemoryJournal(clock, rows)
        self.report = await salvage(remains, journal, clock, restored, progress)
        self.store = type(lost)(before=lost, journal=journal, **lost._made_with)
        return self.store

    async def clean(self) -> bool:
        """Nothing is wrong with what was recovered, once it was started and tidied up."""
        await self.store.settle()
        await trio.sleep(5)
        while await self.store.reclaimer.reclaim():
            pass
        findings = await self.store.findings()
        assert findings == []
        return True


@pytest.fixture
async def lost():
    lost = Lost()
    await lost.store.claim()
    return lost


def key(name):
    return ObjectKey(name)


async def test_everything_comes_back_from_a_copy(lost, autojump_clock):
    for name, content in (("a", SMALL), ("b", LARGE), ("c", b"")):
        await lost.store.put(name, content)
    await lost.mirror()
    before = await lost.store.journal.head()
    again = await lost.recover()
    assert [await again.get(name) for name in "abc"] == [SMALL, LARGE, b""]
    assert (await again.journal.check_chain()).seq == before.seq + 1
    assert lost.report.restored_seq == before.seq
    assert lost.report.versions == 0
    assert lost.report.objects == 3
    assert await lost.clean()


async def test_what_is_newer_than_the_copies_comes_from_the_shards(lost, autojump_clock):
    await lost.store.put("a", SMALL)
    await lost.mirror()
    await trio.sleep(1)
    was = await lost.store.put("b", LARGE)
    await lost.store.put("a", b"newer")
    await trio.sleep(10)
    again = await lost.recover()
    assert await again.get("a") == b"newer"
    assert await again.get("b") == LARGE
    now = again.volume("b")
    assert (now.id, now.checksum, now.created_at_ms) == (was.id, was.checksum, was.created_at_ms)
    assert (lost.report.versions, lost.report.dropped) == (2, 0)
    assert await lost.clean()


async def test_without_any_copy_objects_come_from_the_shards(lost, autojump_clock):
    contents = {f"k{number}": content_of(3000 * number, number) for number in range(8)}
    for name, content in contents.items():
        await trio.sleep(1)
        await lost.store.put(name, content)
    await lost.store.put("k1", b"newest")
    modified = {name: lost.store.volume(name).created_at_ms for name in contents}
    again = await lost.recover()
    for name, content in contents.items():
        assert await again.get(name) == (b"newest" if name == "k1" else content)
        assert again.volume(name).created_at_ms == modified[name]
    assert again.journal.catalog.bucket(BUCKET).owner == ALICE
    assert (lost.report.restored_seq, lost.report.source) == (0, "")
    assert await lost.clean()


async def test_metadata_and_owner_are_those_of_before(lost, autojump_clock):
    await lost.store.put("a", SMALL)
    before = lost.store.journal.catalog.version(BUCKET, key("a"))
    again = await lost.recover()
    after = again.journal.catalog.version(BUCKET, key("a"))
    assert (after.etag, after.metadata, after.checksums, after.attributes, after.location) == (
        before.etag,
        before.metadata,
        before.checksums,
        before.attributes,
        before.location,
    )


async def test_deleted_objects_stay_deleted_if_a_copy_knows(lost, autojump_clock):
    await lost.store.put("a", SMALL)
    await lost.store.objects.delete(ALICE, Target(BUCKET, key("a")))
    await lost.mirror()
    again = await lost.recover()
    with pytest.raises(NoSuchKey):
        await again.get("a")
    assert await lost.clean()


async def test_shards_of_reclaimed_objects_stay_dead(lost, autojump_clock):
    """A disk was away when they were deleted."""
    volume = await lost.store.put("a", SMALL)
    name = volume.location.extents[0].id
    kept = [bytes(disk.data(name)) for disk in lost.store.hot]
    await lost.store.objects.delete(ALICE, Target(BUCKET, key("a")))
    await trio.sleep(5)
    await lost.store.reclaimer.reclaim()
    await lost.mirror()
    for disk, data in zip(lost.store.hot, kept, strict=True):
        disk.add(name, data)
    again = await lost.recover()
    with pytest.raises(NoSuchKey):
        await again.get("a")
    assert lost.report.versions == 0


async def test_a_deletion_that_no_copy_knows_is_undone(lost, autojump_clock):
    """As documented: within the lag a deletion may come back, never as half an object."""
    await lost.store.put("a", LARGE)
    await lost.mirror()
    await lost.store.objects.delete(ALICE, Target(BUCKET, key("a")))
    again = await lost.recover()
    assert await again.get("a") == LARGE
    assert await lost.clean()


@pytest.mark.parametrize("target", [WARM, COLD])
@pytest.mark.parametrize("mirrored", ["all", "before the move", "nothing"])
async def test_moved_objects_are_where_they_were_moved(lost, target, mirrored, autojump_clock):
    await lost.store.put("a", LARGE)
    if mirrored == "before the move":
        await lost.mirror()
    async with lost.store.running("mover"):
        await lost.store.move("a", target)
        await lost.store.settled()
    if mirrored == "all":
        await lost.mirror()
    again = await lost.recover()
    assert again.tier("a") is target
    assert await again.get("a") == LARGE
    assert await lost.clean()


async def test_an_unfinished_move_is_no_loss(lost, autojump_clock):
    await lost.store.put("a", LARGE)
    lost.store.disks[WARM][0].failing.add("publish")
    await lost.mirror()
    async with lost.store.running("mover") as nursery:
        await lost.store.move("a", WARM)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    again = await lost.recover()
    assert await again.get("a") == LARGE


# -- versions -------------------------------------------------------------------------------------
async def versioned(lost):
    await lost.store.make_bucket()
    value = BucketSettings(versioning=Versioning.ENABLED)
    await lost.store.buckets.configure(ALICE, BUCKET, "versioning", value)
    for content in (b"one", b"two"):
        await lost.store.put("a", content)
        await trio.sleep(1)


@pytest.mark.parametrize("mirrored", [True, False])
async def test_all_versions_come_back(lost, mirrored, autojump_clock):
    await versioned(lost)
    if mirrored:
        await lost.mirror()
    await lost.store.put("a", b"three")
    again = await lost.recover()
    assert await again.get("a") == b"three"
    catalog = again.journal.catalog
    assert catalog.bucket(BUCKET).settings.versioning is Versioning.ENABLED
    assert lost.report.objects == 3
    assert await lost.clean()


# -- uploads --------------------------------------------------------------------------------------
PARTS = [content_of(PART_SIZE_MIN_BYTES, 7), content_of(1000, 8)]


@pytest.mark.parametrize("mirrored", ["nothing", "started", "one part", "parts", "all"])
async def test_completed_uploads_come_back(lost, mirrored, autojump_clock):
    upload = await lost.store.start_upload("m")
    if mirrored == "started":
        await lost.mirror()
    named = [await lost.store.put_part(upload, 1, PARTS[0])]
    if mirrored == "one part":
        await lost.mirror()
    named.append(await lost.store.put_part(upload, 2, PARTS[1]))
    if mirrored == "parts":
        await lost.mirror()
    await lost.store.complete(upload, named)
    if mirrored == "all":
        await lost.mirror()
    before = lost.store.journal.catalog.version(BUCKET, key("m"))
    again = await lost.recover()
    assert await again.get("m") == b"".join(PARTS)
    after = again.journal.catalog.version(BUCKET, key("m"))
    assert (after.etag, after.parts, after.location) == (before.etag, before.parts, before.location)
    if mirrored != "started":
        assert again.journal.catalog.upload(upload.id) is None
    assert await lost.clean()


@pytest.mark.parametrize("mirrored", ["nothing", "started", "one part", "all"])
async def test_uploads_in_progress_can_be_completed(lost, mirrored, autojump_clock):
    upload = await lost.store.start_upload("m")
    if mirrored == "started":
        await lost.mirror()
    named = [await lost.store.put_part(upload, 1, PARTS[0])]
    if mirrored == "one part":
        await lost.mirror()
    named.append(await lost.store.put_part(upload, 2, PARTS[1]))
    if mirrored == "all":
        await lost.mirror()
    again = await lost.recover()
    await again.complete(again.uploads.get(BUCKET, key("m"), upload.id), named)
    assert await again.get("m") == b"".join(PARTS)
    assert await lost.clean()


async def test_aborted_uploads_stay_aborted(lost, autojump_clock):
    upload = await lost.store.start_upload("m")
    await lost.store.put_part(upload, 1, PARTS[0])
    await lost.store.abort(upload)
    await lost.mirror()
    again = await lost.recover()
    assert again.journal.catalog.upload(upload.id) is None
    assert await lost.clean()


# -- damage ---------------------------------------------------------------------------------------
async def test_any_two_disks_may_be_gone_as_well(lost, autojump_clock):
    await lost.store.put("a", LARGE)
    await lost.mirror()
    await lost.store.put("b", LARGE)
    for disk in lost.store.hot[1:3]:
        disk.failing = {"label", "open", "staged", "create", "seal", "delete"}
    again = await lost.recover()
    assert [await again.get(name) for name in "ab"] == [LARGE, LARGE]
    assert lost.report.absent == ["hot1", "hot2"]
    assert lost.report.unreadable == 0


async def test_objects_with_too_few_shards_are_named(lost, autojump_clock):
    await lost.store.put("a", LARGE)
    await lost.store.put("b", LARGE)
    await lost.mirror()
    for disk in lost.store.hot[:3]:
        disk.lose(lost.store.extents("a")[0])
    again = await lost.recover()
    assert (lost.report.unreadable, lost.report.unreadable_names) == (1, [f"{BUCKET}/a"])
    assert await again.get("b") == LARGE


async def test_what_was_never_whole_is_dropped(lost, autojump_clock):
    await lost.store.put("a", LARGE)
    for disk in lost.store.hot[:3]:
        disk.lose(lost.store.extents("a")[0])
    again = await lost.recover()
    assert again.journal.catalog.version(BUCKET, key("a")) is None
    assert (lost.report.versions, lost.report.dropped) == (0, 1)


async def test_a_copy_that_is_damaged_in_the_middle_is_filled_from_another(lost, autojump_clock):
    await lost.store.put("a", SMALL)
    await lost.mirror()
    (name,) = await lost.archives[0].names()
    data = await lost.archives[0].read(name)
    for place in (0, 1):
        await lost.archives[place].write_at(name, 0, data[: len(data) // 2] + b"\xff" * 50)
    again = await lost.recover()
    assert lost.report.restored_seq == (await again.journal.head()).seq - 1
    assert lost.report.source == "archive2"


async def test_disks_in_another_order_are_refused(lost, autojump_clock):
    await lost.store.put("a", SMALL)
    hot = lost.store.disks[HOT]
    hot[0], hot[1] = hot[1], hot[0]
    with pytest.raises(DiskFailed, match="its label says"):
        await lost.recover()


async def test_what_was_staged_and_older_than_the_key_does_not_win(lost, autojump_clock):
    """A write that was never acknowledged, beside a newer one that was."""
    volume = await lost.store.put("a", b"unacknowledged")
    name = volume.location.extents[0].id
    staged = [bytes(disk.data(name)) for disk in lost.store.hot]
    lost.store.journal = MemoryJournal(lost.store.now_ms)
    lost = Lost()
    await lost.store.claim()
    await trio.sleep(1)
    await lost.store.put("a", b"acknowledged")
    await lost.mirror()
    for disk, data in zip(lost.store.hot, staged, strict=True):
        disk._staged[name] = bytearray(data)
    again = await lost.recover()
    assert await again.get("a") == b"acknowledged"
    assert await lost.clean()


async def test_the_journal_says_what_happened_to_it(lost, autojump_clock):
    await lost.store.put("a", SMALL)
    await lost.mirror()
    head = await lost.store.journal.head()
    await lost.store.put("b", SMALL)
    again = await lost.recover()
    (told,) = await again.journal.history("recovery")
    assert told.event == JournalRecovered(
        head.seq, head.digest.hex(), head.at_ms, "archive0", 1, 0, 0, 0
    )
    assert told.by == "operator"
    salvaged = (await again.journal.read(head.seq, 1))[0]
    assert isinstance(salvaged.event, VersionCommitted)
    json.dumps(vars(lost.report))


async def test_a_second_recovery_changes_nothing(lost, autojump_clock):
    for name in "abc":
        await lost.store.put(name, LARGE)
    await lost.recover()
    first = lost.report
    await lost.mirror()
    again = await lost.recover()
    assert (lost.report.versions, lost.report.objects) == (0, first.objects)
    assert await again.get("c") == LARGE
    assert await lost.clean()
