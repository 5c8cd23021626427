import pytest
import trio

from stratum.domain.errors import (
    BucketAlreadyExists,
    BucketNotEmpty,
    NoSuchBucket,
)
from stratum.domain.names import BucketName, Caller
from stratum.domain.object import Target
from tests.support.store import Store
from tests.support.tiering_world import ALICE, BUCKET

BOB = Caller("bob-id", "bob")
OTHER = BucketName("another")


async def test_a_bucket_is_made_and_unmade():
    store = Store()
    await store.buckets.create(ALICE, BUCKET)
    bucket = store.buckets.get(BUCKET)
    assert (bucket.name, bucket.owner, bucket.region) == (BUCKET, ALICE, "us-east-1")
    assert bucket.created_at_ms <= store.now_ms()
    await store.buckets.delete(ALICE, BUCKET)
    with pytest.raises(NoSuchBucket):
        store.buckets.get(BUCKET)
    with pytest.raises(NoSuchBucket):
        await store.buckets.delete(ALICE, BUCKET)
    await store.buckets.create(BOB, BUCKET)
    assert store.buckets.get(BUCKET).owner == BOB


async def test_a_name_is_taken_once():
    store = Store()
    await store.buckets.create(ALICE, BUCKET)
    await store.buckets.create(ALICE, BUCKET)
    assert (await store.journal.head()).seq == 1
    with pytest.raises(BucketAlreadyExists):
        await store.buckets.create(BOB, BUCKET)


async def test_of_many_creations_one_wins():
    store, made = Store(), []

    async def create(caller):
        try:
            await store.buckets.create(caller, BUCKET)
            made.append(caller)
        except BucketAlreadyExists:
            pass

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(create, Caller(f"id{number}", "someone"))
    assert [store.buckets.get(BUCKET).owner] == made


async def test_only_an_empty_bucket_goes():
    store = Store()
    volume = await store.put("k", b"")
    with pytest.raises(BucketNotEmpty):
        await store.buckets.delete(ALICE, BUCKET)
    await store.objects.delete(ALICE, Target(BUCKET, volume.key))
    await store.buckets.delete(ALICE, BUCKET)


async def test_a_bucket_made_again_has_nothing_of_the_old_one():
    store = Store()
    upload = await store.start_upload("k")
    await store.abort(upload)
    await store.buckets.delete(ALICE, BUCKET)
    await store.buckets.create(ALICE, BUCKET)
    assert store.journal.catalog.is_empty(BUCKET)


async def test_callers_see_their_own_buckets():
    store = Store()
    await store.buckets.create(ALICE, OTHER)
    await store.buckets.create(ALICE, BUCKET)
    await store.buckets.create(BOB, BucketName("bobs"))
    assert [bucket.name for bucket in store.buckets.owned_by(ALICE)] == [OTHER, BUCKET]
    assert [bucket.name for bucket in store.buckets.owned_by(BOB)] == ["bobs"]
