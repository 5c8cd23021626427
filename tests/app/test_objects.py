"""Use cases on objects, and what a journal in trouble means for them."""

import hashlib

import pytest
import trio

from stratum.adapters.memory_journal import MemoryJournal
from stratum.app.payload import Stated
from stratum.domain.checksums import ChecksumAlgorithm
from stratum.domain.conditions import NO_CONDITIONS, Conditions, EntityTags
from stratum.domain.errors import (
    BadDigest,
    DiskFailed,
    InsufficientShards,
    InvalidArgument,
    InvalidPartNumber,
    InvalidRange,
    JournalCorrupt,
    NoSuchBucket,
    NoSuchKey,
    NotModified,
    PreconditionFailed,
    RemoteFailed,
    Unavailable,
)
from stratum.domain.listing import ListRequest
from stratum.domain.names import BucketName, ObjectKey
from stratum.domain.object import Deletion, Target
from stratum.domain.ranges import ByteRange
from stratum.domain.volume import Metadata
from tests.support.store import COLD, HOT, WARM, Store, source_of
from tests.support.tiering_world import ALICE, BUCKET, STRIPE_SIZE_BYTES, content_of

CONTENT = content_of(2 * STRIPE_SIZE_BYTES + 11)
KEY = ObjectKey("k")
ANY = EntityTags(any=True)


def tag(version):
    return EntityTags(strong=frozenset({version.etag}))


# -- writing and reading --------------------------------------------------------------------------
async def test_a_version_is_described_as_it_was_stored():
    store = Store()
    await store.make_bucket()
    metadata = Metadata({"content-type": "text/plain"}, {"a": "b"})
    version = await store.objects.put(ALICE, BUCKET, KEY, source_of(CONTENT), Stated(), metadata)
    assert version.etag == hashlib.md5(CONTENT).hexdigest()
    assert version.size_bytes == len(CONTENT)
    assert version.metadata == metadata
    assert version == store.objects.head(BUCKET, KEY)


async def test_refusals_come_before_the_first_byte():
    store = Store()

    class Unread:
        async def read_into(self, buffer):
            raise AssertionError("it was read")

    with pytest.raises(NoSuchBucket):
        await store.objects.put(ALICE, BucketName("nowhere"), KEY, Unread(), Stated(), Metadata())
    await store.put("k", b"x")
    with pytest.raises(PreconditionFailed):
        await store.put_source("k", Unread(), conditions=Conditions(if_none_match=ANY))


async def test_a_wrong_checksum_stores_nothing():
    store = Store()
    with pytest.raises(BadDigest):
        await store.put_source("k", source_of(CONTENT), Stated(md5=bytes(16)))
    with pytest.raises(NoSuchKey):
        store.objects.head(BUCKET, KEY)
    assert store.shards() == set()


async def test_overwriting_frees_the_old_copy(autojump_clock):
    store = Store(grace_s=5)
    old = await store.put("k", CONTENT)
    new = await store.put("k", b"new")
    assert store.shards() == {old.id, new.id}
    async with store.running("reclaimer"):
        await trio.sleep(4)
        assert store.shards() == {old.id, new.id}
        await trio.sleep(4)
        assert store.shards() == {new.id}
    assert await store.get("k") == b"new"
    assert await store.findings() == []


async def test_deleting(autojump_clock):
    store = Store(grace_s=0)
    await store.put("k", CONTENT)
    await store.objects.delete(ALICE, Target(BUCKET, KEY))
    with pytest.raises(NoSuchKey):
        await store.get("k")
    await store.objects.delete(ALICE, Target(BUCKET, KEY))  # not there: no error
    async with store.running("reclaimer"):
        await trio.sleep(5)
    assert await store.stored() == set()


async def test_deleting_many_answers_each():
    store = Store()
    for number in range(100):
        await store.put(f"k{number}", b"x")
    targets = [Target(BUCKET, ObjectKey(f"k{number}")) for number in range(102)]
    targets[3] = Target(BUCKET, ObjectKey("k3"), Conditions(if_match=EntityTags()))
    results = await store.objects.delete_many(ALICE, BUCKET, targets)
    assert [i for i, result in enumerate(results) if not isinstance(result, Deletion)] == [3]
    assert isinstance(results[3], PreconditionFailed)
    page = await store.objects.list(BUCKET, ListRequest())
    assert [entry.key for entry in page.entries] == ["k3"]
    with pytest.raises(NoSuchBucket):
        await store.objects.delete_many(ALICE, BucketName("nowhere"), [])


async def test_ranges_and_parts():
    store = Store()
    await store.put("k", CONTENT)
    assert await store.get_range("k", 5, 9) == CONTENT[5:10]
    assert await store.get_range("k", 5) == CONTENT[5:]
    assert await store.get_range("k", None, 7) == CONTENT[-7:]
    async with store.objects.open(BUCKET, KEY, part_number=1) as download:
        assert download.span.length == len(CONTENT)
        assert download.partial
    with pytest.raises(InvalidRange):
        await store.get_range("k", len(CONTENT))
    for number, error in ((2, InvalidPartNumber),):
        with pytest.raises(error):
            await store.objects.open(BUCKET, KEY, part_number=number).__aenter__()
    with pytest.raises(InvalidArgument):
        await store.objects.open(BUCKET, KEY, ByteRange(0, 1), 1).__aenter__()


async def test_conditional_reads():
    store = Store()
    await store.put("k", CONTENT)
    version = store.objects.head(BUCKET, KEY, Conditions(if_match=ANY))
    with pytest.raises(NotModified):
        store.objects.head(BUCKET, KEY, Conditions(if_none_match=tag(version)))
    with pytest.raises(PreconditionFailed):
        store.objects.head(BUCKET, KEY, Conditions(if_match=EntityTags()))


# -- races ----------------------------------------------------------------------------------------
async def test_of_many_creations_one_wins():
    store = Store()
    await store.make_bucket()
    outcomes = []

    async def create(number):
        source = source_of(content_of(1000, seed=number), 100)
        try:
            await store.put_source("k", source, conditions=Conditions(if_none_match=ANY))
            outcomes.append(number)
        except PreconditionFailed:
            outcomes.append(None)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(create, number)
    (winner,) = [each for each in outcomes if each is not None]
    assert await store.get("k") == content_of(1000, seed=winner)
    assert store.shards() == set(store.extents("k"))  # the others left nothing


async def test_of_many_compare_and_swaps_one_wins():
    store = Store()
    await store.put("k", b"old")
    conditions = Conditions(if_match=tag(store.objects.head(BUCKET, KEY)))
    won = []

    async def swap(number):
        try:
            await store.put_source("k", source_of(b"%d" % number), conditions=conditions)
            won.append(number)
        except PreconditionFailed:
            pass

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(swap, number)
    assert len(won) == 1
    assert await store.get("k") == b"%d" % won[0]


async def test_a_bucket_deleted_during_a_put():
    store = Store()
    await store.make_bucket()

    class Slow:
        async def read_into(self, buffer):
            await store.buckets.delete(ALICE, BUCKET)
            return 0

    with pytest.raises(NoSuchBucket):
        await store.objects.put(ALICE, BUCKET, KEY, Slow(), Stated(), Metadata())
    assert store.shards() == set()


# -- copies ---------------------------------------------------------------------------------------
async def copy(
    store, source, target, metadata=None, algorithm=None, of=NO_CONDITIONS, to=NO_CONDITIONS
):
    return await store.objects.copy(
        ALICE,
        store.objects.source(BUCKET, ObjectKey(source), None, of),
        (BUCKET, ObjectKey(target)),
        metadata,
        algorithm,
        to,
    )


async def test_a_copy_is_independent_of_its_source(autojump_clock):
    store = Store(grace_s=0)
    await store.put("a", CONTENT)
    version = await copy(store, "a", "b")
    assert version.etag == store.objects.head(BUCKET, ObjectKey("a")).etag
    await store.objects.delete(ALICE, Target(BUCKET, ObjectKey("a")))
    async with store.running("reclaimer"):
        await trio.sleep(5)
    assert await store.get("b") == CONTENT
    assert await store.findings() == []


async def test_a_copy_onto_itself_needs_something_to_change():
    store = Store()
    await store.put("k", CONTENT)
    before = store.extents("k")
    changed = await copy(store, "k", "k", Metadata({}, {"new": "1"}))
    assert changed.metadata.user == {"new": "1"}
    assert await store.get("k") == CONTENT
    assert store.extents("k") != before
    changed = await copy(store, "k", "k", algorithm=ChecksumAlgorithm.SHA256)
    assert changed.checksums[0].algorithm is ChecksumAlgorithm.SHA256


async def test_conditions_of_copies():
    store = Store()
    await store.put("a", CONTENT)
    for conditions in (
        {"of": Conditions(if_match=EntityTags())},
        {"to": Conditions(if_match=EntityTags())},
    ):
        with pytest.raises((PreconditionFailed, NoSuchKey)):
            await copy(store, "a", "b", **conditions)
    with pytest.raises(NoSuchKey):
        await copy(store, "nothing", "b")
    assert store.shards() == set(store.extents("a"))


async def test_a_copy_of_a_damaged_object_is_refused_and_leaves_nothing():
    store = Store()
    await store.put("a", CONTENT)
    for index in range(3):
        data = store.hot[index].data(*store.extents("a"))
        del data[len(data) // 2 :]  # the first stripe is still good
    with pytest.raises(InsufficientShards):
        await copy(store, "a", "b")
    assert store.shards() == set(store.extents("a"))
    with pytest.raises(NoSuchKey):
        await store.get("b")


# -- readers and moves ----------------------------------------------------------------------------
@pytest.mark.parametrize(("source", "target"), [(HOT, COLD), (COLD, HOT), (WARM, COLD)])
async def test_a_reader_whose_copy_was_reclaimed_finds_the_new_one(autojump_clock, source, target):
    store = Store(grace_s=0)
    async with store.running("mover", "reclaimer"):
        await store.put("k", CONTENT)
        if source is not HOT:
            await store.move("k", source)
            await store.settled()
        version = store.objects.head(BUCKET, KEY)
        await store.move("k", target)
        await store.settled()
        await trio.sleep(10)
        span = ByteRange(0, None).resolve(len(CONTENT))
        async with store.objects.read(version, span) as pieces:
            assert b"".join([bytes(piece) async for piece in pieces]) == CONTENT


async def test_a_reader_whose_object_is_gone_is_told_so(autojump_clock):
    store = Store(grace_s=0)
    async with store.running("mover", "reclaimer"):
        await store.put("k", CONTENT)
        version = store.objects.head(BUCKET, KEY)
        await store.put("k", b"new")
        await trio.sleep(10)
        span = ByteRange(0, None).resolve(len(CONTENT))
        with pytest.raises(InsufficientShards):
            await store.objects.read(version, span).__aenter__()


async def test_a_cold_object_without_its_remote(autojump_clock):
    store = Store()
    async with store.running("mover"):
        await store.put("k", CONTENT)
        await store.move("k", COLD)
        await store.settled()
    store.remote.fail_next(1)
    with pytest.raises(RemoteFailed):
        await store.get("k")
    assert await store.get("k") == CONTENT


# -- a journal in trouble -------------------------------------------------------------------------
class TroubledJournal(MemoryJournal):
    """Fails with `error`, before the transaction happened or after."""

    error = None
    happens = False

    async def transact(self, decide, *, by):
        if self.error is None:
            return await super().transact(decide, by=by)
        if self.happens:
            await super().transact(decide, by=by)
        raise self.error


@pytest.fixture
async def troubled():
    clockless = Store()
    store = Store(journal=TroubledJournal(clockless.now_ms))
    await store.put("k", b"old")
    return store


ERRORS = [
    DiskFailed("The journal cannot be written: disk I/O error"),
    Unavailable("The journal's writer has stopped"),
    JournalCorrupt("The journal's database is damaged"),
    RuntimeError("a defect"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_commit_that_failed_and_happened_all_the_same(troubled, error):
    """A COMMIT whose fsync failed may be found done after a crash: the write-ahead log has its
    frames. The old version is then gone, so the new one must be there."""
    troubled.journal.error, troubled.journal.happens = error, True
    with pytest.raises(type(error)):
        await troubled.put("k", CONTENT)
    store = troubled.restarted()
    await store.settle()
    assert await store.get("k") == CONTENT
    assert await store.findings() == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_commit_that_failed_is_cleaned_up_by_the_next_start(troubled, error):
    troubled.journal.error = error
    with pytest.raises(type(error)):
        await troubled.put("k", CONTENT)
    troubled.journal.error = None
    assert await troubled.get("k") == b"old"
    store = troubled.restarted()
    assert (await store.settle()).discarded == 1
    assert await store.get("k") == b"old"
    assert store.shards() == set(store.extents("k"))


@pytest.mark.parametrize("target", [WARM, COLD])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_move_is_tried_again_after_the_journal_failed(
    autojump_clock, troubled, error, target
):
    """The copy of the first attempt is still there, under the name the second one needs."""
    async with troubled.running("mover"):
        await troubled.move("k", target)
        troubled.journal.error = error
        await trio.sleep(0.5)
        troubled.journal.error = None
        assert troubled.tier("k") is HOT
        await troubled.settled()
        assert troubled.tier("k") is target
        assert trio.current_time() < 60
    assert await troubled.get("k") == b"old"
    assert not troubled.unpublished()


async def test_a_decision_that_refuses_is_cleaned_up_at_once(troubled):
    troubled.journal.error = PreconditionFailed("If-Match")
    with pytest.raises(PreconditionFailed):
        await troubled.put("k", CONTENT)
    assert troubled.shards() == set(troubled.extents("k"))
