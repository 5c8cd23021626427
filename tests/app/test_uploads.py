"""Multipart uploads: what they add up to, races, and what they leave on the disks."""

import hashlib

import pytest
import trio

from stratum.app.payload import Stated
from stratum.domain.checksums import ChecksumAlgorithm, ChecksumType
from stratum.domain.conditions import Conditions, EntityTags
from stratum.domain.errors import (
    BadDigest,
    EntityTooSmall,
    InsufficientDisks,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
)
from stratum.domain.listing import ListRequest
from stratum.domain.names import BucketName, ObjectKey, UploadId
from stratum.domain.object import Target
from stratum.domain.ranges import ByteRange
from stratum.domain.upload import NamedPart
from tests.support.store import COLD, Store, cancelled_at_step, source_of
from tests.support.tiering_world import ALICE, BUCKET, content_of

MIB = 1 << 20
LARGE = content_of(5 * MIB, seed=1)
SMALL = content_of(70_000, seed=2)
KEY = ObjectKey("k")


async def reclaimed(store):
    """Let reclaim do all its work."""
    async with store.running("reclaimer"):
        await trio.sleep(300)


async def assert_exact(store, *keys):
    """On the disks is exactly what these keys refer to."""
    assert await store.stored() == store.referenced(*keys)
    assert await store.findings() == []


# -- completing -----------------------------------------------------------------------------------
async def test_parts_become_an_object(autojump_clock):
    store = Store(grace_s=1)
    upload = await store.start_upload("k")
    # In any order, with gaps.
    second = await store.put_part(upload, 9, SMALL)
    first = await store.put_part(upload, 2, LARGE)
    version = await store.complete(upload, [first, second])
    assert await store.get("k") == LARGE + SMALL
    digests = hashlib.md5(LARGE).digest() + hashlib.md5(SMALL).digest()
    assert version.etag == hashlib.md5(digests).hexdigest() + "-2"
    assert version == store.objects.head(BUCKET, KEY)
    async with store.objects.open(BUCKET, KEY, part_number=9) as download:
        assert b"".join([bytes(piece) async for piece in download.pieces]) == SMALL
    boundary = len(LARGE)
    expected = (LARGE + SMALL)[boundary - 5 : boundary + 5]
    assert await store.get_range("k", boundary - 5, boundary + 4) == expected
    await reclaimed(store)
    await assert_exact(store, "k")


async def test_one_small_part_and_an_empty_one():
    store = Store()
    for name, content in (("small", b"x"), ("empty", b"")):
        upload = await store.start_upload(name)
        await store.complete(upload, [await store.put_part(upload, 1, content)])
        assert await store.get(name) == content
    await assert_exact(store, "small", "empty")


async def test_parts_not_listed_and_parts_replaced_are_reclaimed(autojump_clock):
    store = Store(grace_s=1)
    upload = await store.start_upload("k")
    await store.put_part(upload, 1, b"first try")
    kept = await store.put_part(upload, 1, b"second try")
    await store.put_part(upload, 2, b"not listed")
    await store.complete(upload, [kept])
    assert await store.get("k") == b"second try"
    await reclaimed(store)
    await assert_exact(store, "k")


async def test_an_aborted_upload_is_reclaimed(autojump_clock):
    store = Store(grace_s=1)
    await store.put("k", b"before")
    upload = await store.start_upload("k")
    await store.put_part(upload, 1, SMALL)
    await store.abort(upload)
    with pytest.raises(NoSuchUpload):
        await store.put_part(upload, 2, SMALL)
    with pytest.raises(NoSuchUpload):
        await store.abort(upload)
    assert await store.get("k") == b"before"
    await reclaimed(store)
    await assert_exact(store, "k")


async def test_an_object_of_parts_is_freed_as_a_whole(autojump_clock):
    store = Store(grace_s=1)
    for content in (b"overwritten", None):
        upload = await store.start_upload("k")
        parts = [await store.put_part(upload, 1, LARGE), await store.put_part(upload, 2, SMALL)]
        await store.complete(upload, parts)
        if content is None:
            await store.objects.delete(ALICE, Target(BUCKET, KEY))
        else:
            await store.put("k", content)
    await reclaimed(store)
    assert await store.stored() == set()


async def test_an_object_of_parts_moves(autojump_clock):
    store = Store(grace_s=1)
    upload = await store.start_upload("k")
    parts = [await store.put_part(upload, 1, LARGE), await store.put_part(upload, 2, SMALL)]
    before = await store.complete(upload, parts)
    async with store.running("mover"):
        await store.move("k", COLD)
        await store.settled()
    assert await store.get("k") == LARGE + SMALL
    after = store.objects.head(BUCKET, KEY)
    assert (after.etag, after.parts) == (before.etag, before.parts)
    await reclaimed(store)
    await assert_exact(store, "k")


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ([], InvalidArgument),
        ([(2, ""), (1, "")], InvalidPartOrder),
        ([(1, ""), (1, "0" * 32)], InvalidPart),
        ([(1, ""), (3, "")], InvalidPart),
        ([(1, "0" * 32)], InvalidPart),
        ([(1, ""), (2, "")], EntityTooSmall),
    ],
    ids=["none", "order", "twice", "missing", "etag", "small"],
)
async def test_a_completion_that_is_refused_leaves_the_upload_as_it_was(named, error):
    store = Store()
    upload = await store.start_upload("k")
    parts = {n: await store.put_part(upload, n, SMALL) for n in (1, 2)}
    listed = [NamedPart(n, etag or parts.get(n, parts[1]).etag) for n, etag in named]
    kept = store.shards()
    with pytest.raises(error):
        await store.complete(upload, listed)
    assert store.shards() == kept
    await store.complete(upload, [parts[1]])
    assert await store.get("k") == SMALL


async def test_what_the_client_says_of_the_whole_is_checked():
    store = Store()
    upload = await store.start_upload(
        "k",
        checksum_algorithm=ChecksumAlgorithm.CRC32,
        checksum_type=ChecksumType.FULL_OBJECT,
    )
    stored = await store.uploads.put_part(
        ALICE,
        upload,
        1,
        source_of(SMALL),
        Stated(size_bytes=len(SMALL), algorithm=ChecksumAlgorithm.CRC32),
    )
    named = [NamedPart(1, stored.etag)]
    (right,) = stored.checksums
    with pytest.raises(InvalidRequest):
        await store.complete(upload, named, size_bytes=len(SMALL) + 1)
    wrong = type(right)(right.algorithm, "AAAAAA==")
    with pytest.raises(BadDigest):
        await store.complete(upload, named, stated=wrong)
    version = await store.complete(upload, named, stated=right, size_bytes=len(SMALL))
    assert version.checksums == (right,)


async def test_a_completion_can_be_repeated():
    """A client whose connection broke asks again and must get the same answer."""
    store = Store()
    upload = await store.start_upload("k")
    part = await store.put_part(upload, 1, SMALL)
    first = await store.complete(upload, [part])
    assert await store.complete(upload, [part]) == first
    with pytest.raises(NoSuchUpload):
        await store.complete(upload, [NamedPart(2, part.etag)])
    await store.put("k", b"overwritten")
    with pytest.raises(NoSuchUpload):
        await store.complete(upload, [part])


async def test_two_completions_at_once_both_succeed(autojump_clock):
    """The retry may overtake the first request."""
    store = Store(grace_s=1)
    upload = await store.start_upload("k")
    part = await store.put_part(upload, 1, SMALL)
    answers = []

    async def complete():
        answers.append(await store.complete(upload, [part]))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(complete)
    assert len(answers) == 4
    assert len({answer.volume_id for answer in answers}) == 1
    await reclaimed(store)
    await assert_exact(store, "k")


async def test_conditions_hold_at_the_completion():
    store = Store()
    upload = await store.start_upload("k")
    part = await store.put_part(upload, 1, SMALL)
    await store.put("k", b"there")
    absent = Conditions(if_none_match=EntityTags(any=True))
    with pytest.raises(PreconditionFailed):
        await store.complete(upload, [part], conditions=absent)
    await store.objects.delete(ALICE, Target(BUCKET, KEY))
    await store.complete(upload, [part], conditions=absent)
    assert await store.get("k") == SMALL


class SetAtStep(trio.abc.Instrument):
    """Sets an event before step `number` of the scheduler; counts the steps."""

    def __init__(self, number):
        self.event = trio.Event()
        self.steps = 0
        self._number = number

    def before_task_step(self, task):
        self.steps += 1
        if self.steps == self._number:
            self.event.set()


async def test_a_part_replaced_during_the_completion():
    """Whichever comes first: the object is what was listed, or the completion is refused."""
    step, outcomes = 1, set()
    while True:
        store = Store()
        upload = await store.start_upload("k")
        part = await store.put_part(upload, 1, b"listed")

        late = SetAtStep(step)

        async def replace(store=store, upload=upload, go_on=late.event):
            await go_on.wait()
            try:
                await store.put_part(upload, 1, b"replaced")
            except NoSuchUpload:
                outcomes.add("too late")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(replace)
            trio.lowlevel.add_instrument(late)
            try:
                await store.complete(upload, [part])
                assert await store.get("k") == b"listed"
                outcomes.add("completed")
            except InvalidPart:
                assert store.journal.catalog.parts(upload.id)[0].size_bytes == len(b"replaced")
                outcomes.add("refused")
            finally:
                trio.lowlevel.remove_instrument(late)
                late.event.set()
        assert await store.findings() == []
        if late.steps < step:
            break
        step += 3
    assert outcomes >= {"completed", "too late"}


async def test_cancelled_anywhere_a_completion_has_happened_or_not():
    step, seen = 1, set()
    while True:
        store = Store()
        upload = await store.start_upload("k")
        part = await store.put_part(upload, 1, SMALL)
        ended = await cancelled_at_step(step, lambda s=store, u=upload, p=part: s.complete(u, [p]))
        try:
            seen.add(await store.get("k") == SMALL)
        except NoSuchKey:
            seen.add(False)
            await store.complete(upload, [part])
            assert await store.get("k") == SMALL
        await assert_exact(store, "k")
        if ended:
            break
        step += 1
    assert seen == {True, False}


async def test_without_disks_parts_are_refused_and_leave_nothing():
    store = Store()
    upload = await store.start_upload("k")
    store.hot[0].fail()
    store.hot[1].fail()
    with pytest.raises(InsufficientDisks):
        await store.put_part(upload, 1, SMALL)
    assert store.journal.catalog.parts(upload.id) == []
    store.hot[0].recover()
    store.hot[1].recover()
    assert store.shards() == set()


# -- parts ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [0, -1, 10_001])
async def test_part_numbers_have_limits(number):
    store = Store()
    upload = await store.start_upload("k")
    with pytest.raises(InvalidArgument):
        await store.put_part(upload, number, b"")


async def test_an_upload_belongs_to_its_key():
    store = Store()
    upload = await store.start_upload("k")
    for bucket, key, upload_id in (
        (BUCKET, ObjectKey("another"), upload.id),
        (BUCKET, KEY, UploadId("unknown")),
    ):
        with pytest.raises(NoSuchUpload):
            store.uploads.get(bucket, key, upload_id)
    with pytest.raises(NoSuchBucket):
        store.uploads.get(BucketName("nowhere"), KEY, upload.id)


async def test_a_range_of_an_object_as_a_part():
    store = Store()
    await store.put("source", LARGE)
    upload = await store.start_upload("k")
    source = store.objects.source(BUCKET, ObjectKey("source"))
    stored, at_ms = await store.uploads.copy_part(ALICE, upload, 1, source, ByteRange(10, 99_999))
    assert stored.size_bytes == 99_990
    assert at_ms <= store.now_ms()
    whole, _ = await store.uploads.copy_part(ALICE, upload, 2, source, None)
    assert whole.etag == hashlib.md5(LARGE).hexdigest()
    with pytest.raises(PreconditionFailed):
        store.objects.source(BUCKET, ObjectKey("source"), None, Conditions(if_match=EntityTags()))
    await store.complete(upload, [NamedPart(1, stored.etag)])
    assert await store.get("k") == LARGE[10:100_000]


async def test_listing_parts_and_uploads():
    store = Store()
    first, second = [await store.start_upload(key) for key in ("a", "b")]
    for number in (1, 3, 5):
        await store.put_part(first, number, b"x" * number)
    upload, parts = await store.uploads.parts(BUCKET, first.key, first.id, 1, 1)
    assert upload == first
    assert [(part.number, part.size_bytes) for part in parts] == [(3, 3)]
    page = await store.uploads.list(BUCKET, ListRequest())
    assert [entry.id for entry in page.entries] == [first.id, second.id]
    with pytest.raises(NoSuchBucket):
        await store.uploads.list(BucketName("nowhere"), ListRequest())
    with pytest.raises(NoSuchBucket):
        await store.uploads.start(
            ALICE,
            type(await _started(store, first))(
                store.uploads.new_upload_id(), BucketName("nowhere"), KEY, "o", "O"
            ),
        )


async def _started(store, upload):
    (started, *_) = await store.journal.history(f"upload/{upload.id}")
    return started.event
